/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's states over a stretch of time, as a strip of as many columns at most as a reader can
 * see, whatever the number of states. */
#ifndef SERVICE_REPORT_STRIP_H
#define SERVICE_REPORT_STRIP_H

#include <glib.h>

#include "service/report/kinds.h"
#include "service/report/markup.h"
#include "service/report/records.h"

#define STRIP_COLUMNS 180 /* of a strip: 8 minutes of a day, 12 hours of 90 days */

/* Columns that look the same. */
struct strip_part {
	guint first, end; /* columns; end is the first that does not belong to it */
	enum kind kind;	  /* in which the guest was for most of each column */
	gboolean trouble; /* it was in KIND_TROUBLE as well, for less of each column */
	double share;	  /* of the time of this kind, 0 to 1 */
};

/*
 * The parts of the time from `from` to `until` (µs), in `columns` columns, without those in which
 * nothing is known. states: of struct record_state, in any order; they may overlap, or be outside.
 * The caller unrefs.
 */
GArray *strip_parts(const GArray *states, gint64 from, gint64 until, guint columns);
/* Draw the strip of that period. axis: with times below it. */
void strip_draw(struct markup *page, const struct records *records,
		const struct record_guest *guest, enum period period, gboolean axis);
/* What the kinds look like. */
void strip_legend(struct markup *page);

#endif
