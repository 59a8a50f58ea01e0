/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A period begins with the first reported line. Lines beyond the burst are only counted, and the
 * count is one line at the end of the period. So a guest causes at most FLOOD_BURST + 1 lines of a
 * kind in each period.
 */
#include "childhurdd/system/flood.h"

static gboolean
is_over(const struct flood *flood, gint64 now)
{
	return now - flood->began >= FLOOD_PERIOD;
}

gboolean
flood_pass(struct flood *flood, gint64 now)
{
	if (!flood->told || is_over(flood, now))
		*flood = (struct flood){.began = now};
	if (flood->told >= FLOOD_BURST) {
		flood->held += flood->held < G_MAXUINT;
		return FALSE;
	}
	flood->told++;
	return TRUE;
}

guint
flood_missed(struct flood *flood, gint64 now)
{
	guint missed = flood->held;
	if (!missed || !is_over(flood, now))
		return 0;
	*flood = (struct flood){0};
	return missed;
}

gint64
flood_wait(const struct flood *flood, gint64 now)
{
	return flood->held ? MAX(0, flood->began + FLOOD_PERIOD - now) : -1;
}
