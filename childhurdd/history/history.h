/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The history, as the event loop sees it. A thread of its own writes what is noted; nothing here
 * waits for the disk.
 *
 * The first note is written at once, and what comes within HISTORY_GATHER after it is written
 * together, so a daemon that is killed loses at most that. While the file cannot be written, notes
 * wait, HISTORY_WAITING_MAX at most, and the thread tries again every HISTORY_RETRY. A damaged file
 * is moved to history.db.damaged, and a new one begun.
 */
#ifndef CHILDHURDD_HISTORY_HISTORY_H
#define CHILDHURDD_HISTORY_HISTORY_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/history/ledger.h"
#include "childhurdd/history/note.h"

#define HISTORY_GATHER	    500	   /* ms in which notes are gathered for one write */
#define HISTORY_RETRY	    30000  /* ms between two tries to write a file that cannot be written */
#define HISTORY_TIDY	    600000 /* ms between two looks at what has become too old */
#define HISTORY_WAITING_MAX 8192   /* notes that wait to be written; further ones are dropped */
#define HISTORY_SLOW	    10000  /* ms that a write may take until status mentions it */
#define HISTORY_END_LIMIT   3000   /* ms that the end of the daemon waits for the last write */

struct history;

struct history_setup {
	struct ev_loop *loop;
	const char *path;	   /* of history.db; copied */
	gint64 bytes_max;	   /* LEDGER_BYTES_MAX */
	ledger_picture_fn picture; /* runs in the thread */
	/* The file lacks what was noted of the guests' present state: note it again. */
	void (*again)(void *data);
	void *data;
	gboolean earlier; /* there were guests before, so a file that is missing was there once */
	gint64 gather, retry, tidy; /* ms, as above */
};

/* Keeps nothing yet. */
struct history *history_new(const struct history_setup *setup);
/* Keep what is noted for so long (ms), from now on; 0: keep nothing, and leave the file alone. */
void history_keep(struct history *history, gint64 ms);
/* Write what is noted, HISTORY_END_LIMIT at most, and free. */
void history_free(struct history *history);

/* It is not freed, as a thread that hangs may still use its path and generation. */
void history_hold(struct history *history);

/* Is anything kept? */
gboolean history_is_on(const struct history *history);
/* Keep a note, which is taken over. */
void history_note(struct history *history, struct history_note *note);
/* Why the history is not written; NULL: it is, or is not to be. Borrowed. */
const char *history_complaint(struct history *history);
/* If it begins later than it would if all was kept: why; and when, in *begun (wall clock µs). NULL:
 * it does not. The caller frees. */
char *history_beginning(struct history *history, gint64 *begun);
/* From any thread: a reader has found the file damaged; the writer looks it over. */
void history_suspect(struct history *history);
const char *history_path(const struct history *history);
/* Counts up each time that another file takes the place of history.db. From any thread. */
guint history_generation(struct history *history);

#endif
