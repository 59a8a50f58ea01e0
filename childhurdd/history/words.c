/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts in the file. Most come again and again, "restarted by root", so one that comes for the
 * second time becomes a word, and a row has its number. That halves the file.
 */
#include <string.h>

#include "childhurdd/history/ledger_internal.h"

/* Valid UTF-8 of LEDGER_TEXT_MAX bytes at most. Caller frees. */
static char *
clean(const char *text)
{
	char *valid = g_utf8_make_valid(text, -1);
	if (strlen(valid) > LEDGER_TEXT_MAX) /* at the start of a character */
		*g_utf8_find_prev_char(valid, valid + LEDGER_TEXT_MAX + 1) = '\0';
	return valid;
}

void
ledger_bind_text(sqlite3_stmt *statement, int i, const char *text)
{
	g_autofree char *valid = text ? clean(text) : NULL;
	if (valid) /* else NULL */
		sqlite3_bind_text(statement, i, valid, -1, SQLITE_TRANSIENT);
}

gboolean
ledger_learn(struct ledger *ledger, GError **error)
{
	sqlite3_stmt *statement =
	    ledger_statement(ledger, "SELECT id, text FROM word", NULL, 0, error);
	if (!statement)
		return FALSE;
	g_hash_table_remove_all(ledger->words);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 1);
		if (text)
			g_hash_table_insert(ledger->words, g_strdup(text),
					    (gpointer)(gintptr)sqlite3_column_int64(statement, 0));
	}
	return ledger_step(ledger, statement, error);
}

/* Make text a word. 0: it is none. */
static gint64
add_word(struct ledger *ledger, const char *text)
{
	sqlite3_stmt *statement =
	    ledger_statement(ledger, "INSERT INTO word (text) VALUES (?1)", NULL, 0, NULL);
	if (!statement || g_hash_table_size(ledger->words) >= LEDGER_WORDS)
		return 0;
	sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
	if (!ledger_step(ledger, statement, NULL))
		return 0;
	gint64 id = sqlite3_last_insert_rowid(ledger->db);
	g_hash_table_insert(ledger->words, g_strdup(text), (gpointer)(gintptr)id);
	return id;
}

void
ledger_bind_word(struct ledger *ledger, sqlite3_stmt *statement, int i, const char *text)
{
	g_autofree char *valid = text ? clean(text) : NULL;
	if (!valid)
		return;
	gint64 id = (gint64)(gintptr)g_hash_table_lookup(ledger->words, valid);
	if (!id && g_hash_table_contains(ledger->once, valid))
		id = add_word(ledger, valid);
	if (id) {
		sqlite3_bind_int64(statement, i, id);
		return;
	}
	if (g_hash_table_size(ledger->once) >= LEDGER_WORDS)
		g_hash_table_remove_all(ledger->once);
	sqlite3_bind_text(statement, i, valid, -1, SQLITE_TRANSIENT);
	g_hash_table_add(ledger->once, g_steal_pointer(&valid));
}
