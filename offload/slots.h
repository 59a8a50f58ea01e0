/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' build slots: a POSIX record lock (fcntl F_SETLK, write) on STATE/offload/NAME:PORT/SLOT,
 * held by `guix offload` for the whole build (guix/scripts/offload.scm, acquire-build-slot).
 * Whoever finds it locked knows that a build is running.
 */
#ifndef OFFLOAD_SLOTS_H
#define OFFLOAD_SLOTS_H

#include <glib.h>
#include <sys/types.h>

/* Slots that are looked at; a machine's parallel-builds are at most as many. */
#define SLOTS_MAX 64

/*
 * How many slots of machine host_name:port are with a build.
 * guix_state_directory: /var/guix. Missing folders and files count as free, as does what we may not
 * read (then *visible is FALSE), and what is held by slots_hold. Opens read-only, never creates
 * anything, never blocks.
 */
int slots_taken(const char *guix_state_directory, const char *host_name, int port,
		gboolean *visible);

/* The slots of one machine that this process keeps from builds. */
struct slots;
struct slots *slots_new(const char *guix_state_directory, const char *host_name, int port);
/*
 * Keep the slots that are free, 0..parallel_builds-1 and whatever others there are, beside those
 * that are kept already, and tell how many are with a build: 0 means that none can come any more.
 * What is missing below the state directory is made, owned as that is; a host without a state
 * directory has no Guix, and nothing to keep. *visible FALSE: a slot could not be looked at or
 * kept. Never blocks.
 */
int slots_hold(struct slots *slots, int parallel_builds, gboolean *visible);
/* Lets go of them. NULL is allowed. */
void slots_free(struct slots *slots);

/*
 * Root's part for a daemon of another user: that one may see, make and keep the machine's slots,
 * and Guix goes on to use those that he makes. Folders that are missing are made as Guix makes
 * them. *changed: something had to be done. No Guix there: nothing is done, and TRUE. The error
 * names the machine's folder; G_IO_ERROR_NOT_SUPPORTED: its file system has no access control
 * lists. Files with more than one name are left alone. Blocks on disk.
 */
gboolean slots_share(const char *guix_state_directory, const char *host_name, int port, uid_t uid,
		     gboolean *changed, GError **error);

#endif
