/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/history/figures.h"

#include "childhurdd/history/ledger.h"

#define COLD "how = 'cold'" /* of a boot: from the disk */

void
figures_init(struct figures *figures)
{
	*figures = (struct figures){.boot_ms = g_array_new(FALSE, FALSE, sizeof(gint64))};
}

void
figures_clear(struct figures *figures)
{
	g_clear_pointer(&figures->boot_ms, g_array_unref);
}

static int
compare(const void *a, const void *b)
{
	const gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
	return (x > y) - (x < y);
}

gint64
figures_median(struct figures *figures)
{
	const GArray *ms = figures->boot_ms;
	if (!ms->len)
		return -1;
	g_array_sort(figures->boot_ms, compare);
	gint64 upper = g_array_index(ms, gint64, ms->len / 2);
	return ms->len % 2 ? upper : (upper + g_array_index(ms, gint64, ms->len / 2 - 1)) / 2;
}

struct counter {
	sqlite3 *db;
	GHashTable *statements;
	int error;
};

struct counter *
figures_counter(sqlite3 *db)
{
	struct counter *counter = g_new(struct counter, 1);
	*counter = (struct counter){db, statements_new(), SQLITE_OK};
	return counter;
}

void
figures_counter_free(struct counter *counter)
{
	g_hash_table_unref(counter->statements);
	g_free(counter);
}

int
figures_error(const struct counter *counter)
{
	return counter->error;
}

/* The rows of sql with these parameters, each given to row. */
static gboolean
each(struct counter *counter, const char *sql, const gint64 *values, guint n,
     void (*row)(sqlite3_stmt *statement, const gint64 *values, struct figures *figures),
     struct figures *figures)
{
	sqlite3_stmt *statement = statements_find(counter->statements, counter->db, sql);
	int code = statement ? SQLITE_OK : sqlite3_extended_errcode(counter->db);
	for (guint i = 0; code == SQLITE_OK && i < n; i++)
		code = sqlite3_bind_int64(statement, (int)i + 1, values[i]);
	if (code == SQLITE_OK)
		while ((code = sqlite3_step(statement)) == SQLITE_ROW)
			row(statement, values, figures);
	counter->error = code == SQLITE_DONE ? SQLITE_OK : code;
	sqlite3_reset(statement);
	return code == SQLITE_DONE;
}

/* --- what of it is in [values[1], values[2]) --- */

static void
add_state(sqlite3_stmt *statement, const gint64 *values, struct figures *figures)
{
	gint64 begin = MAX(sqlite3_column_int64(statement, 0), values[1]);
	gint64 end = MIN(sqlite3_column_int64(statement, 1), values[2]);
	if (begin >= end)
		return;
	figures->wanted += (end - begin) / 1000;
	if (ledger_is_up((const char *)sqlite3_column_text(statement, 2)))
		figures->up += (end - begin) / 1000;
}

/* wanted, up, builds and build_ms are in this column and the next ones. */
static void
count_sums(sqlite3_stmt *statement, int column, struct figures *figures)
{
	figures->wanted += sqlite3_column_int64(statement, column);
	figures->up += sqlite3_column_int64(statement, column + 1);
	figures->builds += sqlite3_column_int64(statement, column + 2);
	figures->build_ms += sqlite3_column_int64(statement, column + 3);
}

static void
add_sums(sqlite3_stmt *statement, const gint64 *values, struct figures *figures)
{
	count_sums(statement, 0, figures);
}

/* ms (NULL: it was never ready) is in this column, and COLD in the next. A start from a warm state
 * is another thing than a boot: they have no median together. */
static void
count_boot(sqlite3_stmt *statement, int column, struct figures *figures)
{
	gint64 ms = sqlite3_column_int64(statement, column);
	if (!sqlite3_column_int(statement, column + 1)) {
		figures->warm_starts++;
		return;
	}
	figures->boots++;
	if (sqlite3_column_type(statement, column) != SQLITE_NULL)
		g_array_append_val(figures->boot_ms, ms);
}

static void
add_boot(sqlite3_stmt *statement, const gint64 *values, struct figures *figures)
{
	count_boot(statement, 0, figures);
}

static void
add_failures(sqlite3_stmt *statement, const gint64 *values, struct figures *figures)
{
	figures->failures += sqlite3_column_int64(statement, 0);
}

/* States that are over and builds that ended, one by one. */
static gboolean
count_rows(struct counter *counter, gint64 guest, gint64 since, gint64 until,
	   struct figures *figures)
{
	const gint64 values[] = {guest, since, until};
	if (since >= until)
		return TRUE;
	return each(counter,
		    "SELECT begin, end, " LEDGER_WORD(
			"state") " FROM state WHERE guest = ?1 AND begin < ?3"
				 " AND begin >= coalesce((SELECT max(begin) FROM state WHERE guest "
				 "= ?1"
				 " AND begin <= ?2), ?2) AND end > ?2 AND wanted",
		    values, 3, add_state, figures) &&
	       each(counter,
		    "SELECT 0, 0, count(*), sum(end - begin) / 1000 FROM build WHERE guest = ?1"
		    " AND begin >= ?2 AND begin < ?3 AND end IS NOT NULL",
		    values, 3, add_sums, figures);
}

/* What goes on. */
static gboolean
count_open(struct counter *counter, gint64 guest, gint64 since, gint64 until, gint64 now,
	   struct figures *figures)
{
	const gint64 values[] = {guest, since, MIN(until, MAX(now, since))};
	return each(counter,
		    "SELECT begin, ?3, " LEDGER_WORD(
			"state") " FROM state WHERE guest = ?1 AND end IS NULL AND wanted"
				 " AND begin = (SELECT max(begin) FROM state WHERE guest = ?1) AND "
				 "?2 <= ?3",
		    values, 3, add_state, figures) &&
	       each(counter,
		    "SELECT 0, 0, count(*), sum(max(?3 - begin, 0)) / 1000 FROM build WHERE guest "
		    "= ?1"
		    " AND end IS NULL AND begin >= ?2 AND begin < ?3",
		    values, 3, add_sums, figures);
}

/* The days from first on, before the day `after`. */
static gboolean
count_days(struct counter *counter, gint64 guest, gint64 first, gint64 after,
	   struct figures *figures)
{
	const gint64 values[] = {guest, first, after};
	return each(counter,
		    "SELECT sum(wanted), sum(up), sum(builds), sum(build_ms) FROM day"
		    " WHERE guest = ?1 AND day >= ?2 AND day < ?3",
		    values, 3, add_sums, figures);
}

gboolean
figures_count(struct counter *counter, gint64 guest, gint64 since, gint64 until, gint64 now,
	      struct figures *figures)
{
	const gint64 values[] = {guest, since, until};
	gint64 first = (since + LEDGER_DAY - 1) / LEDGER_DAY, after = until / LEDGER_DAY;
	gboolean good;
	if (first < after)
		good = count_rows(counter, guest, since, first * LEDGER_DAY, figures) &&
		       count_days(counter, guest, first, after, figures) &&
		       count_rows(counter, guest, after * LEDGER_DAY, until, figures);
	else
		good = count_rows(counter, guest, since, until, figures);
	return good && count_open(counter, guest, since, until, now, figures) &&
	       each(counter,
		    "SELECT ms, " COLD " FROM boot WHERE guest = ?1 AND begin >= ?2"
		    " AND begin < ?3",
		    values, 3, add_boot, figures) &&
	       each(counter,
		    "SELECT count(*) FROM failure WHERE guest = ?1 AND time >= ?2 AND time < ?3"
		    " AND reason <> 'host'",
		    values, 3, add_failures, figures);
}

/* --- by day --- */

/* Where a row's day, in values[1] to values[2], is counted; the day is in column 0. */
static struct figures *
day_of(sqlite3_stmt *statement, const gint64 *values, struct figures *days)
{
	gint64 day = sqlite3_column_int64(statement, 0);
	return day >= values[1] && day < values[2] ? &days[day - values[1]] : NULL;
}

static void
add_to_day(sqlite3_stmt *statement, const gint64 *values, struct figures *days)
{
	struct figures *day = day_of(statement, values, days);
	if (day)
		count_sums(statement, 1, day);
}

static void
add_boot_to_day(sqlite3_stmt *statement, const gint64 *values, struct figures *days)
{
	struct figures *day = day_of(statement, values, days);
	if (day)
		count_boot(statement, 1, day);
}

static void
add_failure_to_day(sqlite3_stmt *statement, const gint64 *values, struct figures *days)
{
	struct figures *day = day_of(statement, values, days);
	if (day)
		day->failures++;
}

/* A state from column 0 to column 1, a part for each day. */
static void
add_state_to_days(sqlite3_stmt *statement, const gint64 *values, struct figures *days)
{
	gint64 begin = sqlite3_column_int64(statement, 0), end = sqlite3_column_int64(statement, 1);
	gboolean up = ledger_is_up((const char *)sqlite3_column_text(statement, 2));
	for (gint64 day = MAX(begin / LEDGER_DAY, values[1]);
	     day < values[2] && day * LEDGER_DAY < end; day++) {
		gint64 ms =
		    (MIN(end, (day + 1) * LEDGER_DAY) - MAX(begin, day * LEDGER_DAY)) / 1000;
		days[day - values[1]].wanted += MAX(ms, 0);
		days[day - values[1]].up += up ? MAX(ms, 0) : 0;
	}
}

/* The days from first on, before `after`. */
static gboolean
count_whole_days(struct counter *counter, gint64 guest, gint64 first, gint64 after, gint64 now,
		 struct figures *days)
{
	const gint64 values[] = {guest, first, after, now, LEDGER_DAY};
	return each(counter,
		    "SELECT day, wanted, up, builds, build_ms FROM day WHERE guest = ?1"
		    " AND day >= ?2 AND day < ?3",
		    values, 3, add_to_day, days) &&
	       each(counter,
		    "SELECT begin, ?4, " LEDGER_WORD(
			"state") " FROM state WHERE guest = ?1 AND end IS NULL AND wanted"
				 " AND begin = (SELECT max(begin) FROM state WHERE guest = ?1)",
		    values, 4, add_state_to_days, days) &&
	       each(counter,
		    "SELECT begin / ?5, 0, 0, 1, max(?4 - begin, 0) / 1000 FROM build"
		    " WHERE guest = ?1 AND end IS NULL",
		    values, 5, add_to_day, days) &&
	       each(counter,
		    "SELECT begin / ?5, ms, " COLD
		    " FROM boot WHERE guest = ?1 AND begin >= ?2 * ?5"
		    " AND begin < ?3 * ?5",
		    values, 5, add_boot_to_day, days) &&
	       each(counter,
		    "SELECT time / ?5 FROM failure WHERE guest = ?1 AND time >= ?2 * ?5"
		    " AND time < ?3 * ?5 AND reason <> 'host'",
		    values, 5, add_failure_to_day, days);
}

gboolean
figures_by_day(struct counter *counter, gint64 guest, const struct figures_period *period,
	       gint64 now, struct figures *days)
{
	gint64 first = period->first;
	gint64 whole = (period->since + LEDGER_DAY - 1) / LEDGER_DAY - first;
	gint64 after = period->until / LEDGER_DAY - first;
	whole = CLAMP(whole, 0, period->n);
	after = CLAMP(after, whole, period->n);
	gboolean good =
	    count_whole_days(counter, guest, first + whole, first + after, now, days + whole);
	for (gint64 i = 0; good && i < period->n; i++) {
		gint64 from = (first + i) * LEDGER_DAY;
		if (i < whole || i >= after)
			good = figures_count(counter, guest, MAX(from, period->since),
					     MIN(from + LEDGER_DAY, period->until), now, &days[i]);
	}
	return good;
}

int
figures_first_day(sqlite3 *db, gint64 *day)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db,
				      "SELECT min(d) FROM (SELECT min(day) AS d FROM day"
				      " UNION ALL SELECT min(begin) / 86400000000 FROM state)",
				      -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	*day = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}
