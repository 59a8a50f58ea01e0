/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happened, as rows. Several notes are one transaction: after a kill the file has all of them
 * or none.
 *
 * A guest's states follow one another without a gap: a state ends the one before, and a daemon's
 * first state of a guest is preceded by the state "unknown", from the moment in which the daemon
 * before it wrote last.
 */
#include <math.h>
#include <string.h>

#include "childhurdd/history/ledger_internal.h"

#define UNKNOWN "unknown" /* the state while no daemon ran */
/* µs; a state that lasts longer is one of a wrong clock */
#define LONGEST (3660 * LEDGER_DAY)
/* µs by which a clock may be set back without a doubt of what it was before */
#define SET_BACK G_GINT64_CONSTANT(3600000000)

/* --- what is bound --- */

/* In units of `unit`. */
static void
bind_measure(sqlite3_stmt *statement, int i, double value, double unit)
{
	if (isfinite(value)) /* else NULL */
		sqlite3_bind_int64(statement, i, (gint64)round(value / unit));
}

/* The guest's id; 0: error. */
static gint64
guest_id(struct ledger *ledger, const char *name, GError **error)
{
	gint64 id = (gint64)(gintptr)g_hash_table_lookup(ledger->ids, name);
	if (id)
		return id;
	sqlite3_stmt *insert = ledger_statement(
	    ledger, "INSERT INTO guest (name) VALUES (?1) ON CONFLICT DO NOTHING", NULL, 0, error);
	if (!insert)
		return 0;
	ledger_bind_text(insert, 1, name);
	if (!ledger_step(ledger, insert, error))
		return 0;
	sqlite3_stmt *find =
	    ledger_statement(ledger, "SELECT id FROM guest WHERE name = ?1", NULL, 0, error);
	if (!find)
		return 0;
	ledger_bind_text(find, 1, name);
	gboolean row;
	if (!ledger_row(ledger, find, &row, error))
		return 0;
	id = row ? sqlite3_column_int64(find, 0) : 0;
	sqlite3_reset(find);
	if (id)
		g_hash_table_insert(ledger->ids, g_strdup(name), (gpointer)(gintptr)id);
	else
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED, "%s: has no guest %s",
			    ledger->path, name);
	return id;
}

/* --- sums for each day --- */

static gboolean
add_to_day(struct ledger *ledger, gint64 guest, gint64 day, const gint64 sums[4], GError **error)
{
	const gint64 values[] = {guest, day, sums[0], sums[1], sums[2], sums[3]};
	return ledger_change(
	    ledger,
	    "INSERT INTO day (guest, day, wanted, up, builds, build_ms)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"
	    " wanted = wanted + excluded.wanted, up = up + excluded.up,"
	    " builds = builds + excluded.builds, build_ms = build_ms + excluded.build_ms",
	    values, G_N_ELEMENTS(values), error);
}

gboolean
ledger_is_up(const char *state)
{
	static const char *const up[] = {"ready", "draining", "asleep", NULL};
	return state && g_strv_contains(up, state);
}

/* A state from begin to end is over. Its parts, a day each. */
static gboolean
sum_up_state(struct ledger *ledger, gint64 guest, gint64 begin, gint64 end, gboolean up,
	     GError **error)
{
	begin = MAX(begin, end - LONGEST);
	while (begin < end) {
		gint64 day = begin / LEDGER_DAY, to = MIN(end, (day + 1) * LEDGER_DAY);
		const gint64 sums[] = {(to - begin) / 1000, up ? (to - begin) / 1000 : 0, 0, 0};
		if (!add_to_day(ledger, guest, day, sums, error))
			return FALSE;
		begin = to;
	}
	return TRUE;
}

/* --- states --- */

struct last_state {
	gint64 begin, end; /* end 0: it goes on */
	gboolean wanted, up;
	gboolean there;
};

static gboolean
last_state(struct ledger *ledger, gint64 guest, struct last_state *last, GError **error)
{
	sqlite3_stmt *statement = ledger_statement(
	    ledger,
	    "SELECT begin, end, wanted, " LEDGER_WORD("state") " FROM state WHERE guest = ?1"
							       " ORDER BY begin DESC LIMIT 1",
	    &guest, 1, error);
	if (!statement)
		return FALSE;
	*last = (struct last_state){0};
	gboolean row;
	if (!ledger_row(ledger, statement, &row, error))
		return FALSE;
	if (row)
		*last = (struct last_state){
		    .begin = sqlite3_column_int64(statement, 0),
		    .end = sqlite3_column_int64(statement, 1),
		    .wanted = sqlite3_column_int(statement, 2) != 0,
		    .up = ledger_is_up((const char *)sqlite3_column_text(statement, 3)),
		    .there = TRUE};
	sqlite3_reset(statement);
	return TRUE;
}

static gboolean
end_state(struct ledger *ledger, gint64 guest, const struct last_state *last, gint64 end,
	  GError **error)
{
	const gint64 values[] = {guest, last->begin, end};
	return ledger_change(ledger, "UPDATE state SET end = ?3 WHERE guest = ?1 AND begin = ?2",
			     values, 3, error) &&
	       (!last->wanted || sum_up_state(ledger, guest, last->begin, end, last->up, error));
}

static gboolean
begin_state(struct ledger *ledger, gint64 guest, gint64 begin, gint64 end, const char *state,
	    gboolean wanted, gint64 event, GError **error)
{
	const gint64 values[] = {guest, begin};
	sqlite3_stmt *statement = ledger_statement(
	    ledger,
	    "INSERT OR REPLACE INTO state (guest, begin, end, state, wanted, event)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    values, 2, error);
	if (!statement)
		return FALSE;
	if (end)
		sqlite3_bind_int64(statement, 3, end);
	sqlite3_bind_int(statement, 5, wanted);
	if (event)
		sqlite3_bind_int64(statement, 6, event);
	return ledger_bind_word(ledger, statement, 4, state, error) &&
	       ledger_step(ledger, statement, error);
}

/* A daemon's first state of a guest: what was left open ended when the daemon before wrote last. */
static gboolean
begin_life(struct ledger *ledger, gint64 guest, struct last_state *last, gint64 now, GError **error)
{
	gint64 end = CLAMP(ledger->alive, last->begin, MAX(now, last->begin));
	if (last->there && !last->end && !end_state(ledger, guest, last, end, error))
		return FALSE;
	gint64 from = last->end ? last->end : end;
	if (last->there && from < now &&
	    !begin_state(ledger, guest, from, now, UNKNOWN, FALSE, 0, error))
		return FALSE;
	*last = (struct last_state){.begin = from, .end = now, .there = last->there};
	return TRUE;
}

/* States of a clock that was far ahead would hide what comes now. */
static gboolean
drop_future(struct ledger *ledger, gint64 guest, gint64 now, struct last_state *last,
	    GError **error)
{
	const gint64 values[] = {guest, now, now / LEDGER_DAY};
	return ledger_change(ledger, "DELETE FROM state WHERE guest = ?1 AND begin > ?2", values, 2,
			     error) &&
	       ledger_change(ledger, "UPDATE state SET end = ?2 WHERE guest = ?1 AND end > ?2",
			     values, 2, error) &&
	       ledger_change(ledger, "DELETE FROM day WHERE guest = ?1 AND day > ?3", values, 3,
			     error) &&
	       last_state(ledger, guest, last, error);
}

static gboolean
keep_state(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	struct last_state last;
	gint64 now = note->time;
	if (!last_state(ledger, guest, &last, error))
		return FALSE;
	if (last.there && last.begin - SET_BACK > now &&
	    !drop_future(ledger, guest, now, &last, error))
		return FALSE;
	if (!g_hash_table_contains(ledger->seen, note->guest)) {
		if (!begin_life(ledger, guest, &last, now, error))
			return FALSE;
		g_hash_table_add(ledger->seen, g_strdup(note->guest));
		g_ptr_array_add(ledger->fresh, g_strdup(note->guest));
	}
	if (last.there) /* a clock that was set back does not reach behind it */
		now = MAX(now, last.begin);
	if (last.there && !last.end && !end_state(ledger, guest, &last, now, error))
		return FALSE;
	return begin_state(ledger, guest, now, 0, note->state, note->wanted, note->number, error);
}

static gboolean
keep_gone(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	struct last_state last;
	if (!last_state(ledger, guest, &last, error))
		return FALSE;
	return !last.there || last.end ||
	       end_state(ledger, guest, &last, MAX(note->time, last.begin), error);
}

/* --- boots --- */

/* End those that are not over: at `end`, for the reason text. */
static gboolean
end_boots(struct ledger *ledger, gint64 guest, gint64 before, gint64 end, const char *text,
	  GError **error)
{
	const gint64 values[] = {guest, end, before};
	sqlite3_stmt *statement =
	    ledger_statement(ledger,
			     "UPDATE boot SET end = max(begin, ?2), ended = ?4"
			     " WHERE guest = ?1 AND end IS NULL AND begin < ?3",
			     values, 3, error);
	if (!statement)
		return FALSE;
	return ledger_bind_word(ledger, statement, 4, text, error) &&
	       ledger_step(ledger, statement, error);
}

static gboolean
keep_boot(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	const gint64 values[] = {guest, note->began};
	/* one is left open that another daemon did not see end */
	if (!end_boots(ledger, guest, note->began, CLAMP(ledger->alive, 0, note->began),
		       "while no daemon ran", error))
		return FALSE;
	sqlite3_stmt *statement = ledger_statement(
	    ledger,
	    "INSERT INTO boot (guest, begin, how, phases, ready, ms) VALUES (?1, ?2, ?3, ?4, ?5, "
	    "?6)"
	    " ON CONFLICT DO UPDATE SET how = excluded.how, phases = excluded.phases,"
	    " ready = excluded.ready, ms = excluded.ms",
	    values, 2, error);
	if (!statement)
		return FALSE;
	ledger_bind_text(statement, 3, note->how);
	ledger_bind_text(statement, 4, note->phases ? note->phases : "");
	if (note->ready) {
		sqlite3_bind_int64(statement, 5, note->ready);
		sqlite3_bind_int64(statement, 6, note->ms);
	}
	return ledger_step(ledger, statement, error);
}

static gboolean
keep_ready(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	const gint64 values[] = {guest, note->time};
	return ledger_change(ledger,
			     "UPDATE boot SET ready = ?2, ms = max(?2 - begin, 0) / 1000"
			     " WHERE guest = ?1 AND end IS NULL AND ready IS NULL",
			     values, 2, error);
}

/* --- failures --- */

/* Keep a picture; *id 0: there is none, or it is too large. The oldest make room. */
static gboolean
keep_picture(struct ledger *ledger, GBytes *png, gint64 *id, GError **error)
{
	gsize size = png ? g_bytes_get_size(png) : 0;
	gint64 count, sum;
	*id = 0;
	if (!size || size > LEDGER_PICTURE_MAX)
		return TRUE;
	for (;;) {
		if (!ledger_integer(ledger, "SELECT count(*) FROM picture", 0, &count, error) ||
		    !ledger_integer(ledger, "SELECT sum(size) FROM picture", 0, &sum, error))
			return FALSE;
		if (!count ||
		    (count < LEDGER_PICTURES && sum + (gint64)size <= LEDGER_PICTURES_MAX))
			break;
		if (!ledger_change(ledger,
				   "DELETE FROM picture WHERE id = (SELECT min(id) FROM picture)",
				   NULL, 0, error))
			return FALSE;
	}
	sqlite3_stmt *statement = ledger_statement(
	    ledger, "INSERT INTO picture (size, png) VALUES (?1, ?2)", NULL, 0, error);
	if (!statement)
		return FALSE;
	sqlite3_bind_int64(statement, 1, (gint64)size);
	sqlite3_bind_blob(statement, 2, g_bytes_get_data(png, NULL), (int)size, SQLITE_STATIC);
	if (!ledger_step(ledger, statement, error))
		return FALSE;
	*id = sqlite3_last_insert_rowid(ledger->db);
	return TRUE;
}

static gboolean
keep_failure(struct ledger *ledger, gint64 guest, const struct history_note *note,
	     ledger_picture_fn picture, GError **error)
{
	gint64 id;
	g_autoptr(GBytes) png = note->picture && picture ? picture(note->picture, NULL) : NULL;
	if (!keep_picture(ledger, png, &id, error))
		return FALSE;
	const gint64 values[] = {guest, note->time};
	sqlite3_stmt *statement = ledger_statement(
	    ledger,
	    "INSERT OR REPLACE INTO failure (guest, time, phase, reason, text, picture)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    values, 2, error);
	if (!statement)
		return FALSE;
	ledger_bind_text(statement, 3, note->state ? note->state : "");
	ledger_bind_text(statement, 4, note->reason ? note->reason : "");
	ledger_bind_text(statement, 5, note->text ? note->text : "");
	if (id)
		sqlite3_bind_int64(statement, 6, id);
	return ledger_step(ledger, statement, error);
}

/* --- builds --- */

static gboolean
end_build(struct ledger *ledger, gint64 guest, gint64 begin, gint64 slot, gint64 end,
	  GError **error)
{
	const gint64 ms = MAX(0, end - begin) / 1000;
	const gint64 row[] = {guest, begin, slot, MAX(begin, end)};
	const gint64 boot[] = {guest, begin, ms};
	const gint64 sums[] = {0, 0, 1, ms};
	return ledger_change(
		   ledger,
		   "UPDATE build SET end = ?4 WHERE guest = ?1 AND begin = ?2 AND slot = ?3", row,
		   4, error) &&
	       ledger_change(
		   ledger,
		   "UPDATE boot SET builds = builds + 1, build_ms = build_ms + ?3 WHERE guest = ?1"
		   " AND begin = (SELECT max(begin) FROM boot WHERE guest = ?1 AND begin <= ?2)",
		   boot, 3, error) &&
	       add_to_day(ledger, guest, begin / LEDGER_DAY, sums, error);
}

/* A slot of less than 0: it has none here. */
static gboolean
begin_build(struct ledger *ledger, gint64 guest, gint64 begin, gint64 slot, GError **error)
{
	const gint64 values[] = {guest, begin, slot};
	return ledger_change(ledger,
			     "INSERT INTO build (guest, begin, slot) VALUES (?1, ?2, ?3)"
			     " ON CONFLICT DO UPDATE SET end = NULL",
			     values, 3, error);
}

/* The builds that are open, as (begin, slot) one after the other; the caller unrefs. */
static GArray *
open_builds(struct ledger *ledger, gint64 guest, GError **error)
{
	sqlite3_stmt *statement = ledger_statement(
	    ledger, "SELECT begin, slot FROM build WHERE guest = ?1 AND end IS NULL", &guest, 1,
	    error);
	if (!statement)
		return NULL;
	GArray *builds = g_array_new(FALSE, FALSE, sizeof(gint64));
	gboolean row, good;
	while ((good = ledger_row(ledger, statement, &row, error)) && row)
		for (int i = 0; i < 2; i++) {
			gint64 value = sqlite3_column_int64(statement, i);
			g_array_append_val(builds, value);
		}
	if (good)
		return builds;
	g_array_unref(builds);
	return NULL;
}

static gboolean
keep_builds(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	g_autoptr(GArray) open = open_builds(ledger, guest, error);
	guint64 begun = note->slots;
	gint64 others = note->others;
	if (!open)
		return FALSE;
	for (guint i = 0; i + 1 < open->len; i += 2) {
		gint64 begin = g_array_index(open, gint64, i);
		gint64 slot = g_array_index(open, gint64, i + 1);
		if (slot < 0 && others > 0)
			others--;
		else if (slot >= 0 && note->slots >> (slot & 63) & 1)
			begun &= ~(G_GUINT64_CONSTANT(1) << (slot & 63));
		else if (!end_build(ledger, guest, begin, slot, note->time, error))
			return FALSE;
	}
	for (gint64 slot = 0; begun; slot++, begun >>= 1)
		if ((begun & 1) && !begin_build(ledger, guest, note->time, slot, error))
			return FALSE;
	for (gint64 i = 1; others-- > 0; i++)
		if (!begin_build(ledger, guest, note->time, -i, error))
			return FALSE;
	return TRUE;
}

/* --- samples and restores --- */

static gboolean
keep_sample(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	const struct history_sample *sample = &note->sample;
	const gint64 values[] = {guest, note->began, note->time};
	sqlite3_stmt *statement = ledger_statement(
	    ledger,
	    "INSERT OR REPLACE INTO sample (guest, level, begin, end, n, probe, load, disk_free,"
	    " store_free, memory, cpu) VALUES (?1, 0, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9)",
	    values, 3, error);
	if (!statement)
		return FALSE;
	bind_measure(statement, 4, sample->probe_ms, 0.1);
	bind_measure(statement, 5, sample->load, 0.01);
	bind_measure(statement, 6, sample->disk_free, 1024);
	bind_measure(statement, 7, sample->store_free, 1024);
	bind_measure(statement, 8, sample->memory, 1024);
	bind_measure(statement, 9, sample->cpu, 0.001);
	return ledger_step(ledger, statement, error);
}

static gboolean
keep_restore(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	const gint64 values[] = {guest, note->time, note->ms};
	sqlite3_stmt *statement =
	    ledger_statement(ledger,
			     "INSERT OR REPLACE INTO restore (guest, time, ms, reason)"
			     " VALUES (?1, ?2, ?3, ?4)",
			     values, 3, error);
	if (!statement)
		return FALSE;
	return ledger_bind_word(ledger, statement, 4, note->text ? note->text : "", error) &&
	       ledger_step(ledger, statement, error);
}

static gboolean
keep_event(struct ledger *ledger, gint64 guest, const struct history_note *note, GError **error)
{
	const gint64 values[] = {note->number, note->time};
	sqlite3_stmt *statement =
	    ledger_statement(ledger,
			     "INSERT OR REPLACE INTO event (number, time, guest, state, text)"
			     " VALUES (?1, ?2, ?3, ?4, ?5)",
			     values, 2, error);
	if (!statement)
		return FALSE;
	if (guest)
		sqlite3_bind_int64(statement, 3, guest);
	return ledger_bind_word(ledger, statement, 4, note->state, error) &&
	       ledger_bind_word(ledger, statement, 5, note->text ? note->text : "", error) &&
	       ledger_step(ledger, statement, error);
}

/* --- all --- */

static gboolean
keep(struct ledger *ledger, const struct history_note *note, ledger_picture_fn picture,
     GError **error)
{
	gint64 guest = note->guest ? guest_id(ledger, note->guest, error) : 0;
	if (note->guest && !guest)
		return FALSE;
	switch (note->kind) {
	case HISTORY_EVENT:
		return keep_event(ledger, guest, note, error);
	case HISTORY_STATE:
		return keep_state(ledger, guest, note, error);
	case HISTORY_BOOT:
		return keep_boot(ledger, guest, note, error);
	case HISTORY_READY:
		return keep_ready(ledger, guest, note, error);
	case HISTORY_ENDED:
		return end_boots(ledger, guest, G_MAXINT64, note->time ? note->time : ledger->alive,
				 note->text, error);
	case HISTORY_FAILURE:
		return keep_failure(ledger, guest, note, picture, error);
	case HISTORY_BUILDS:
		return keep_builds(ledger, guest, note, error);
	case HISTORY_SAMPLE:
		return keep_sample(ledger, guest, note, error);
	case HISTORY_RESTORE:
		return keep_restore(ledger, guest, note, error);
	case HISTORY_GONE:
		return keep_gone(ledger, guest, note, error);
	case HISTORY_BEAT:
		return TRUE;
	}
	return TRUE;
}

static gboolean
keep_alive(struct ledger *ledger, gint64 time, GError **error)
{
	return ledger_change(ledger,
			     "INSERT OR REPLACE INTO meta (name, value) VALUES ('alive', ?1)",
			     &time, 1, error);
}

/* Something of the transaction that failed may be known here and is not in the file. */
static void
undo(struct ledger *ledger)
{
	sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
	g_hash_table_remove_all(ledger->ids);
	ledger_learn(ledger, NULL);
	for (guint i = 0; i < ledger->fresh->len; i++)
		g_hash_table_remove(ledger->seen, g_ptr_array_index(ledger->fresh, i));
}

gboolean
ledger_write(struct ledger *ledger, const GPtrArray *notes, ledger_picture_fn picture,
	     guint *refused, GError **error)
{
	if (!notes->len)
		return TRUE;
	if (!ledger_run(ledger, "BEGIN IMMEDIATE", error))
		return FALSE;
	g_ptr_array_set_size(ledger->fresh, 0);
	gboolean good = TRUE;
	for (guint i = 0; good && i < notes->len; i++) {
		g_autoptr(GError) why = NULL;
		good = keep(ledger, g_ptr_array_index(notes, i), picture, &why);
		if (!good && (sqlite3_errcode(ledger->db) & 0xff) == SQLITE_CONSTRAINT) {
			good = TRUE;
			++*refused;
		} else if (!good) {
			g_propagate_error(error, g_steal_pointer(&why));
		}
	}
	const struct history_note *last = g_ptr_array_index(notes, notes->len - 1);
	good = good && keep_alive(ledger, last->time, error) && ledger_run(ledger, "COMMIT", error);
	if (!good)
		undo(ledger);
	return good;
}
