/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of the history: what is read from the file, and its JSON. */
#include "childhurdd/history/records.h"

#include "childhurdd/history/json.h"

static gint64
whole(sqlite3_stmt *row, int column)
{
	return sqlite3_column_int64(row, column);
}

static void
add_whole(GString *out, const char *name, sqlite3_stmt *row, int column)
{
	if (sqlite3_column_type(row, column) != SQLITE_NULL)
		json_whole(out, name, whole(row, column));
}

static void
add_real(GString *out, const char *name, sqlite3_stmt *row, int column)
{
	if (sqlite3_column_type(row, column) != SQLITE_NULL)
		json_real(out, name, sqlite3_column_double(row, column));
}

static void
add_text(GString *out, const char *name, sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);
	if (text)
		json_text(out, name, text);
}

static void
event_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 3);
	add_whole(out, "number", row, 0);
	add_text(out, "state", row, 4);
	add_text(out, "text", row, 5);
}

static void
state_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 0);
	add_whole(out, "end", row, 2);
	add_text(out, "state", row, 3);
	json_flag(out, "wanted", whole(row, 4) != 0);
	add_text(out, "text", row, 5);
}

static void
boot_row(GString *out, sqlite3_stmt *row)
{
	const char *phases = (const char *)sqlite3_column_text(row, 5);
	add_whole(out, "time", row, 0);
	add_text(out, "how", row, 2);
	add_whole(out, "ready", row, 3);
	add_whole(out, "ms", row, 4);
	json_phases(out, "phases", phases ? phases : "");
	add_whole(out, "end", row, 6);
	add_text(out, "ended", row, 7);
	add_whole(out, "builds", row, 8);
	json_real(out, "build_seconds", (double)whole(row, 9) / 1000);
}

static void
failure_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 0);
	add_text(out, "phase", row, 2);
	add_text(out, "type", row, 3);
	add_text(out, "reason", row, 4);
	add_whole(out, "screenshot", row, 5);
}

static void
build_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 0);
	add_whole(out, "end", row, 2);
	if (whole(row, 1) >= 0) /* else it is known by its session alone */
		add_whole(out, "slot", row, 1);
}

static void
sample_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 0);
	add_whole(out, "end", row, 2);
	add_real(out, "probe_ms", row, 3);
	add_real(out, "load", row, 4);
	add_whole(out, "disk_free", row, 5);
	add_whole(out, "store_free", row, 6);
	add_whole(out, "memory", row, 7);
	add_real(out, "cpu", row, 8);
}

static void
restore_row(GString *out, sqlite3_stmt *row)
{
	add_whole(out, "time", row, 0);
	add_whole(out, "ms", row, 2);
	add_text(out, "reason", row, 3);
}

/* Columns 0 and 1 are the key. ?1: guest; ?2, ?3: since, until; ?4, ?5: the key of the last row.
 * What lasts belongs to the period if a part of it does. */
#define LASTS(table)                                                                               \
	" AND begin >= coalesce((SELECT max(begin) FROM " table                                    \
	" WHERE guest = ?1 AND begin <= ?2), ?2) AND begin > ?4 AND begin < ?3"                    \
	" AND (end IS NULL OR end > ?2) ORDER BY begin"
#define HAPPENS " AND time > ?4 AND time >= ?2 AND time < ?3 ORDER BY time"

const struct record_kind record_kinds[] = {
    [READING_EVENT] = {"event",
		       "SELECT number, 0, guest, time, " LEDGER_WORD("state") ", " LEDGER_WORD(
			   "event.text") " FROM event WHERE number > ?4"
					 " AND number >= coalesce((SELECT min(number) FROM event "
					 "WHERE time >= ?2), 0)"
					 " AND time >= ?2 AND time < ?3 ORDER BY number",
		       event_row},
    [READING_STATE] = {"state",
		       "SELECT begin, 0, end, " LEDGER_WORD("s.state") ", wanted, " LEDGER_WORD(
			   "event.text") " FROM state AS s"
					 " LEFT JOIN event ON event.number = s.event"
					 " WHERE s.guest = ?1" LASTS("state"),
		       state_row},
    [READING_BOOT] = {"boot",
		      "SELECT begin, 0, how, ready, ms, phases, end, " LEDGER_WORD(
			  "ended") ", builds, build_ms"
				   " FROM boot WHERE guest = ?1" LASTS("boot"),
		      boot_row},
    [READING_FAILURE] = {"failure",
			 "SELECT time, 0, phase, reason, text,"
			 " (SELECT id FROM picture WHERE id = failure.picture)"
			 " FROM failure WHERE guest = ?1" HAPPENS,
			 failure_row},
    [READING_BUILD] = {"build",
		       "SELECT begin, slot, end FROM build WHERE guest = ?1"
		       " AND begin >= ?2 - ?6 AND begin < ?3 AND (begin, slot) > (?4, ?5)"
		       " AND (end IS NULL OR end > ?2) ORDER BY begin, slot",
		       build_row},
    [READING_SAMPLE] = {"sample",
			"SELECT begin, 0, end, probe / 10.0, load / 100.0, disk_free * 1024,"
			" store_free * 1024, memory * 1024, cpu / 1000.0"
			" FROM sample WHERE guest = ?1" LASTS("sample"),
			sample_row},
    [READING_RESTORE] = {"restore",
			 "SELECT time, 0, ms, " LEDGER_WORD(
			     "reason") " FROM restore WHERE guest = ?1" HAPPENS,
			 restore_row},
    [READING_FIGURES] = {"figures", NULL, NULL},
    [READING_DAY] = {"day", NULL, NULL},
};
