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
	if (text) /* else NULL */
		sqlite3_bind_text(statement, i, clean(text), -1, g_free);
}

gboolean
ledger_learn(struct ledger *ledger, GError **error)
{
	sqlite3_stmt *statement =
	    ledger_statement(ledger, "SELECT id, text FROM word", NULL, 0, error);
	if (!statement)
		return FALSE;
	g_hash_table_remove_all(ledger->words);
	gboolean row, good;
	while ((good = ledger_row(ledger, statement, &row, error)) && row) {
		const char *text = (const char *)sqlite3_column_text(statement, 1);
		if (text)
			g_hash_table_insert(ledger->words, g_strdup(text),
					    (gpointer)(gintptr)sqlite3_column_int64(statement, 0));
	}
	return good;
}

/* Make text a word; *id 0: there are enough. */
static gboolean
add_word(struct ledger *ledger, const char *text, gint64 *id, GError **error)
{
	*id = 0;
	if (g_hash_table_size(ledger->words) >= LEDGER_WORDS)
		return TRUE;
	sqlite3_stmt *statement =
	    ledger_statement(ledger, "INSERT INTO word (text) VALUES (?1)", NULL, 0, error);
	if (!statement)
		return FALSE;
	sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	if (!ledger_step(ledger, statement, error))
		return FALSE;
	*id = sqlite3_last_insert_rowid(ledger->db);
	g_hash_table_insert(ledger->words, g_strdup(text), (gpointer)(gintptr)*id);
	return TRUE;
}

gboolean
ledger_bind_word(struct ledger *ledger, sqlite3_stmt *statement, int i, const char *text,
		 GError **error)
{
	g_autofree char *valid = text ? clean(text) : NULL;
	if (!valid)
		return TRUE;
	gint64 id = (gint64)(gintptr)g_hash_table_lookup(ledger->words, valid);
	if (!id && g_hash_table_contains(ledger->once, valid) &&
	    !add_word(ledger, valid, &id, error))
		return FALSE;
	if (id) {
		sqlite3_bind_int64(statement, i, id);
		return TRUE;
	}
	if (g_hash_table_size(ledger->once) >= LEDGER_WORDS)
		g_hash_table_remove_all(ledger->once);
	sqlite3_bind_text(statement, i, g_strdup(valid), -1, g_free);
	g_hash_table_add(ledger->once, g_steal_pointer(&valid));
	return TRUE;
}
