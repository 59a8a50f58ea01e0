/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits how often a line that a guest can cause is reported, so that a guest with a thousand `Out
 * of memory` a second does not fill the log.
 */
#ifndef CHILDHURDD_SYSTEM_FLOOD_H
#define CHILDHURDD_SYSTEM_FLOOD_H

#include <glib.h>

#define FLOOD_BURST  10	   /* lines of one kind of a guest in the log in each FLOOD_PERIOD */
#define FLOOD_PERIOD 60000 /* ms */

/* For one guest and one kind of line; all zero: nothing was reported yet. */
struct flood {
	gint64 began; /* ms, the period's begin */
	guint told, held;
};

/* May one more be reported now? now: ms, from any monotonic clock. Call flood_missed first, in case
 * a period has passed in which lines were held back. */
gboolean flood_pass(struct flood *flood, gint64 now);

/* How many lines were held back in a period that is over; 0: none, or it is not over yet. They then
 * count as reported. */
guint flood_missed(struct flood *flood, gint64 now);

/* ms until flood_missed returns a number; -1: nothing is held back. */
gint64 flood_wait(const struct flood *flood, gint64 now);

#endif
