/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest did in a period, in figures. They come from the sums of each day, and for the days
 * that are not in the period as a whole from what was kept of them. */
#ifndef CHILDHURDD_HISTORY_FIGURES_H
#define CHILDHURDD_HISTORY_FIGURES_H

#include <glib.h>
#include <sqlite3.h>

struct figures {
	gint64 wanted, up; /* ms that it was wanted up, and that it did its work */
	gint64 boots, failures, builds;
	gint64 build_ms;
	GArray *boot_ms; /* of gint64: of those boots that became ready */
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
/* Add the guest's counts of each day (UTC) from first on, before `after`, to days[0], ... */
gboolean figures_by_day(struct counter *counter, gint64 guest, gint64 first, gint64 after,
			gint64 now, struct figures *days);
void figures_init(struct figures *figures);
void figures_clear(struct figures *figures);
/* ms; -1: no boot became ready. Sorts them. */
gint64 figures_median(struct figures *figures);

#endif
