/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest did in a period, in figures. They come from the sums of each day, and for the days
 * that are not in the period as a whole from what was kept of them. */
#ifndef CHILDHURDD_HISTORY_FIGURES_H
#define CHILDHURDD_HISTORY_FIGURES_H

#include <glib.h>
#include <sqlite3.h>

struct figures {
	gint64 wanted, up;  /* ms that it was wanted up, and that it did its work */
	gint64 boots;	    /* from the disk */
	gint64 warm_starts; /* from a warm state, wakes among them; not resets in place */
	gint64 failures, builds;
	gint64 build_ms;
	GArray *boot_ms; /* of gint64: of those boots from the disk that became ready */
};

/* What counts, with statements that are used again for each guest. Free it before db is closed. */
struct counter;
struct counter *figures_counter(sqlite3 *db);
void figures_counter_free(struct counter *counter);
/* SQLite's code of the last error. */
int figures_error(const struct counter *counter);

/* Count for a guest (its id) in [since, until), at time now, wall clock µs. FALSE: see
 * figures_error.
 */
gboolean figures_count(struct counter *counter, gint64 guest, gint64 since, gint64 until,
		       gint64 now, struct figures *figures);
struct figures_period {
	gint64 since, until; /* wall clock µs */
	gint64 first, n;     /* days (UTC) that are counted: those that it touches, or fewer */
};
/* Add the guest's counts of each of these days to days[0], ...; of the first and the last one only
 * what is in the period. */
gboolean figures_by_day(struct counter *counter, gint64 guest, const struct figures_period *period,
			gint64 now, struct figures *days);
/* The first day of which anything is kept; 0: nothing is. Returns SQLite's code. */
int figures_first_day(sqlite3 *db, gint64 *day);
void figures_init(struct figures *figures);
void figures_clear(struct figures *figures);
/* ms; -1: no boot became ready. Sorts them. */
gint64 figures_median(struct figures *figures);

#endif
