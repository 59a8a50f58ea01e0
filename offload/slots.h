/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' build slots: a POSIX record lock (fcntl F_SETLK, write) on STATE/offload/NAME:PORT/SLOT,
 * held by `guix offload` for the whole build (guix/scripts/offload.scm, acquire-build-slot).
 * Whoever finds it locked knows that a build is running.
 */
#ifndef OFFLOAD_SLOTS_H
#define OFFLOAD_SLOTS_H

#include <glib.h>

/*
 * How many of the slots 0..parallel_builds-1 of machine host_name:port are locked by another
 * process. guix_state_directory: /var/guix. Missing folders and files count as free, as does what
 * we may not read (then *visible is FALSE). Opens read-only, never creates anything, never blocks.
 * Locks of our own process are not seen, and closing the file after the look drops those that this
 * process has on it (POSIX): who wants to hold slots must do so in another process.
 */
int slots_taken(const char *guix_state_directory, const char *host_name, int port,
		int parallel_builds, gboolean *visible);

#endif
