/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A reading is a position: a kind, a guest, and the key of the last row. Each piece goes on behind
 * it, with a connection that readers share, so the file may change, or be replaced, in between.
 *
 * The records are written as JSON text by the worker. The loop only copies it.
 */
#include "childhurdd/history/reading.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "childhurdd/history/figures.h"
#include "childhurdd/history/json.h"
#include "childhurdd/system/tasks.h"

#define TIME_MAX (G_GINT64_CONSTANT(1) << 52) /* µs; no time is later */
#define DAYS_MAX 3700 /* days that are summed up at a time: more than `history` can be */

G_DEFINE_QUARK(childhurd - history - reading, reading_error)

struct readers {
	struct tasks *tasks;
	struct history *history;
	GMutex lock;
	GQueue idle;	/* of struct connection */
	guint begun;	/* pieces that are asked for, and not read yet */
	GCond read_one; /* for the end: their number has changed */
};

struct connection {
	sqlite3 *db;
	guint generation;
};

struct chosen {
	gint64 id;
	char *name;
};

struct reading {
	struct readers *readers;
	char **patterns, **known;
	gint64 since, until;
	guint kinds;
	/* the position, which the worker moves while it has a piece */
	GArray *guests; /* of struct chosen; NULL: not looked up yet */
	guint kind, guest;
	gint64 key[2]; /* of the last row */
	/* the piece */
	GString *out;
	GError *error;
	reading_fn done;
	GDestroyNotify destroy_data;
	void *data;
	gboolean busy, closed;
};

/* --- connections --- */

static void
connection_free(struct connection *connection)
{
	sqlite3_close(connection->db);
	g_free(connection);
}

/* A worker is to read, or has read. */
static void
count(struct readers *readers, int change)
{
	g_mutex_lock(&readers->lock);
	readers->begun += (guint)change;
	g_cond_broadcast(&readers->read_one);
	g_mutex_unlock(&readers->lock);
}

/* One that is idle, or a new one; NULL: error, and the worker has read. */
static struct connection *
borrow(struct readers *readers, GError **error)
{
	guint generation = history_generation(readers->history);
	g_mutex_lock(&readers->lock);
	struct connection *connection = g_queue_pop_head(&readers->idle);
	g_mutex_unlock(&readers->lock);
	if (connection && connection->generation == generation)
		return connection;
	if (connection)
		connection_free(connection);
	sqlite3 *db = ledger_read(history_path(readers->history), error);
	if (!db) {
		count(readers, -1);
		return NULL;
	}
	connection = g_new(struct connection, 1);
	*connection = (struct connection){db, generation};
	return connection;
}

/* The worker has read. After an error the writer looks whether the file is damaged. */
static void
give_back(struct readers *readers, struct connection *connection, const GError *error)
{
	if (error) {
		if (g_error_matches(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED))
			history_suspect(readers->history);
		connection_free(connection);
	} else {
		g_mutex_lock(&readers->lock);
		g_queue_push_head(&readers->idle, connection);
		g_mutex_unlock(&readers->lock);
	}
	count(readers, -1);
}

int
reading_kind_from_name(const char *name)
{
	for (guint i = 0; i < N_READING_KINDS; i++)
		if (!strcmp(record_kinds[i].name, name))
			return (int)i;
	return -1;
}

static void
begin_record(struct reading *reading, const char *guest)
{
	g_string_append_printf(reading->out, "%s{\"kind\":\"%s\"", reading->out->len > 1 ? "," : "",
			       record_kinds[reading->kind].name);
	if (guest)
		json_text(reading->out, "guest", guest);
}

static void
end_record(struct reading *reading)
{
	g_string_append_c(reading->out, '}');
}

static gboolean
is_full(const struct reading *reading)
{
	return reading->out->len >= READING_PIECE;
}

static void
next_kind(struct reading *reading)
{
	reading->kind++;
	reading->guest = 0;
	reading->key[0] = reading->key[1] = G_MININT64;
}

static void
next_guest(struct reading *reading)
{
	reading->guest++;
	reading->key[0] = reading->key[1] = G_MININT64;
}

/* --- rows --- */

static gint64
whole(sqlite3_stmt *row, int column)
{
	return sqlite3_column_int64(row, column);
}

static const struct chosen *
chosen(const struct reading *reading, guint i)
{
	return i < reading->guests->len ? &g_array_index(reading->guests, struct chosen, i) : NULL;
}

/* Is an event wanted? Its guest's name, in *name; NULL: the daemon's. */
static gboolean
event_guest(const struct reading *reading, sqlite3_stmt *row, const char **name)
{
	gint64 id = whole(row, 2);
	*name = NULL;
	if (sqlite3_column_type(row, 2) == SQLITE_NULL)
		return reading->patterns == NULL;
	for (guint i = 0; i < reading->guests->len && !*name; i++)
		if (chosen(reading, i)->id == id)
			*name = chosen(reading, i)->name;
	return *name != NULL;
}

/* Add rows until there are no more (TRUE), or the piece is full, or an error. */
static gboolean
add_rows(struct reading *reading, sqlite3_stmt *statement, const char *guest, int *code)
{
	while ((*code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = guest;
		reading->key[0] = whole(statement, 0);
		reading->key[1] = whole(statement, 1);
		if (reading->kind == READING_EVENT && !event_guest(reading, statement, &name))
			continue;
		begin_record(reading, name);
		record_kinds[reading->kind].row(reading->out, statement);
		end_record(reading);
		if (is_full(reading))
			return FALSE;
	}
	return *code == SQLITE_DONE;
}

static void
bind(const struct reading *reading, sqlite3_stmt *statement, gint64 guest)
{
	const gint64 values[] = {guest,		  reading->since,  reading->until,
				 reading->key[0], reading->key[1], READING_BUILD_AGE};
	sqlite3_reset(statement);
	for (guint i = 0; i < G_N_ELEMENTS(values); i++) /* not all statements have all */
		if ((int)i < sqlite3_bind_parameter_count(statement))
			sqlite3_bind_int64(statement, (int)i + 1, values[i]);
}

/* The rows of one kind, of all guests; returns SQLite's code. */
static int
read_rows(struct reading *reading, sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	guint turns = reading->kind == READING_EVENT ? 1 : reading->guests->len;
	int code = sqlite3_prepare_v2(db, record_kinds[reading->kind].sql, -1, &statement, NULL);
	while (code == SQLITE_OK && reading->guest < turns) {
		const struct chosen *guest = chosen(reading, reading->guest);
		bind(reading, statement, guest ? guest->id : 0);
		if (!add_rows(reading, statement, guest ? guest->name : NULL, &code))
			break;
		code = SQLITE_OK;
		next_guest(reading);
	}
	sqlite3_finalize(statement);
	if (code == SQLITE_OK)
		next_kind(reading);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* --- figures --- */

static gint64
now(void)
{
	return g_get_real_time();
}

static void
add_figures(struct reading *reading, const char *guest, gint64 since, gint64 until,
	    struct figures *figures)
{
	GString *out = reading->out;
	gint64 median = figures_median(figures);
	begin_record(reading, guest);
	json_whole(out, "time", since);
	json_whole(out, "end", MIN(until, now()));
	if (figures->wanted)
		json_real(out, "availability", (double)figures->up / (double)figures->wanted);
	json_real(out, "wanted_seconds", (double)figures->wanted / 1000);
	json_whole(out, "boots", figures->boots);
	if (median >= 0)
		json_whole(out, "median_boot_ms", median);
	json_whole(out, "warm_starts", figures->warm_starts);
	json_whole(out, "failures", figures->failures);
	json_whole(out, "builds", figures->builds);
	json_real(out, "build_seconds", (double)figures->build_ms / 1000);
	if (figures->failures && figures->up) /* never up: there was nothing between them */
		json_real(out, "mtbf_s", (double)figures->up / 1000 / (double)figures->failures);
	end_record(reading);
}

/* These return SQLite's code. */
static int
read_figures(struct reading *reading, sqlite3 *db)
{
	struct counter *counter = figures_counter(db);
	int code = SQLITE_OK;
	if (reading->since >= now()) /* nothing was then */
		reading->guest = reading->guests->len;
	while (code == SQLITE_OK && reading->guest < reading->guests->len && !is_full(reading)) {
		const struct chosen *guest = chosen(reading, reading->guest);
		struct figures figures;
		figures_init(&figures);
		if (figures_count(counter, guest->id, reading->since, reading->until, now(),
				  &figures))
			add_figures(reading, guest->name, reading->since, reading->until, &figures);
		else
			code = figures_error(counter);
		figures_clear(&figures);
		next_guest(reading);
	}
	figures_counter_free(counter);
	if (!is_full(reading))
		next_kind(reading);
	return code;
}

/* All at once: there are DAYS_MAX at most. */
static int
read_days(struct reading *reading, sqlite3 *db)
{
	gint64 end = MIN(reading->until, now());
	struct figures_period period = {.since = reading->since, .until = end};
	int code = figures_first_day(db, &period.first);
	period.first =
	    MAX(MAX(period.first, period.since / LEDGER_DAY), end / LEDGER_DAY - DAYS_MAX);
	period.n = MAX(0, (end + LEDGER_DAY - 1) / LEDGER_DAY - period.first);
	g_autofree struct figures *days = g_new(struct figures, period.n + 1);
	struct counter *counter = figures_counter(db);
	for (gint64 i = 0; i < period.n; i++)
		figures_init(&days[i]);
	for (guint i = 0; code == SQLITE_OK && i < reading->guests->len; i++)
		if (!figures_by_day(counter, chosen(reading, i)->id, &period, now(), days))
			code = figures_error(counter);
	for (gint64 i = 0; i < period.n; i++) {
		gint64 from = (period.first + i) * LEDGER_DAY;
		if (days[i].wanted || days[i].boots || days[i].failures || days[i].builds)
			add_figures(reading, NULL, MAX(from, period.since),
				    MIN(from + LEDGER_DAY, end), &days[i]);
		figures_clear(&days[i]);
	}
	figures_counter_free(counter);
	next_kind(reading);
	return code;
}

/* --- a piece --- */

/* Is a pattern for a guest of this name? */
static gboolean
matches(const char *pattern, const char *name)
{
	return !strcmp(pattern, name) || !fnmatch(pattern, name, 0);
}

static gboolean
is_chosen(const struct reading *reading, const char *name, gboolean *used)
{
	gboolean found = !reading->patterns;
	for (guint i = 0; reading->patterns && reading->patterns[i]; i++)
		if (matches(reading->patterns[i], name))
			found = used[i] = TRUE;
	return found;
}

static void
chosen_clear(void *data)
{
	struct chosen *one = data;
	g_free(one->name);
}

/* A pattern that stands for no guest, of the file or of those that are known; NULL: none. */
static const char *
unknown(const struct reading *reading, const gboolean *used)
{
	for (guint i = 0; reading->patterns && reading->patterns[i]; i++) {
		gboolean found = used[i];
		for (char **name = reading->known; name && *name && !found; name++)
			found = matches(reading->patterns[i], *name);
		if (!found)
			return reading->patterns[i];
	}
	return NULL;
}

/* Look up the guests. Returns SQLite's code. */
static int
choose(struct reading *reading, sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	g_autofree gboolean *used =
	    g_new0(gboolean, 1 + (reading->patterns ? g_strv_length(reading->patterns) : 0));
	int code = sqlite3_prepare_v2(db, "SELECT id, name FROM guest ORDER BY name", -1,
				      &statement, NULL);
	reading->guests = g_array_new(FALSE, FALSE, sizeof(struct chosen));
	g_array_set_clear_func(reading->guests, chosen_clear);
	if (code == SQLITE_OK)
		while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
			const char *name = (const char *)sqlite3_column_text(statement, 1);
			if (!name || !is_chosen(reading, name, used))
				continue;
			struct chosen one = {whole(statement, 0), g_strdup(name)};
			g_array_append_val(reading->guests, one);
		}
	sqlite3_finalize(statement);
	const char *wrong = unknown(reading, used);
	if (code == SQLITE_DONE && wrong)
		g_set_error_literal(&reading->error, READING_ERROR, READING_ERROR_UNKNOWN, wrong);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int
read_kind(struct reading *reading, sqlite3 *db)
{
	if (!(reading->kinds >> reading->kind & 1)) {
		next_kind(reading);
		return SQLITE_OK;
	}
	if (record_kinds[reading->kind].sql)
		return read_rows(reading, db);
	return reading->kind == READING_FIGURES ? read_figures(reading, db)
						: read_days(reading, db);
}

static void
piece_work(void *data)
{
	struct reading *reading = data;
	struct connection *connection = borrow(reading->readers, &reading->error);
	if (!connection)
		return;
	sqlite3 *db = connection->db;
	int code = reading->guests ? SQLITE_OK : choose(reading, db);
	while (code == SQLITE_OK && !reading->error && reading->kind < N_READING_KINDS &&
	       !is_full(reading))
		code = read_kind(reading, db);
	if (code != SQLITE_OK)
		ledger_set_error(&reading->error, db, code,
				 history_path(reading->readers->history));
	g_string_append_c(reading->out, ']');
	give_back(reading->readers, connection, code != SQLITE_OK ? reading->error : NULL);
}

/* --- the loop --- */

static void
destroy(struct reading *reading)
{
	g_strfreev(reading->patterns);
	g_strfreev(reading->known);
	g_clear_pointer(&reading->guests, g_array_unref);
	g_string_free(reading->out, TRUE);
	g_clear_error(&reading->error);
	g_free(reading);
}

static void
piece_done(void *data)
{
	struct reading *reading = data;
	reading->busy = FALSE;
	if (reading->closed) {
		if (reading->destroy_data)
			reading->destroy_data(reading->data);
		destroy(reading);
		return;
	}
	g_autoptr(GError) error = g_steal_pointer(&reading->error);
	g_autofree char *text = g_strdup(reading->out->str);
	reading->done(error ? NULL : text, error || reading->kind >= N_READING_KINDS, error,
		      reading->data);
}

struct reading *
reading_new(struct readers *readers, const struct reading_query *query)
{
	struct reading *reading = g_new0(struct reading, 1);
	reading->readers = readers;
	reading->patterns = g_strdupv(query->patterns);
	reading->known = g_strdupv(query->known);
	reading->since = CLAMP(query->since, 0, TIME_MAX);
	reading->until = CLAMP(query->until, 0, TIME_MAX);
	reading->kinds = query->kinds;
	reading->key[0] = reading->key[1] = G_MININT64;
	reading->out = g_string_new(NULL);
	return reading;
}

void
reading_next(struct reading *reading, reading_fn done, GDestroyNotify destroy_data, void *data)
{
	reading->done = done;
	reading->destroy_data = destroy_data;
	reading->data = data;
	reading->busy = TRUE;
	g_string_assign(reading->out, "[");
	count(reading->readers, 1);
	task_run(reading->readers->tasks, piece_work, piece_done, NULL, reading);
}

void
reading_free(struct reading *reading)
{
	if (reading && reading->busy)
		reading->closed = TRUE;
	else if (reading)
		destroy(reading);
}

/* --- pictures --- */

struct picture {
	struct readers *readers;
	gint64 id;
	GBytes *png;
	GError *error;
	void (*done)(GBytes *png, const GError *error, void *data);
	void *data;
};

static void
picture_work(void *data)
{
	struct picture *picture = data;
	sqlite3_stmt *statement = NULL;
	struct connection *connection = borrow(picture->readers, &picture->error);
	if (!connection)
		return;
	int code = sqlite3_prepare_v2(connection->db, "SELECT png FROM picture WHERE id = ?1", -1,
				      &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_int64(statement, 1, picture->id);
		code = sqlite3_step(statement);
	}
	if (code == SQLITE_ROW)
		picture->png = g_bytes_new(sqlite3_column_blob(statement, 0),
					   (gsize)sqlite3_column_bytes(statement, 0));
	else if (code != SQLITE_DONE)
		ledger_set_error(&picture->error, connection->db, code,
				 history_path(picture->readers->history));
	sqlite3_finalize(statement);
	give_back(picture->readers, connection, picture->error);
}

static void
picture_done(void *data)
{
	struct picture *picture = data;
	picture->done(picture->png, picture->error, picture->data);
	g_clear_pointer(&picture->png, g_bytes_unref);
	g_clear_error(&picture->error);
	g_free(picture);
}

void
reading_picture(struct readers *readers, gint64 id,
		void (*done)(GBytes *png, const GError *error, void *data), void *data)
{
	struct picture *picture = g_new0(struct picture, 1);
	*picture = (struct picture){.readers = readers, .id = id, .done = done, .data = data};
	count(readers, 1);
	task_run(readers->tasks, picture_work, picture_done, NULL, picture);
}

/* --- the workers --- */

struct readers *
readers_new(struct ev_loop *loop, struct history *history)
{
	struct readers *readers = g_new0(struct readers, 1);
	readers->tasks = tasks_new(loop, READING_WORKERS);
	readers->history = history;
	g_mutex_init(&readers->lock);
	g_queue_init(&readers->idle);
	g_cond_init(&readers->read_one);
	return readers;
}

/* FALSE: pieces are still being read after READING_END_LIMIT. */
static gboolean
wait_for_workers(struct readers *readers)
{
	gint64 until = g_get_monotonic_time() + READING_END_LIMIT * 1000;
	gboolean good = TRUE;
	g_mutex_lock(&readers->lock);
	while (readers->begun && good)
		good = g_cond_wait_until(&readers->read_one, &readers->lock, until);
	g_mutex_unlock(&readers->lock);
	return good;
}

void
readers_free(struct readers *readers)
{
	struct connection *connection;
	if (!readers)
		return;
	if (!wait_for_workers(readers)) {
		history_hold(readers->history);
		return;
	}
	tasks_finish(readers->tasks);
	while ((connection = g_queue_pop_head(&readers->idle)))
		connection_free(connection);
	g_mutex_clear(&readers->lock);
	g_cond_clear(&readers->read_one);
	g_free(readers);
}
