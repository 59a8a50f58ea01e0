/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To count, we ask the kernel who holds the locks (F_GETLK). That locks nothing, so no build finds
 * a slot locked because of it.
 *
 * To keep builds out, we use open file description locks (fcntl(2), F_OFD_SETLK). They exclude the
 * record locks of `guix offload`, but unlike those they stay when another descriptor of the same
 * file is closed, as counting does. F_GETLK reports them with the process -1.
 *
 * Guix locks a slot for writing. A user that may only read a slot's file can lock it for reading,
 * which also keeps builds out, but is not a build. To prevent that, only the machine folder's user
 * and group can enter it.
 */
#include "offload/slots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "config/base/identity.h"

#define KEPT (-1) /* the process that F_GETLK names for an open file description lock */

struct slots {
	char *state, *machine;
	int descriptors[SLOTS_MAX]; /* of locked slots; -1: not locked */
	gboolean blamed;	    /* a foreign lock was reported */
};

/* Has a build the slot? */
static gboolean
slot_locked(int directory, int slot, gboolean *visible)
{
	g_autofree char *name = g_strdup_printf("%d", slot);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* length 0: all of it */
	/* O_NONBLOCK: a FIFO in its place must not block us */
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	gboolean locked = FALSE;

	if (fd < 0) {
		if (errno != ENOENT)
			*visible = FALSE;
		return FALSE;
	}
	if (fcntl(fd, F_GETLK, &lock) == 0)
		locked = lock.l_type == F_WRLCK && lock.l_pid != KEPT;
	else
		*visible = FALSE;
	close(fd);
	return locked;
}

static char *
machine_name(const char *host_name, int port)
{
	return g_strdup_printf("%s:%d", host_name, port);
}

/* Which slots have files? The machine may have had more slots before, with builds in them. */
static gboolean
slots_present(int directory, gboolean *present)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!folder)
		return FALSE;
	while ((entry = readdir(folder))) {
		char *end;
		unsigned long slot = strtoul(entry->d_name, &end, 10);
		if (g_ascii_isdigit(*entry->d_name) && !*end && slot < SLOTS_MAX)
			present[slot] = TRUE;
	}
	closedir(folder);
	return TRUE;
}

int
slots_taken(const char *guix_state_directory, const char *host_name, int port, gboolean *visible)
{
	gboolean present[SLOTS_MAX] = {FALSE};
	g_autofree char *machine = machine_name(host_name, port);
	g_autofree char *path = g_build_filename(guix_state_directory, "offload", machine, NULL);
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int taken = 0;

	*visible = TRUE;
	if (directory < 0) {
		*visible = errno == ENOENT;
		return 0;
	}
	*visible = slots_present(directory, present);
	int problem = errno;
	for (int slot = 0; slot < SLOTS_MAX; slot++) {
		gboolean seen = TRUE;

		if (present[slot])
			taken += slot_locked(directory, slot, &seen);
		if (!seen)
			problem = errno;
		*visible &= seen;
	}
	close(directory);
	errno = problem;
	return taken;
}

struct slots *
slots_new(const char *guix_state_directory, const char *host_name, int port)
{
	struct slots *slots = g_new0(struct slots, 1);

	slots->state = g_strdup(guix_state_directory);
	slots->machine = machine_name(host_name, port);
	for (int slot = 0; slot < SLOTS_MAX; slot++)
		slots->descriptors[slot] = -1;
	return slots;
}

void
slots_free(struct slots *slots)
{
	if (!slots)
		return;
	for (int slot = 0; slot < SLOTS_MAX; slot++)
		if (slots->descriptors[slot] >= 0)
			close(slots->descriptors[slot]);
	g_free(slots->state);
	g_free(slots->machine);
	g_free(slots);
}

/* Guix' hook opens them for writing, as guix-daemon's user, who owns the state directory. */
static void
give(int fd, const struct stat *owner)
{
	if (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) == -1)
		g_debug("a build slot cannot be given away: %s", g_strerror(errno));
}

/*
 * Open the folder in parent, making it if it is missing, and close parent. -1 and errno. Users that
 * may write to parent can replace the folder at any moment, and we may be root. So it is made as
 * parent's owner, and only a folder made in root's own parent is given away.
 */
static int
folder_open(int parent, const char *name, mode_t mode, const struct stat *owner)
{
	struct stat st = {0};
	if (parent < 0)
		return -1;
	gboolean others = geteuid() == 0 && fstat(parent, &st) == 0 && st.st_uid != 0;
	struct identity whose = {st.st_uid, st.st_gid, &st.st_gid, 1};
	identity_enter(others ? &whose : NULL);
	gboolean made = mkdirat(parent, name, mode) == 0;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int problem = errno;
	identity_leave(others ? &whose : NULL);

	/* not of parent's owner: root's, or from a time when Guix ran as another user */
	if (others && fd < 0 && problem == EACCES) {
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		problem = errno;
	}
	if (made && !others && fd >= 0)
		give(fd, owner);
	close(parent);
	errno = problem;
	return fd;
}

/* The machine's folder, closed to all but its user and group. */
static int
machine_open(int state, const char *machine, const struct stat *owner)
{
	struct stat st;
	int offload = folder_open(state, "offload", 0755, owner);
	int fd = folder_open(offload, machine, 0750, owner);
	int problem = errno;

	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IRWXO))
		fchmod(fd, st.st_mode & 07770); /* if we may */
	errno = problem;
	return fd;
}

/* Is the locked file still the slot's? */
static gboolean
slot_is(int folder, int slot, int fd)
{
	g_autofree char *name = g_strdup_printf("%d", slot);
	struct stat kept, present;

	return fstat(fd, &kept) == 0 && fstatat(folder, name, &present, AT_SYMLINK_NOFOLLOW) == 0 &&
	       kept.st_dev == present.st_dev && kept.st_ino == present.st_ino;
}

/* Report a slot that only a foreign lock for reading keeps from us. */
static void
blame(struct slots *slots, int slot, int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (slots->blamed || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_RDLCK)
		return;
	slots->blamed = TRUE;
	g_warning("%s/offload/%s/%d: process %d has it locked for reading (-1: /proc/locks names "
		  "it), and no build can begin there; end that process, which is not Guix",
		  slots->state, slots->machine, slot, (int)lock.l_pid);
}

/* The slot's file cannot be locked: does a build have it? */
static gboolean
has_build(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_RDLCK;
}

/* Open and lock the slot; -1: a build has it, or *visible is FALSE. (The umask, or the folder's
 * default list, reduces the mode.) */
static int
slot_keep(struct slots *slots, int folder, int slot, const struct stat *owner, gboolean *visible)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	g_autofree char *name = g_strdup_printf("%d", slot);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = openat(folder, name, flags | O_CREAT | O_EXCL, 0660);

	if (fd >= 0)
		give(fd, owner);
	else
		fd = openat(folder, name, flags);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	*visible = fd >= 0 && (errno == EAGAIN || errno == EACCES) && has_build(fd);
	if (fd >= 0 && !*visible)
		blame(slots, slot, fd);
	if (fd >= 0)
		close(fd);
	return -1;
}

int
slots_hold(struct slots *slots, int parallel_builds, gboolean *visible)
{
	gboolean present[SLOTS_MAX] = {FALSE};
	struct stat owner;
	int taken = 0, folder = open(slots->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*visible = folder >= 0 || errno == ENOENT;
	if (folder < 0)
		return 0;
	if (fstat(folder, &owner) < 0) {
		close(folder);
		return 0;
	}
	folder = machine_open(folder, slots->machine, &owner);
	*visible = folder >= 0 && slots_present(folder, present);
	for (int slot = 0; folder >= 0 && slot < SLOTS_MAX; slot++) {
		gboolean seen = TRUE;
		int *fd = &slots->descriptors[slot];

		if (slot >= parallel_builds && !present[slot])
			continue;
		if (*fd >= 0 && !slot_is(folder, slot, *fd)) {
			close(*fd);
			*fd = -1;
		}
		if (*fd < 0)
			*fd = slot_keep(slots, folder, slot, &owner, &seen);
		taken += *fd < 0 && seen;
		*visible &= seen;
	}
	if (folder >= 0)
		close(folder);
	return taken;
}

/* --- root's part for another user's daemon --- */

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

	slots_present(share->folder, present);
	for (int slot = 0; good && slot < SLOTS_MAX; slot++)
		good = !present[slot] || share_slot(share, slot, error);
	return good;
}

gboolean
slots_share(const char *guix_state_directory, const char *host_name, int port, uid_t uid,
	    gboolean *changed, GError **error)
{
	struct stat owner = {0};
	g_autofree char *machine = machine_name(host_name, port);
	int folder = open(guix_state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*changed = FALSE;
	if (folder < 0 && errno == ENOENT)
		return TRUE;
	if (folder >= 0 && fstat(folder, &owner) == 0)
		folder = machine_open(folder, machine, &owner);
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
