/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OpenSSH refuses a key that its owner shares with a group, and libssh cannot read one that it may
 * not open. So the key belongs to the coordinator's user with mode 0600, and the folder stays ours
 * but lets him pass (an access control list; where there are none, his group by its mode). We run as
 * root when there is another user, and read the key all the same.
 */
#include "offload/coordinator.h"

#include <errno.h>
#include <gio/gio.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/acl.h"

/* Is this process (proc(5), status) a guix-daemon, and not one of a container, which has a Guix of
 * its own? */
static gboolean
is_daemon(const char *status, uid_t *uid, gid_t *gid)
{
	const char *ids = strstr(status, "\nUid:\t"), *groups = strstr(status, "\nGid:\t");
	const char *pids = strstr(status, "\nNSpid:\t");
	unsigned pid, inner;
	return g_str_has_prefix(status, "Name:\tguix-daemon\n") && ids && groups &&
	       sscanf(ids, "\nUid:%u", uid) == 1 && sscanf(groups, "\nGid:%u", gid) == 1 &&
	       !(pids && sscanf(pids, "\nNSpid:\t%u\t%u", &pid, &inner) == 2);
}

/* Whom guix-daemon runs as; FALSE: none runs. */
static gboolean
find_daemon(uid_t *uid, gid_t *gid)
{
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		if (!g_ascii_isdigit(*entry))
			continue;
		g_autofree char *path = g_strdup_printf("/proc/%s/status", entry);
		g_autofree char *status = NULL;
		if (g_file_get_contents(path, &status, NULL, NULL) && is_daemon(status, uid, gid))
			return TRUE;
	}
	return FALSE;
}

static gboolean
fail(GError **error, const char *what, const char *path)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: cannot %s: %s", path,
		    what, g_strerror(errno));
	return FALSE;
}

static gboolean
find_user(const char *user, uid_t *uid, gid_t *gid, GError **error)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(16384);
	if (getpwnam_r(user, &entry, buffer, 16384, &found) || !found) {
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
		    "coordinator-user %s: there is no such user; name the one guix-daemon runs as",
		    user);
		return FALSE;
	}
	*uid = found->pw_uid;
	*gid = found->pw_gid;
	return TRUE;
}

static gboolean
let_pass(const char *folder, uid_t uid, gid_t gid, GError **error)
{
	g_autoptr(GError) problem = NULL;
	struct stat st;
	if (acl_grant(folder, ACL_FOR_USER, uid, ACL_MAY_PASS, NULL, &problem))
		return TRUE;
	if (!g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	if (stat(folder, &st) < 0 || chown(folder, 0, gid) < 0 ||
	    chmod(folder, (st.st_mode & 07777) | S_IXGRP) < 0)
		return fail(error, "let the coordinator's user pass", folder);
	return TRUE;
}

gboolean
coordinator_find(const char *user, uid_t *uid, GError **error)
{
	gid_t gid;
	return user ? find_user(user, uid, &gid, error) : find_daemon(uid, &gid);
}

gboolean
coordinator_grant(const char *user, const char *private_key, GError **error)
{
	uid_t uid;
	gid_t gid;
	if (user ? !find_user(user, &uid, &gid, error) : !find_daemon(&uid, &gid))
		return !user;
	if (uid == geteuid() || uid == 0)
		return TRUE;
	if (geteuid() != 0) {
		if (!user)
			return TRUE;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "coordinator-user %s: only root can give him %s; run childhurdd as "
			    "root or as %s",
			    user, private_key, user);
		return FALSE;
	}
	g_autofree char *folder = g_path_get_dirname(private_key);
	if (chown(private_key, uid, gid) < 0 || chmod(private_key, 0600) < 0)
		return fail(error, "give it to the coordinator's user", private_key);
	return let_pass(folder, uid, gid, error);
}
