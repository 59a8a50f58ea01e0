/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the history loses: samples become fewer as they age, and what is older than `history', or
 * too much for the file, goes. Each step is a transaction of its own, so that none is long.
 */
#include "childhurdd/history/ledger_internal.h"

#define ROOM_HIGH 0.92 /* of the file's bytes: from here on the oldest goes ... */
#define ROOM_LOW  0.85 /* ... until no more than this are used */
#define STEP	  20   /* and each time this part of the time that is kept */
#define VACUUM	  512  /* pages that are given back to the file system at a time */

/* --- thinning --- */

/* Samples of a level that began before `before` become one for each span, in the next level. Their
 * averages count each by how many are in it. */
static gboolean
thin(struct ledger *ledger, gint64 level, gint64 before, gint64 span, GError **error)
{
	const gint64 values[] = {level, before, span};
	return ledger_change(ledger,
			     "INSERT OR REPLACE INTO sample (guest, level, begin, end, n, probe, "
			     "load, disk_free,"
			     " store_free, memory, cpu)"
			     " SELECT guest, ?1 + 1, begin / ?3 * ?3, max(end), sum(n),"
			     " sum(probe * n) / sum(n * (probe IS NOT NULL)),"
			     " sum(load * n) / sum(n * (load IS NOT NULL)),"
			     " sum(disk_free * n) / sum(n * (disk_free IS NOT NULL)),"
			     " sum(store_free * n) / sum(n * (store_free IS NOT NULL)),"
			     " sum(memory * n) / sum(n * (memory IS NOT NULL)),"
			     " sum(cpu * n) / sum(n * (cpu IS NOT NULL))"
			     " FROM sample WHERE level = ?1 AND begin < ?2"
			     " GROUP BY guest, begin / ?3",
			     values, 3, error) &&
	       ledger_change(ledger, "DELETE FROM sample WHERE level = ?1 AND begin < ?2", values,
			     2, error);
}

static gboolean
thin_all(struct ledger *ledger, gint64 now, GError **error)
{
	/* whole spans only: they are never added to again */
	gint64 fine = (now - LEDGER_FINE) / LEDGER_COARSE * LEDGER_COARSE;
	gint64 week = (now - LEDGER_WEEK) / LEDGER_COARSEST * LEDGER_COARSEST;
	return thin(ledger, 0, fine, LEDGER_COARSE, error) &&
	       thin(ledger, 1, week, LEDGER_COARSEST, error);
}

/* --- dropping --- */

/* Drop what was over before this time (µs). A state or a boot that goes on stays, and so does the
 * event with the highest number: numbers go on from it. */
static gboolean
drop(struct ledger *ledger, gint64 before, GError **error)
{
	static const char *const all[] = {
	    "DELETE FROM state WHERE end < ?1",
	    "DELETE FROM boot WHERE end < ?1",
	    "DELETE FROM build WHERE end < ?1",
	    "DELETE FROM restore WHERE time < ?1",
	    "DELETE FROM sample WHERE end < ?1",
	    "DELETE FROM day WHERE (day + 1) * 86400000000 < ?1",
	    "DELETE FROM picture WHERE id IN (SELECT picture FROM failure WHERE time < ?1)",
	    "DELETE FROM failure WHERE time < ?1",
	    "DELETE FROM event WHERE time < ?1 AND number < (SELECT max(number) FROM event)",
	};
	gboolean good = TRUE;
	for (gsize i = 0; good && i < G_N_ELEMENTS(all); i++)
		good = ledger_change(ledger, all[i], &before, 1, error);
	return good;
}

static gboolean
in_transaction(struct ledger *ledger,
	       gboolean (*fn)(struct ledger *ledger, gint64 time, GError **error), gint64 time,
	       GError **error)
{
	if (!ledger_run(ledger, "BEGIN IMMEDIATE", error))
		return FALSE;
	if (fn(ledger, time, error) && ledger_run(ledger, "COMMIT", error))
		return TRUE;
	sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
	return FALSE;
}

/* --- room --- */

static gboolean
used(struct ledger *ledger, double *share, GError **error)
{
	gint64 pages, unused, size;
	if (!ledger_integer(ledger, "PRAGMA page_count", 0, &pages, error) ||
	    !ledger_integer(ledger, "PRAGMA freelist_count", 0, &unused, error) ||
	    !ledger_integer(ledger, "PRAGMA page_size", 0, &size, error))
		return FALSE;
	*share = (double)((pages - unused) * size) / (double)ledger->bytes_max;
	return TRUE;
}

/* When the oldest that is kept happened; now: there is nothing. */
static gboolean
oldest(struct ledger *ledger, gint64 now, gint64 *time, GError **error)
{
	return ledger_integer(
	    ledger,
	    "SELECT min(t) FROM (SELECT min(time) AS t FROM event"
	    " UNION ALL SELECT min(end) FROM state UNION ALL SELECT min(end) FROM boot"
	    " UNION ALL SELECT min(end) FROM build UNION ALL SELECT min(time) FROM failure"
	    " UNION ALL SELECT min(end) FROM sample UNION ALL SELECT min(time) FROM restore)",
	    now, time, error);
}

static gboolean
make_room(struct ledger *ledger, gint64 now, GError **error)
{
	double share;
	gint64 time, last = G_MININT64;
	if (!used(ledger, &share, error))
		return FALSE;
	if (share < ROOM_HIGH)
		return TRUE;
	while (share > ROOM_LOW) {
		if (!oldest(ledger, now, &time, error))
			return FALSE;
		gint64 before = MAX(time, last) + MAX((now - time) / STEP, 1);
		if (time >= now || before <= last)
			return TRUE; /* nothing is left that could go */
		last = before;
		if (!in_transaction(ledger, drop, before, error) || !used(ledger, &share, error))
			return FALSE;
	}
	return TRUE;
}

/* The pages that are free go back to the file system, a few at a time. */
static gboolean
give_back(struct ledger *ledger, GError **error)
{
	gint64 unused;
	if (!ledger_integer(ledger, "PRAGMA freelist_count", 0, &unused, error))
		return FALSE;
	for (; unused > VACUUM; unused -= VACUUM) {
		g_autofree char *sql = g_strdup_printf("PRAGMA incremental_vacuum(%d)", VACUUM);
		if (!ledger_run(ledger, sql, error))
			return FALSE;
	}
	return TRUE;
}

gboolean
ledger_tidy(struct ledger *ledger, gint64 now, gint64 keep, GError **error)
{
	return in_transaction(ledger, thin_all, now, error) &&
	       in_transaction(ledger, drop, now - keep, error) && make_room(ledger, now, error) &&
	       give_back(ledger, error);
}
