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
 *
 * A lock that others wait for cannot be taken in the moment in which a build gives it back. So a
 * slot is guarded while its build runs: its file changes places with a new one, N with .N.build,
 * which we have locked already. The build has its lock on the old file, which we ask for and which
 * nobody else can open any more. A file .N.build without us is from a process of ours that was
 * killed: the next one goes on with it.
 */
#include "offload/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "config/base/lack.h"
#include "offload/slots_internal.h"

#define KEPT (-1) /* the process that F_GETLK names for an open file description lock */
/* O_NONBLOCK: a FIFO in its place must not block us */
#define SLOT_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

struct slots {
	char *state, *machine;
	int descriptors[SLOTS_MAX]; /* of locked slots; -1: not locked */
	int builds[SLOTS_MAX];	    /* of guarded slots' files before; -1: not guarded */
	gboolean told[SLOTS_MAX];   /* slots_guard has told of that build */
	gboolean blamed;	    /* a foreign lock was reported */
	gboolean unguarded;	    /* a slot that cannot be guarded was reported */
};

static char *
slot_name(int slot)
{
	return g_strdup_printf("%d", slot);
}

/* Has a build this file? */
static gboolean
slot_locked(int directory, const char *name, gboolean *visible)
{
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

/* Adds up how many have a build, and which. */
static void
look(const char *guix_state_directory, const char *host_name, int port, int *taken, guint64 *which,
     gboolean *visible)
{
	gboolean present[SLOTS_MAX] = {FALSE}, built[SLOTS_MAX] = {FALSE};
	g_autofree char *machine = slots_machine_name(host_name, port);
	g_autofree char *path = g_build_filename(guix_state_directory, "offload", machine, NULL);
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*taken = 0;
	*which = 0;
	*visible = TRUE;
	if (directory < 0) {
		*visible = errno == ENOENT;
		return;
	}
	*visible = slots_present(directory, present, built);
	int problem = errno;
	for (int slot = 0; slot < SLOTS_MAX; slot++) {
		g_autofree char *name = present[slot] ? slot_name(slot) : NULL;
		g_autofree char *before = built[slot] ? slots_build_name(slot) : NULL;
		gboolean seen = TRUE;
		int builds = 0;

		if (name)
			builds += slot_locked(directory, name, &seen);
		if (before)
			builds += slot_locked(directory, before, &seen);
		if (builds)
			*which |= G_GUINT64_CONSTANT(1) << slot;
		if (!seen)
			problem = errno;
		*taken += builds;
		*visible &= seen;
	}
	close(directory);
	errno = problem;
}

int
slots_taken(const char *guix_state_directory, const char *host_name, int port, gboolean *visible)
{
	guint64 which;
	int taken;

	look(guix_state_directory, host_name, port, &taken, &which, visible);
	return taken;
}

guint64
slots_with_builds(const char *guix_state_directory, const char *host_name, int port,
		  gboolean *visible)
{
	guint64 which;
	int taken;

	look(guix_state_directory, host_name, port, &taken, &which, visible);
	return which;
}

/* Is the locked file still the slot's? */
static gboolean
slot_is(int folder, int slot, int fd)
{
	g_autofree char *name = slot_name(slot);
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

static gboolean
slot_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* The slot's file cannot be locked: does a build have it? */
static gboolean
has_build(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_RDLCK;
}

/* Make the file, which must not be there. The umask, or the folder's default list, reduces the
 * mode. */
static int
slot_make(int folder, const char *name, const struct stat *owner)
{
	int fd = openat(folder, name, SLOT_FLAGS | O_CREAT | O_EXCL, 0660);

	if (fd >= 0)
		slots_give(fd, owner);
	return fd;
}

/* Open and lock the slot; -1: a build has it, or *visible is FALSE. */
static int
slot_keep(struct slots *slots, int folder, int slot, const struct stat *owner, gboolean *visible)
{
	g_autofree char *name = slot_name(slot);
	int fd = slot_make(folder, name, owner);

	if (fd < 0)
		fd = openat(folder, name, SLOT_FLAGS);
	if (fd >= 0 && slot_lock(fd))
		return fd;
	*visible = fd >= 0 && (errno == EAGAIN || errno == EACCES) && has_build(fd);
	if (fd >= 0 && !*visible)
		blame(slots, slot, fd);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Does the build still run that had the slot's file before? there: that file is. */
static gboolean
build_runs(struct slots *slots, int folder, int slot, gboolean there, gboolean *visible)
{
	g_autofree char *name = slots_build_name(slot);
	int *fd = &slots->builds[slot];

	if (*fd < 0 && there)
		*fd = openat(folder, name, SLOT_FLAGS);
	if (*fd < 0)
		return there && slot_locked(folder, name, visible);
	return !slot_lock(*fd) && has_build(*fd);
}

int
slots_hold(struct slots *slots, int parallel_builds, gboolean *visible)
{
	gboolean present[SLOTS_MAX] = {FALSE}, built[SLOTS_MAX] = {FALSE};
	struct stat owner;
	int taken = 0, folder = open(slots->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*visible = folder >= 0 || errno == ENOENT;
	if (folder < 0)
		return 0;
	if (fstat(folder, &owner) < 0) {
		close(folder);
		return 0;
	}
	folder = slots_machine_open(folder, slots->machine, &owner);
	*visible = folder >= 0 && slots_present(folder, present, built);
	for (int slot = 0; folder >= 0 && slot < SLOTS_MAX; slot++) {
		gboolean seen = TRUE;
		int *fd = &slots->descriptors[slot];

		if (slots->builds[slot] >= 0 || built[slot])
			taken += build_runs(slots, folder, slot, built[slot], &seen);
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

/* --- guarded slots --- */

/* Guix opens a slot's file for writing, or else no build of any system begins. */
static gboolean
guix_may(int fd, const struct stat *owner)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

	if (geteuid() == 0 || owner->st_uid == geteuid() || owner->st_uid == 0 ||
	    acl_grant(path, ACL_FOR_USER, owner->st_uid, ACL_MAY_READ | ACL_MAY_WRITE, NULL, NULL))
		return TRUE;
	errno = EACCES;
	return FALSE;
}

/* Let the file of a slot that has a build change places with a locked one. FALSE: it cannot. */
static gboolean
slot_guard(struct slots *slots, int folder, int slot, const struct stat *owner)
{
	g_autofree char *name = slot_name(slot), *before = slots_build_name(slot);
	int build = openat(folder, name, SLOT_FLAGS);
	int next = build < 0 ? -1 : slot_make(folder, before, owner);

	if (next >= 0 && slot_lock(next) && guix_may(next, owner) &&
	    renameat2(folder, before, folder, name, RENAME_EXCHANGE) == 0) {
		slots->builds[slot] = build;
		slots->told[slot] = TRUE;
		slots->descriptors[slot] = next;
		return TRUE;
	}
	int problem = errno;
	if (next >= 0) {
		unlinkat(folder, before, 0);
		close(next);
	}
	if (build >= 0)
		close(build);
	errno = problem;
	return FALSE;
}

static void
say_unguarded(struct slots *slots, int slot)
{
	gboolean denied = errno == EACCES || errno == EPERM;

	if (slots->unguarded || lack_is(errno))
		return;
	slots->unguarded = TRUE;
	g_warning("%s/offload/%s/%d: another file cannot take its place, so a build can begin "
		  "there at the moment at which another ends: %s%s",
		  slots->state, slots->machine, slot, g_strerror(errno),
		  denied ? "; childhurdd --prepare allows it" : "");
}

static void
build_forget(struct slots *slots, int folder, int slot)
{
	g_autofree char *before = slots_build_name(slot);

	unlinkat(folder, before, 0);
	close(slots->builds[slot]);
	slots->builds[slot] = -1;
	slots->told[slot] = FALSE;
}

/* Does the guarded slot's build run? One of an earlier process counts as running once, so that its
 * end is noticed. there: the file that the slot had before is. */
static gboolean
guarded_runs(struct slots *slots, int folder, int slot, gboolean there, const struct stat *owner,
	     gboolean *visible)
{
	int *fd = &slots->descriptors[slot];
	gboolean runs = build_runs(slots, folder, slot, there, visible);

	if (slots->told[slot] && !runs) {
		build_forget(slots, folder, slot); /* the slot itself stays locked */
		return FALSE;
	}
	if (*fd < 0)
		*fd = slot_keep(slots, folder, slot, owner, visible);
	slots->told[slot] = slots->builds[slot] >= 0;
	return runs || slots->told[slot];
}

/* Does the slot, which is not guarded, have a build? Then it is guarded from now on. */
static gboolean
slot_runs(struct slots *slots, int folder, int slot, const struct stat *owner, gboolean *visible)
{
	g_autofree char *name = slot_name(slot);

	if (slots->descriptors[slot] >= 0 || !slot_locked(folder, name, visible))
		return FALSE;
	if (!slot_guard(slots, folder, slot, owner))
		say_unguarded(slots, slot);
	return TRUE;
}

guint64
slots_guard(struct slots *slots, gboolean *visible)
{
	gboolean present[SLOTS_MAX] = {FALSE}, built[SLOTS_MAX] = {FALSE};
	struct stat owner;
	int problem, folder = slots_machine_find(slots->state, slots->machine, &owner);
	guint64 busy = 0;

	*visible = folder >= 0 || errno == ENOENT;
	if (folder < 0)
		return 0;
	*visible = slots_present(folder, present, built);
	problem = errno;
	for (int slot = 0; slot < SLOTS_MAX; slot++) {
		gboolean seen = TRUE, runs = FALSE;

		if (slots->builds[slot] >= 0 || built[slot])
			runs = guarded_runs(slots, folder, slot, built[slot], &owner, &seen);
		else if (present[slot])
			runs = slot_runs(slots, folder, slot, &owner, &seen);
		if (!seen)
			problem = errno;
		*visible &= seen;
		busy |= (guint64)runs << slot;
	}
	close(folder);
	errno = problem;
	return busy;
}

/* Builds that still run get their slots' files back, as if those had never been guarded. */
static void
guards_give_up(struct slots *slots)
{
	struct stat owner;
	int folder = -1;

	for (int slot = 0; slot < SLOTS_MAX; slot++) {
		g_autofree char *name = slot_name(slot), *before = slots_build_name(slot);
		gboolean seen = TRUE;

		if (slots->builds[slot] < 0)
			continue;
		if (folder < 0)
			folder = slots_machine_find(slots->state, slots->machine, &owner);
		if (!build_runs(slots, folder, slot, TRUE, &seen))
			unlinkat(folder, before, 0);
		else if (slots->descriptors[slot] >= 0) /* or the slot has another build, too */
			renameat(folder, before, folder, name);
		close(slots->builds[slot]);
		slots->builds[slot] = -1;
	}
	if (folder >= 0)
		close(folder);
}

void
slots_release(struct slots *slots)
{
	for (int slot = 0; slot < SLOTS_MAX; slot++) {
		if (slots->descriptors[slot] < 0 || slots->builds[slot] >= 0)
			continue;
		close(slots->descriptors[slot]);
		slots->descriptors[slot] = -1;
	}
}

struct slots *
slots_new(const char *guix_state_directory, const char *host_name, int port)
{
	struct slots *slots = g_new0(struct slots, 1);

	slots->state = g_strdup(guix_state_directory);
	slots->machine = slots_machine_name(host_name, port);
	for (int slot = 0; slot < SLOTS_MAX; slot++)
		slots->descriptors[slot] = slots->builds[slot] = -1;
	return slots;
}

void
slots_free(struct slots *slots)
{
	if (!slots)
		return;
	guards_give_up(slots);
	slots_release(slots);
	g_free(slots->state);
	g_free(slots->machine);
	g_free(slots);
}
