/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The history's file as its writer sees it. All functions block on the disk, so they run in the
 * writer's thread, or in the reader's (ledger_read).
 */
#ifndef CHILDHURDD_HISTORY_LEDGER_H
#define CHILDHURDD_HISTORY_LEDGER_H

#include <glib.h>
#include <sqlite3.h>
#include <stdint.h>

#include "childhurdd/history/note.h"

#define HISTORY_FILE "history.db"

/* Bytes of the file, without its log (-wal), which has LEDGER_LOG_MAX at most. What is oldest goes
 * first. */
#define LEDGER_BYTES_MAX    (56 * 1024 * 1024)
#define LEDGER_LOG_MAX	    (8 * 1024 * 1024)
#define LEDGER_PICTURE_MAX  (256 * 1024)      /* bytes of one picture; a larger one is not kept */
#define LEDGER_PICTURES	    256		      /* pictures */
#define LEDGER_PICTURES_MAX (8 * 1024 * 1024) /* bytes of all pictures */
#define LEDGER_TEXT_MAX	    1024	      /* bytes of one text; a longer one is cut */
#define LEDGER_BUSY	    2000	      /* ms that another program may lock the file */
/* Probes and loads: a sample each minute, after LEDGER_FINE one each LEDGER_COARSE, after
 * LEDGER_WEEK one each LEDGER_COARSEST; in µs. */
#define LEDGER_FINE	(24 * G_GINT64_CONSTANT(3600000000))
#define LEDGER_COARSE	(15 * G_GINT64_CONSTANT(60000000))
#define LEDGER_WEEK	(7 * 24 * G_GINT64_CONSTANT(3600000000))
#define LEDGER_COARSEST (2 * G_GINT64_CONSTANT(3600000000))

#define LEDGER_DAY INT64_C(86400000000) /* µs; of the sums for each day (UTC) */

#define LEDGER_ERROR (ledger_error_quark())
GQuark ledger_error_quark(void);
enum ledger_error {
	LEDGER_ERROR_DAMAGED, /* it is no history; a new one helps */
	LEDGER_ERROR_NEWER,   /* a later version's */
	LEDGER_ERROR_FULL,    /* it has all that it may have */
	LEDGER_ERROR_FAILED,  /* anything else: no room, no permission, no answer */
};

/* Read the picture at path; NULL: error. */
typedef GBytes *(*ledger_picture_fn)(const char *path, GError **error);

/* In SQL: the text of a column that has a text, or the number of a word. column: with its table. */
#define LEDGER_WORD(column)                                                                        \
	"CASE typeof(" column                                                                      \
	") WHEN 'integer' THEN (SELECT word.text FROM word WHERE word.id = " column                \
	") ELSE " column " END"
/* Words that are kept; texts that come after them are kept as they are. */
#define LEDGER_WORDS 4096

/* What there was before a history began. */
enum ledger_before {
	LEDGER_BEFORE_NOTHING, /* no guest, so nothing is missing; or it is not known */
	LEDGER_BEFORE_DAMAGED, /* a damaged file, which was put aside */
	LEDGER_BEFORE_GONE,    /* guests, but no file */
};

struct ledger;
/*
 * Open the file, or make it, with mode 0600. What a killed daemon left open ends when that daemon
 * wrote last. bytes_max: as LEDGER_BYTES_MAX; tests have less. NULL: error, of LEDGER_ERROR, names
 * the file and what helps.
 */
struct ledger *ledger_open(const char *path, gint64 bytes_max, GError **error);
void ledger_close(struct ledger *ledger); /* NULL is allowed */
/* If the file is new, note when it begins, and what there was before. */
gboolean ledger_begin(struct ledger *ledger, gint64 now, enum ledger_before before, GError **error);
/* What was noted then; *begun 0: nothing was. */
gboolean ledger_beginning(struct ledger *ledger, gint64 *begun, enum ledger_before *before,
			  GError **error);
/*
 * A daemon that closes the file and opens it again has lived meanwhile: its guests' states go on,
 * where those of another daemon would have ended when that one wrote last. seen: the names of
 * guests that have a state of this daemon, from ledger_seen (caller unrefs) before the file was
 * closed.
 */
GHashTable *ledger_seen(struct ledger *ledger);
void ledger_go_on(struct ledger *ledger, GHashTable *seen);
/*
 * Write notes (of struct history_note), all or, after an error, none. A note that the file refuses
 * by itself is left out and counted in *refused.
 */
gboolean ledger_write(struct ledger *ledger, const GPtrArray *notes, ledger_picture_fn picture,
		      guint *refused, GError **error);
/* Has the file been deleted, or another one put in its place? */
gboolean ledger_moved(struct ledger *ledger);
/*
 * thin.c: thin the samples, and drop what is older than keep (µs) at time now, and the oldest while
 * the file is too large. Gives the room back to the file system.
 */
gboolean ledger_tidy(struct ledger *ledger, gint64 now, gint64 keep, GError **error);

/* Move a damaged file to PATH.damaged, in place of an earlier one. FALSE: error has the reason. */
gboolean ledger_put_aside(const char *path, GError **error);

/* The statements of a connection, each prepared once. Unref it before the connection is closed. */
GHashTable *statements_new(void);
/* That of sql, a constant, which is known by its address; borrowed. NULL: SQLite's error. */
sqlite3_stmt *statements_find(GHashTable *statements, sqlite3 *db, const char *sql);

/* A connection that only reads; NULL: error. Close with sqlite3_close. */
sqlite3 *ledger_read(const char *path, GError **error);
/* The number of the last event; 0: none, or it cannot be read. */
gint64 ledger_last_number(const char *path);
/*
 * A number after which events of a daemon may begin, so that none comes twice: the last one of the
 * file or, if that cannot be read, one of the clock. earlier: if there is no file, there was one
 * once; else they begin at 1.
 */
gint64 ledger_number_before(const char *path, gboolean earlier);

/* Does a guest that is wanted up do its work in this state? */
gboolean ledger_is_up(const char *state);

/* Of a connection's last error: what it is. */
void ledger_set_error(GError **error, sqlite3 *db, int code, const char *path);

#endif
