/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading the history: workers with connections of their own, a piece at a time. No transaction
 * outlives a piece, so a client that reads slowly holds up nobody and keeps no old state of the
 * file alive.
 */
#ifndef CHILDHURDD_HISTORY_READING_H
#define CHILDHURDD_HISTORY_READING_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/history/history.h"
#include "childhurdd/history/records.h"

#define READING_PIECE	  (64 * 1024) /* bytes of one piece of the answer, and one record more */
#define READING_WORKERS	  4	      /* pieces that are read at a time; others wait */
#define READING_BUILD_AGE (31 * LEDGER_DAY) /* µs: a build is no older than this */
#define READING_END_LIMIT 3000 /* ms that the end of the daemon waits for pieces under way */

/* The kind of that name, "boot"; -1: none. */
int reading_kind_from_name(const char *name);

struct reading_query {
	char **patterns;     /* shell patterns of guests' names; NULL: all, and the daemon */
	char **known;	     /* names that are no mistake though nothing is kept of them; or NULL */
	gint64 since, until; /* wall clock µs */
	guint kinds;	     /* bit N for kind N */
};

/* The workers, shared by all readings. */
struct readers;
struct readers *readers_new(struct ev_loop *loop, struct history *history);
/* Wait for the pieces under way, READING_END_LIMIT at most: threads that hang in a dead file system
 * are left behind, with what they use. NULL is allowed. */
void readers_free(struct readers *readers);

/* records: a JSON array as text; NULL: error has the reason, and this is the end. READING_UNKNOWN:
 * the message is a pattern that stands for no guest. last: no more follows. */
typedef void (*reading_fn)(const char *records, gboolean last, const GError *error, void *data);

#define READING_ERROR (reading_error_quark())
GQuark reading_error_quark(void);
enum reading_error { READING_ERROR_UNKNOWN };

struct reading;
/* query is copied. The records come kind by kind, events by number, the others guest by guest, by
 * time. */
struct reading *reading_new(struct readers *readers, const struct reading_query *query);
/* Read the next piece; done is called once, from the loop, unless the reading is
 * freed before; then destroy (NULL: none) is. One piece at a time. */
void reading_next(struct reading *reading, reading_fn done, GDestroyNotify destroy, void *data);
/* done is not called any more. NULL is allowed. */
void reading_free(struct reading *reading);

/* Read a failure's picture; done(PNG or NULL, error, data) is called once, from the loop. */
void reading_picture(struct readers *readers, gint64 id,
		     void (*done)(GBytes *png, const GError *error, void *data), void *data);

#endif
