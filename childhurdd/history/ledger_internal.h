/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ledger's files share. */
#ifndef CHILDHURDD_HISTORY_LEDGER_INTERNAL_H
#define CHILDHURDD_HISTORY_LEDGER_INTERNAL_H

#include "childhurdd/history/ledger.h"

struct ledger {
	char *path;
	sqlite3 *db;
	gint64 bytes_max;
	gboolean made;	   /* when it was opened: it was not there, or empty */
	gint64 alive;	   /* when the daemon before this one wrote last; 0: there was none */
	GHashTable *ids;   /* name -> id of a guest */
	GHashTable *seen;  /* names: guests that have a state of this daemon */
	GHashTable *words; /* text -> number */
	GHashTable *once;  /* texts that came once lately */
	GPtrArray *fresh;  /* of them: since the transaction began */
	GHashTable *statements;
};

/* Run sql, which may be several statements without a result. */
gboolean ledger_run(struct ledger *ledger, const char *sql, GError **error);
/* The statement, prepared once, with n integers bound from parameter 1 on; NULL: error. It is
 * borrowed, and reset when it is asked for again. */
sqlite3_stmt *ledger_statement(struct ledger *ledger, const char *sql, const gint64 *integers,
			       guint n, GError **error);
/* To its next row; *row FALSE: there is none, and it is reset. FALSE: error; what the transaction
 * had done may be undone, so nothing more may be tried in it. */
gboolean ledger_row(struct ledger *ledger, sqlite3_stmt *statement, gboolean *row, GError **error);
/* Step it once, and reset it. FALSE: error. */
gboolean ledger_step(struct ledger *ledger, sqlite3_stmt *statement, GError **error);
/* Both, for a statement of n integers that has no result. */
gboolean ledger_change(struct ledger *ledger, const char *sql, const gint64 *integers, guint n,
		       GError **error);
/* The first integer of the result; missing: there is no row, or it is NULL. */
gboolean ledger_integer(struct ledger *ledger, const char *sql, gint64 missing, gint64 *value,
			GError **error);
/* words.c: learn the words that the file has. */
gboolean ledger_learn(struct ledger *ledger, GError **error);
/* Bind a text to parameter i, made valid UTF-8 of LEDGER_TEXT_MAX bytes at most; NULL: NULL. */
void ledger_bind_text(sqlite3_stmt *statement, int i, const char *text);
/* The same for a column that may have a word in its place. FALSE: error. */
gboolean ledger_bind_word(struct ledger *ledger, sqlite3_stmt *statement, int i, const char *text,
			  GError **error);

#endif
