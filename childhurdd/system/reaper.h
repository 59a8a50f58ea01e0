/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waits for orphans: this process is their subreaper (prctl(2), PR_SET_CHILD_SUBREAPER). */
#ifndef CHILDHURDD_SYSTEM_REAPER_H
#define CHILDHURDD_SYSTEM_REAPER_H

#include <ev.h>

#define REAPER_DELAY 0.05 /* s for the watcher of an ended child's pidfd to wait for it */
#define REAPER_PATIENCE                                                                            \
	5.0 /* s that an ended child may wait for whoever started it, before it is taken for an    \
	       orphan */

/* Start reaping, for the lifetime of this process. */
void reaper_start(struct ev_loop *loop);

#endif
