/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OpenSSH refuses a key that its owner shares, and libssh must be able to open the key. So root
 * gives the key, with mode 0600, to the coordinator's user, and can still read it. A daemon that is
 * not root's cannot give files away, and needs the key for its own user's OpenSSH. It shares a
 * copy, which only libssh reads (Guile-SSH in Guix); libssh checks no mode.
 *
 * The folder stays ours, and that user may pass it: by an access control list or, if the file
 * system has none, by its group's bit.
 */
#include "offload/coordinator.h"

#include <gio/gio.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "config/base/atomic_file.h"
#include "config/base/io_error.h"

/* Is this process (proc(5), status) a guix-daemon, and not that of a container, which has a Guix of
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

/* The user of guix-daemon; FALSE: no credible one runs. */
static gboolean
find_daemon(const char *guix_state_directory, uid_t *uid, gid_t *gid)
{
	struct stat st;
	uid_t owner = stat(guix_state_directory, &st) == 0 ? st.st_uid : 0;
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		if (!g_ascii_isdigit(*entry))
			continue;
		g_autofree char *path = g_strdup_printf("/proc/%s/status", entry);
		g_autofree char *status = NULL;
		if (g_file_get_contents(path, &status, NULL, NULL) && is_daemon(status, uid, gid) &&
		    (*uid == 0 || *uid == owner))
			return TRUE;
	}
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
		return io_error(error, folder, "cannot let the coordinator's user pass");
	return TRUE;
}

static char *
copy_of(const char *private_key)
{
	return g_strconcat(private_key, ".guix", NULL);
}

char *
coordinator_key(const char *private_key)
{
	char *copy = copy_of(private_key);
	if (access(copy, F_OK) < 0)
		g_clear_pointer(&copy, g_free);
	return copy;
}

/* Does the file at path already have that text? */
static gboolean
is_same(const char *path, const char *text)
{
	char *present = NULL;
	gboolean same = g_file_get_contents(path, &present, NULL, NULL) && !strcmp(present, text);
	if (present)
		explicit_bzero(present, strlen(present));
	g_free(present);
	return same;
}

/* No user is known: one that had a copy keeps it, unless the key has changed. */
static void
check_copy(const char *private_key, const char *copy)
{
	char *text = NULL;
	if (g_file_get_contents(private_key, &text, NULL, NULL) && !is_same(copy, text))
		unlink(copy);
	if (text)
		explicit_bzero(text, strlen(text));
	g_free(text);
}

/* Write it only if it differs, so that readers can read it at any moment. */
static gboolean
share_copy(const char *private_key, const char *copy, uid_t uid, GError **error)
{
	char *text = NULL;
	if (!g_file_get_contents(private_key, &text, NULL, error))
		return FALSE;
	gboolean good = (is_same(copy, text) || atomic_file_write(copy, text, -1, 0600, error)) &&
			acl_grant_alone(copy, ACL_FOR_USER, uid, ACL_MAY_READ, error);
	explicit_bzero(text, strlen(text));
	g_free(text);
	return good;
}

/* The part of a daemon that is not root's; user NULL: no user was named. */
static gboolean
share(const char *user, const char *private_key, const char *folder, uid_t uid, GError **error)
{
	g_autofree char *copy = copy_of(private_key);
	g_autoptr(GError) problem = NULL;
	if (share_copy(private_key, copy, uid, &problem) &&
	    acl_grant(folder, ACL_FOR_USER, uid, ACL_MAY_PASS, NULL, &problem))
		return TRUE;
	unlink(copy);
	if (!user)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "coordinator-user %s: cannot be let read %s (%s); run childhurdd as root or "
		    "as %s",
		    user, private_key, problem->message, user);
	return FALSE;
}

static gboolean
give(const char *private_key, const char *folder, uid_t uid, gid_t gid, GError **error)
{
	if (chown(private_key, uid, gid) < 0 || chmod(private_key, 0600) < 0)
		return io_error(error, private_key, "cannot give it to the coordinator's user");
	return let_pass(folder, uid, gid, error);
}

gboolean
coordinator_find(const char *user, const char *guix_state_directory, uid_t *uid, GError **error)
{
	gid_t gid;
	return user ? find_user(user, uid, &gid, error)
		    : find_daemon(guix_state_directory, uid, &gid);
}

/* Give root's key back to root if it was given away. */
static gboolean
take_back(const char *private_key, GError **error)
{
	struct stat st;
	if (geteuid() != 0 || (stat(private_key, &st) == 0 && st.st_uid == 0))
		return TRUE;
	return chown(private_key, 0, 0) == 0 ||
	       io_error(error, private_key, "cannot take it back from who had it");
}

gboolean
coordinator_grant(const char *user, const char *guix_state_directory, const char *private_key,
		  GError **error)
{
	uid_t uid;
	gid_t gid;
	g_autofree char *folder = g_path_get_dirname(private_key);
	g_autofree char *copy = copy_of(private_key);
	if (user && !find_user(user, &uid, &gid, error))
		return FALSE;
	if (!user && !find_daemon(guix_state_directory, &uid, &gid)) {
		check_copy(private_key, copy);
		return TRUE;
	}
	gboolean readable = uid == geteuid() || uid == 0;
	if (!readable && geteuid() != 0)
		return share(user, private_key, folder, uid, error);
	unlink(copy); /* left from a time when it was needed */
	return readable ? take_back(private_key, error)
			: give(private_key, folder, uid, gid, error);
}
