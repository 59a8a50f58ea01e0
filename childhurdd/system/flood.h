/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How often one thing that a guest can cause again and again is told: a guest that says `Out of
 * memory` a thousand times a second fills no log.
 */
#ifndef CHILDHURDD_SYSTEM_FLOOD_H
#define CHILDHURDD_SYSTEM_FLOOD_H

#include <glib.h>

#define FLOOD_BURST  10 /* lines of one kind that a guest gets into the log in each FLOOD_PERIOD */
#define FLOOD_PERIOD 60000 /* ms */

/* Of one guest and one kind of line; all zero: nothing was told yet. */
struct flood {
	gint64 began; /* ms, when the period began */
	guint told, held;
};

/* May one more be told now? now: ms, from any clock that only goes on. Where a period has passed
 * with some held back, flood_missed is to be asked first. */
gboolean flood_pass(struct flood *flood, gint64 now);

/* How many were held back in a period that is over; 0: none, or it is not over yet. They count as
 * told of then. */
guint flood_missed(struct flood *flood, gint64 now);

/* ms until flood_missed has something to say; -1: nothing is held back. */
gint64 flood_wait(const struct flood *flood, gint64 now);

#endif
