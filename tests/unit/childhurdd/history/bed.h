/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder with a history, notes for it, and what is read from it, for the tests of this folder. */
#ifndef TESTS_HISTORY_BED_H
#define TESTS_HISTORY_BED_H

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/history/history.h"
#include "childhurdd/history/reading.h"

#define PATIENCE 100. /* s */
#define SECOND	 G_GINT64_CONSTANT(1000000)
#define HOUR	 (3600 * SECOND)
#define DAY	 (24 * HOUR)
#define START	 (20000 * DAY) /* a midnight of 2024, UTC */

struct bed {
	char *folder, *path;
	struct ledger *ledger;
	GPtrArray *notes; /* for the next write */
};

static inline struct bed
bed_new(void)
{
	g_autoptr(GError) error = NULL;
	struct bed bed = {.folder = g_dir_make_tmp("childhurd-history-XXXXXX", &error)};
	g_assert_no_error(error);
	bed.path = g_build_filename(bed.folder, HISTORY_FILE, NULL);
	bed.notes = g_ptr_array_new_with_free_func(history_note_free);
	return bed;
}

static inline void
bed_open(struct bed *bed)
{
	g_autoptr(GError) error = NULL;
	bed->ledger = ledger_open(bed->path, LEDGER_BYTES_MAX, &error);
	g_assert_no_error(error);
}

static inline void
bed_close(struct bed *bed)
{
	g_clear_pointer(&bed->ledger, ledger_close);
}

static inline void
bed_free(struct bed *bed)
{
	g_autoptr(GDir) dir = g_dir_open(bed->folder, 0, NULL);
	const char *name;
	bed_close(bed);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(bed->folder, name, NULL);
		g_remove(path);
	}
	g_rmdir(bed->folder);
	g_free(bed->folder);
	g_free(bed->path);
	g_ptr_array_unref(bed->notes);
}

static inline struct history_note *
bed_note(struct bed *bed, enum history_kind kind, const char *guest, gint64 time)
{
	struct history_note *note = history_note_new(kind, guest, time);
	g_ptr_array_add(bed->notes, note);
	return note;
}

static inline void
bed_state(struct bed *bed, const char *guest, gint64 time, const char *state, gboolean wanted)
{
	struct history_note *note = bed_note(bed, HISTORY_STATE, guest, time);
	note->state = g_strdup(state);
	note->wanted = wanted;
}

static inline void
bed_event(struct bed *bed, gint64 number, const char *guest, gint64 time, const char *text)
{
	struct history_note *note = bed_note(bed, HISTORY_EVENT, guest, time);
	note->number = number;
	note->text = g_strdup(text);
}

static inline void
bed_boot(struct bed *bed, const char *guest, gint64 began, gint64 ready, gint64 ms)
{
	struct history_note *note = bed_note(bed, HISTORY_BOOT, guest, began);
	note->began = began;
	note->ready = ready;
	note->ms = ms;
	note->how = g_strdup("cold");
	note->phases = g_strdup("start 1000 boot 9000");
}

static inline void
bed_builds(struct bed *bed, const char *guest, gint64 time, guint64 slots, int others)
{
	struct history_note *note = bed_note(bed, HISTORY_BUILDS, guest, time);
	note->slots = slots;
	note->others = others;
}

static inline void
bed_sample(struct bed *bed, const char *guest, gint64 time, double load)
{
	struct history_note *note = bed_note(bed, HISTORY_SAMPLE, guest, time + 60 * SECOND);
	note->began = time;
	note->sample = (struct history_sample){.probe_ms = 20,
					       .load = load,
					       .disk_free = NAN,
					       .store_free = 1e9,
					       .memory = 5e8,
					       .cpu = 0.5};
}

/* Write the notes. */
static inline void
bed_write(struct bed *bed)
{
	g_autoptr(GError) error = NULL;
	guint refused = 0;
	ledger_write(bed->ledger, bed->notes, NULL, &refused, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(refused, ==, 0);
	g_ptr_array_set_size(bed->notes, 0);
}

/* The tables with texts in the place of words. */
static const char bed_words[] =
    "CREATE TEMP VIEW event AS SELECT number, time, "
    "guest, " LEDGER_WORD("state") " AS state, " LEDGER_WORD(
	"event.text") " AS text FROM main.event;"
		      "CREATE TEMP VIEW state AS SELECT guest, begin, "
		      "end, " LEDGER_WORD("state") " AS state,"
						   " wanted, event FROM main.state;"
						   "CREATE TEMP VIEW boot AS SELECT guest, "
						   "begin, how, ready, ms, end, " LEDGER_WORD(
						       "ended") " AS ended, builds, build_ms "
								"FROM main.boot;";

/* The rows of a statement: columns with |, rows with a space between them. Caller frees. */
static inline char *
bed_rows(const struct bed *bed, const char *sql)
{
	g_autoptr(GError) error = NULL;
	sqlite3_stmt *statement = NULL;
	GString *rows = g_string_new(NULL);
	sqlite3 *db = ledger_read(bed->path, &error);
	g_assert_no_error(error);
	g_assert_cmpint(sqlite3_exec(db, bed_words, NULL, NULL, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), ==, SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		g_string_append(rows, rows->len ? " " : "");
		for (int i = 0; i < sqlite3_column_count(statement); i++) {
			const char *text = (const char *)sqlite3_column_text(statement, i);
			g_string_append_printf(rows, "%s%s", i ? "|" : "", text ? text : "-");
		}
	}
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return g_string_free(rows, FALSE);
}

static inline void
bed_assert(const struct bed *bed, const char *sql, const char *expected)
{
	g_autofree char *rows = bed_rows(bed, sql);
	g_assert_cmpstr(rows, ==, expected);
}

/* --- the loop --- */

static inline void
bed_on_patience(struct ev_loop *loop, ev_timer *w, int events)
{
	g_error("nothing happened for %g s", PATIENCE);
}

static inline void
bed_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
}

/* Run the loop until done(data), which is asked after each turn of it. */
static inline void
bed_run_until(struct ev_loop *loop, gboolean (*done)(void *data), void *data)
{
	ev_timer patience, tick;
	ev_timer_init(&patience, bed_on_patience, PATIENCE, 0);
	ev_timer_init(&tick, bed_on_tick, 0.01, 0.01);
	ev_timer_start(loop, &patience);
	ev_timer_start(loop, &tick);
	while (!done(data))
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &patience);
	ev_timer_stop(loop, &tick);
}

#endif
