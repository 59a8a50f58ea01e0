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

/* Grant access to the folder, and to what is made there, whoever makes it. below: to a file or a
 * folder. A new default list takes the folder's mode, which the other list changes. */
static gboolean
share_folder(struct share *share, int below, GError **error)
{
	const int all = ACL_MAY_READ | ACL_MAY_WRITE | ACL_MAY_PASS;
	return grant(share, share->folder, share->uid, below, TRUE, error) &&
	       grant(share, share->folder, share->owner, below, TRUE, error) &&
	       grant(share, share->folder, share->uid, all, FALSE, error);
}

/* Grant access to the machine's folder, its slots, and future slots. */
static gboolean
share_machine(struct share *share, GError **error)
{
	gboolean present[SLOTS_MAX] = {FALSE};
	gboolean good = share_folder(share, ACL_MAY_READ | ACL_MAY_WRITE, error);

	slots_present(share->folder, present, NULL);
	for (int slot = 0; good && slot < SLOTS_MAX; slot++)
		good = !present[slot] || share_slot(share, slot, error);
	return good;
}

/* Share the folder, and close it. name: its name below the state directory, for the error. */
static gboolean
share_and_close(struct share *share, gboolean (*fn)(struct share *share, GError **error),
		const char *state, const char *name, GError **error)
{
	gboolean good = share->folder >= 0;
	if (!good)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot be opened: %s",
			    g_strerror(errno));
	else
		good = fn(share, error);
	if (!good)
		g_prefix_error(error, "%s/%s: ", state, name);
	if (share->folder >= 0)
		close(share->folder);
	return good;
}

/* The state directory's descriptor, with *share set up. -1 and errno. */
static int
share_begin(const char *state, uid_t uid, struct share *share, struct stat *owner)
{
	int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		fstat(fd, owner);
	*share = (struct share){.folder = -1, .uid = uid, .owner = owner->st_uid};
	return fd;
}

gboolean
slots_share(const char *guix_state_directory, const char *host_name, int port, uid_t uid,
	    gboolean *changed, GError **error)
{
	struct share share;
	struct stat owner = {0};
	g_autofree char *machine = slots_machine_name(host_name, port);
	g_autofree char *name = g_build_filename("offload", machine, NULL);
	int state = share_begin(guix_state_directory, uid, &share, &owner);

	*changed = FALSE;
	if (state < 0 && errno == ENOENT)
		return TRUE;
	if (state >= 0)
		share.folder = slots_machine_open(state, machine, &owner);
	gboolean good = share_and_close(&share, share_machine, guix_state_directory, name, error);
	*changed = share.changed;
	return good;
}

/* Share the folders of the machines that are there. */
static gboolean
share_machines(struct share *share, const char *state, GError **error)
{
	g_autofree char *path = g_build_filename(state, "offload", NULL);
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	gboolean good = TRUE;
	const char *entry;

	while (good && folder && (entry = g_dir_read_name(folder))) {
		struct stat owner;
		g_autofree char *name = g_build_filename("offload", entry, NULL);
		share->folder = slots_machine_find(state, entry, &owner);
		if (share->folder >= 0) /* else it is none, or has just disappeared */
			good = share_and_close(share, share_machine, state, name, error);
	}
	return good;
}

static gboolean
share_offload(struct share *share, GError **error)
{
	return share_folder(share, ACL_MAY_READ | ACL_MAY_WRITE | ACL_MAY_PASS, error);
}

gboolean
slots_share_all(const char *guix_state_directory, uid_t uid, gboolean *changed, GError **error)
{
	struct share share;
	struct stat owner = {0};
	int state = share_begin(guix_state_directory, uid, &share, &owner);

	*changed = FALSE;
	if (state < 0 && errno == ENOENT)
		return TRUE;
	if (state >= 0)
		share.folder = slots_offload_open(state, &owner);
	gboolean good =
	    share_and_close(&share, share_offload, guix_state_directory, "offload", error) &&
	    share_machines(&share, guix_state_directory, error);
	*changed = share.changed;
	return good;
}
