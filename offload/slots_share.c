/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Root's part for another user's daemon: access control lists for the slots. */
#include "offload/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "offload/slots_internal.h"

struct share {
	int folder; /* the machine's */
	uid_t uid;
	uid_t owner; /* the user that Guix runs as */
	gboolean changed;
};

/* The folder may be another user's, so change only what was opened, and never through a link. */
static gboolean
grant(struct share *share, int fd, uid_t uid, int may, gboolean below, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autoptr(GError) problem = NULL;
	gboolean changed = FALSE;
	gboolean good = below ? acl_grant_below(path, ACL_FOR_USER, uid, may, &changed, &problem)
			      : acl_grant(path, ACL_FOR_USER, uid, may, &changed, &problem);

	share->changed |= changed;
	if (good)
		return TRUE;
	/* The error names /proc/self/fd/N, which means nothing to its reader. */
	const char *what = problem->message;
	if (g_str_has_prefix(what, path))
		what += strlen(path) + strlen(": ");
	g_set_error(error, problem->domain, problem->code, "%s", what);
	return FALSE;
}

/* A user that may write to the folder may have put a hard link to another user's file there. */
static gboolean
is_slot_of_another(int fd, uid_t uid)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid != uid;
}

static gboolean
share_slot(struct share *share, int slot, GError **error)
{
	g_autofree char *name = g_strdup_printf("%d", slot);
	int fd = openat(share->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return TRUE; /* it has just disappeared, or is not a slot */
	gboolean good = !is_slot_of_another(fd, share->uid) ||
			grant(share, fd, share->uid, ACL_MAY_READ | ACL_MAY_WRITE, FALSE, error);
	if (!good)
		g_prefix_error(error, "slot %s: ", name);
	close(fd);
	return good;
}

/* Grant access to the folder, its slots, and future slots, whoever makes them. */
static gboolean
share_all(struct share *share, GError **error)
{
	const int all = ACL_MAY_READ | ACL_MAY_WRITE | ACL_MAY_PASS;
	gboolean present[SLOTS_MAX] = {FALSE};
	gboolean good =
	    grant(share, share->folder, share->uid, all, FALSE, error) &&
	    grant(share, share->folder, share->uid, ACL_MAY_READ | ACL_MAY_WRITE, TRUE, error) &&
	    grant(share, share->folder, share->owner, ACL_MAY_READ | ACL_MAY_WRITE, TRUE, error);

	slots_present(share->folder, present, NULL);
	for (int slot = 0; good && slot < SLOTS_MAX; slot++)
		good = !present[slot] || share_slot(share, slot, error);
	return good;
}

gboolean
slots_share(const char *guix_state_directory, const char *host_name, int port, uid_t uid,
	    gboolean *changed, GError **error)
{
	struct stat owner = {0};
	g_autofree char *machine = slots_machine_name(host_name, port);
	int folder = open(guix_state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*changed = FALSE;
	if (folder < 0 && errno == ENOENT)
		return TRUE;
	if (folder >= 0 && fstat(folder, &owner) == 0)
		folder = slots_machine_open(folder, machine, &owner);
	struct share share = {.folder = folder, .uid = uid, .owner = owner.st_uid};
	gboolean good = folder >= 0;
	if (!good)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot be opened: %s",
			    g_strerror(errno));
	else
		good = share_all(&share, error);
	if (!good)
		g_prefix_error(error, "%s/offload/%s: ", guix_state_directory, machine);
	if (folder >= 0)
		close(folder);
	*changed = share.changed;
	return good;
}
