/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What may be in history.db: bytes of a sound one, some of them replaced, or any others. It is
 * refused, or it is written to, tidied and read; never more than an error comes of it, and what is
 * read for a client is JSON.
 *
 * The input is a list of changes: place (3 bytes), length (1), bytes. An input that begins with
 * "SQLite" is the whole file.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "childhurdd/history/figures.h"
#include "childhurdd/history/ledger.h"
#include "childhurdd/history/reading.h"
#include "childhurdd/history/records.h"
#include "service/varlink.h"
#include "tests/fuzz/lib/fuzz.h"

#define ROWS_MAX 500 /* of a kind: a damaged tree may have no end */

static const gint64 begin = 1700000000000000;

static void
note(GPtrArray *notes, enum history_kind kind, gint64 i)
{
	struct history_note *n = history_note_new(kind, i % 2 ? "a" : "b", begin + i * 60000000);
	n->number = i + 1;
	n->state = g_strdup(i % 3 ? "ready" : "booting");
	n->text = g_strdup("it happened");
	n->how = g_strdup("cold");
	n->phases = g_strdup("start 1 boot 2");
	n->reason = g_strdup("panic");
	n->began = n->time;
	n->slots = (guint64)i % 4;
	n->wanted = TRUE;
	g_ptr_array_add(notes, n);
}

static GPtrArray *
all_notes(void)
{
	GPtrArray *notes = g_ptr_array_new_with_free_func(history_note_free);
	for (gint64 i = 0; i < 20; i++)
		for (int kind = HISTORY_EVENT; kind <= HISTORY_BEAT; kind++)
			note(notes, (enum history_kind)kind, i);
	return notes;
}

static void
forget(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *file = g_strconcat(path, ends[i], NULL);
		unlink(file);
	}
}

/* A sound history, made once. */
static GBytes *
sound(const char *path)
{
	static GBytes *bytes;
	char *text;
	gsize n;
	guint refused = 0;
	if (bytes)
		return bytes;
	g_autoptr(GPtrArray) notes = all_notes();
	forget(path);
	struct ledger *ledger = ledger_open(path, LEDGER_BYTES_MAX, NULL);
	if (!ledger || !ledger_write(ledger, notes, NULL, &refused, NULL))
		abort();
	ledger_close(ledger);
	if (!g_file_get_contents(path, &text, &n, NULL))
		abort();
	bytes = g_bytes_new_take(text, n);
	return bytes;
}

static void
make(const char *path, const uint8_t *data, size_t size)
{
	gsize n;
	const guchar *whole = g_bytes_get_data(sound(path), &n);
	g_autofree char *bytes = g_memdup2(whole, n);
	forget(path);
	if (size > 6 && !memcmp(data, "SQLite", 6)) {
		g_file_set_contents(path, (const char *)data, (gssize)size, NULL);
		return;
	}
	while (size > 4) {
		gsize place = ((gsize)data[0] << 16 | (gsize)data[1] << 8 | data[2]) % n;
		gsize length = MIN(MIN(data[3], size - 4), n - place);
		memcpy(bytes + place, data + 4, length);
		data += 4 + length;
		size -= 4 + length;
	}
	g_file_set_contents(path, bytes, (gssize)n, NULL);
}

/* The records of a guest, as a client gets them: always JSON. */
static void
read_records(sqlite3 *db, guint kind)
{
	const gint64 values[] = {1, 0, begin + 10 * LEDGER_DAY, 0, 0, READING_BUILD_AGE};
	sqlite3_stmt *rows = NULL;
	if (!record_kinds[kind].sql ||
	    sqlite3_prepare_v2(db, record_kinds[kind].sql, -1, &rows, NULL) != SQLITE_OK)
		return;
	for (int i = 0; i < MIN((int)G_N_ELEMENTS(values), sqlite3_bind_parameter_count(rows)); i++)
		sqlite3_bind_int64(rows, i + 1, values[i]);
	for (guint i = 0; i < ROWS_MAX && sqlite3_step(rows) == SQLITE_ROW; i++) {
		g_autoptr(GString) out = g_string_new("{\"parameters\":{\"kind\":0");
		record_kinds[kind].row(out, rows);
		g_string_append(out, "}}");
		struct varlink_message *m = varlink_parse(out->str, NULL);
		require(m && strlen(out->str) == out->len, "a record is JSON", out->str);
		varlink_message_free(m);
	}
	sqlite3_finalize(rows);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *path = g_build_filename(fuzz_folder(), "history.db", NULL);
	g_autoptr(GPtrArray) notes = all_notes();
	guint refused = 0;
	make(path, data, size);
	struct ledger *ledger = ledger_open(path, LEDGER_BYTES_MAX, NULL);
	if (ledger) {
		ledger_write(ledger, notes, NULL, &refused, NULL);
		ledger_tidy(ledger, begin + 10 * LEDGER_DAY, 9 * LEDGER_DAY, NULL);
	}
	sqlite3 *db = ledger_read(path, NULL);
	if (db) {
		struct counter *counter = figures_counter(db);
		struct figures figures;
		figures_init(&figures);
		figures_count(counter, 1, begin - LEDGER_DAY, begin + LEDGER_DAY, begin, &figures);
		figures_median(&figures);
		figures_clear(&figures);
		figures_counter_free(counter);
		for (guint kind = 0; kind < N_READING_KINDS; kind++)
			read_records(db, kind);
		sqlite3_close(db);
	}
	ledger_close(ledger);
	ledger_last_number(path);
	forget(path);
	return 0;
}
