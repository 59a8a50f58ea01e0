/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The history's file as its writer sees it. All functions block on the disk, so they run in the
 * writer's thread, or in the reader's (store_read).
 */
#ifndef CHILDHURDD_HISTORY_STORE_H
#define CHILDHURDD_HISTORY_STORE_H

#include <glib.h>
#include <sqlite3.h>

#include "childhurdd/history/note.h"

#define HISTORY_FILE "history.db"

/* Bytes of the file, without its log (-wal), which has STORE_LOG_MAX at most. What is oldest goes
 * first. */
#define STORE_BYTES_MAX	   (56 * 1024 * 1024)
#define STORE_LOG_MAX	   (8 * 1024 * 1024)
#define STORE_PICTURE_MAX  (256 * 1024)	     /* bytes of one picture; a larger one is not kept */
#define STORE_PICTURES	   256		     /* pictures */
#define STORE_PICTURES_MAX (8 * 1024 * 1024) /* bytes of all pictures */
#define STORE_TEXT_MAX	   1024		     /* bytes of one text; a longer one is cut */
#define STORE_BUSY	   2000		     /* ms that another program may lock the file */
/* Probes and loads: a sample each minute, after STORE_FINE one each STORE_COARSE, after STORE_WEEK
 * one each STORE_COARSEST; in µs. */
#define STORE_FINE     (24 * G_GINT64_CONSTANT(3600000000))
#define STORE_COARSE   (15 * G_GINT64_CONSTANT(60000000))
#define STORE_WEEK     (7 * STORE_FINE)
#define STORE_COARSEST (2 * G_GINT64_CONSTANT(3600000000))

#define STORE_DAY (24 * G_GINT64_CONSTANT(3600000000)) /* µs; of the sums for each day (UTC) */

#define STORE_ERROR (store_error_quark())
GQuark store_error_quark(void);
enum store_error {
	STORE_ERROR_DAMAGED, /* it is no history; a new one helps */
	STORE_ERROR_NEWER,   /* a later version's */
	STORE_ERROR_FULL,    /* it has all that it may have */
	STORE_ERROR_FAILED,  /* anything else: no room, no permission, no answer */
};

/* Read the picture at path; NULL: error. */
typedef GBytes *(*store_picture_fn)(const char *path, GError **error);

struct store;
/*
 * Open the file, or make it, with mode 0600. What a killed daemon left open ends when that daemon
 * wrote last. bytes_max: as STORE_BYTES_MAX; tests have less. NULL: error, of STORE_ERROR, names
 * the file and what helps.
 */
struct store *store_open(const char *path, gint64 bytes_max, GError **error);
void store_close(struct store *store); /* NULL is allowed */
/*
 * Write notes (of struct history_note), all or, after an error, none. A note that the file refuses
 * by itself is left out and counted in *refused.
 */
gboolean store_write(struct store *store, const GPtrArray *notes, store_picture_fn picture,
		     guint *refused, GError **error);
/* Has the file been deleted, or another one put in its place? */
gboolean store_moved(struct store *store);
/*
 * thin.c: thin the samples, and drop what is older than keep (µs) at time now, and the oldest while
 * the file is too large. Gives the room back to the file system.
 */
gboolean store_tidy(struct store *store, gint64 now, gint64 keep, GError **error);

/* Move a damaged file to PATH.damaged, in place of an earlier one. FALSE: error has the reason. */
gboolean store_put_aside(const char *path, GError **error);

/* A connection that only reads; NULL: error. Close with sqlite3_close. */
sqlite3 *store_read(const char *path, GError **error);
/* The number of the last event; 0: none, or it cannot be read. */
gint64 store_last_number(const char *path);

/* Does a guest that is wanted up do its work in this state? */
gboolean store_is_up(const char *state);

/* Of a connection's last error: what it is. */
void store_set_error(GError **error, sqlite3 *db, int code, const char *path);

#endif
