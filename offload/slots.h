/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' build slots: a POSIX record lock (fcntl F_SETLK, write) on STATE/offload/NAME:PORT/SLOT,
 * held by `guix offload` for the whole build (guix/scripts/offload.scm, acquire-build-slot). A
 * locked slot means a running build.
 */
#ifndef OFFLOAD_SLOTS_H
#define OFFLOAD_SLOTS_H

#include <glib.h>
#include <sys/types.h>

/* Slots that are checked; a machine has no more parallel-builds. */
#define SLOTS_MAX 64

/*
 * The number of slots of the machine host_name:port that have a build. guix_state_directory:
 * /var/guix. Missing folders and files count as free. So do slots that we may not read (then
 * *visible is FALSE) and those kept by slots_hold. Opens read-only, creates nothing, never blocks.
 */
int slots_taken(const char *guix_state_directory, const char *host_name, int port,
		gboolean *visible);

/* The same slots as a set: bit N for slot N. */
guint64 slots_with_builds(const char *guix_state_directory, const char *host_name, int port,
			  gboolean *visible);

/* The slots of one machine that this process locks against builds, or guards. */
struct slots;
struct slots *slots_new(const char *guix_state_directory, const char *host_name, int port);
/*
 * Lock the free slots, 0..parallel_builds-1 and any others that exist, in addition to those locked
 * already. Returns how many have a build: 0 means that no build can begin any more. Missing folders
 * and files below the state directory are made, with its owner; a host without a state directory
 * has no Guix, and no slots. *visible FALSE: a slot could not be checked or locked. Never blocks.
 */
int slots_hold(struct slots *slots, int parallel_builds, gboolean *visible);
/*
 * Guard the slots that have a build: no other can begin there when it ends, however soon. Returns
 * the slots that have one, bit N for slot N. A slot that is not among them any more is locked until
 * slots_release. *visible FALSE: a slot could not be checked; one that cannot be guarded (a
 * warning, once, says why) is among the visible. Never blocks.
 */
guint64 slots_guard(struct slots *slots, gboolean *visible);
/* Unlock all slots but those of which slots_guard has not yet returned that their build ended. */
void slots_release(struct slots *slots);
/* Releases them, and guards no more. NULL is allowed. */
void slots_free(struct slots *slots);

/*
 * Root's part for a daemon of another user: let that user see, make and lock the machine's slots,
 * and let Guix use those that it makes. Missing folders are made as Guix makes them. *changed:
 * something was done. Without Guix this does nothing and returns TRUE. The error names the
 * machine's folder; G_IO_ERROR_NOT_SUPPORTED: its file system has no access control lists. Files
 * with more than one name are left alone. Blocks on disk.
 */
gboolean slots_share(const char *guix_state_directory, const char *host_name, int port, uid_t uid,
		     gboolean *changed, GError **error);
/* The same for the slots of all machines, whoever runs them, and of those that are added later. So
 * the user can also lock the slots of machines that are not ours. */
gboolean slots_share_all(const char *guix_state_directory, uid_t uid, gboolean *changed,
			 GError **error);

#endif
