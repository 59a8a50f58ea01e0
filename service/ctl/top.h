/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of childhurdctl top: what is known of the guests and its order (top_rows.c), the table
 * (top_table.c), and the screen with its keys (top.c). */
#ifndef SERVICE_CTL_TOP_H
#define SERVICE_CTL_TOP_H

#include "service/ctl/ctl.h"

#define TOP_CELL  5000 /* ms that a character of a history stands for */
#define TOP_CELLS 12   /* characters of a history, at most: a minute */

/* --- top_rows.c --- */

/* What top has seen of a guest since it began. */
struct top_past {
	double pid, used; /* s of processor time that QEMU, process pid, had used */
	gint64 at;	  /* monotonic µs of that */
	double share;	  /* of a core, between the last two replies; NAN: unknown */
	gint64 cell;	  /* number of the newest cell below, since the clock began */
	double sum;	  /* of its shares of a core, of which there were n */
	guint n;
	/* The newest last; NAN: nothing is known of that time. Shares of a core, their mean, and
	 * builds, at most. */
	double cpu[TOP_CELLS], builds[TOP_CELLS];
};

struct top_row {
	JsonObject *guest, *details;
	const struct top_past *past;
	guint number; /* in the reply */
};

/* name => struct top_past. The caller unrefs. */
GHashTable *top_pasts_new(void);
/* Add what a reply of Status says. now: monotonic µs. */
void top_note(GHashTable *pasts, const struct varlink_message *answer, gint64 now);
/* The guests of that reply (NULL: none), in its order. They are borrowed from both; the caller
 * frees. */
struct top_row *top_rows(GHashTable *pasts, const struct varlink_message *answer, guint *n);
/* "3 of 4 ready, 1 build, CPU 87%, memory 1.2G"; the caller frees. */
char *top_summary(const struct top_row *rows, guint n);

/* What the rows are sorted by: a column, or its order reversed. */
enum top_order {
	TOP_BY_NAME,
	TOP_BY_STATE, /* those that are not ready first */
	TOP_BY_TIME,
	TOP_BY_BUILDS,
	TOP_BY_CPU,
	TOP_BY_MEMORY,
	TOP_BY_LOAD,
	TOP_BY_RESTARTS,
	TOP_N_ORDERS
};
struct top_sort {
	enum top_order by;
	gboolean reversed;
};
void top_sort(struct top_row *rows, guint n, const struct top_sort *sort);
/* Its name, for people: "state"; and the key that chooses it. */
const char *top_order_name(enum top_order order);
char top_order_key(enum top_order order);

/* --- top_table.c --- */

/*
 * The heading and a line for each row, for a terminal of that width (0: none, and no histories).
 * What has no room is left out, but not what the rows are sorted by; the last column and long names
 * are cut. Of char *; the caller unrefs.
 */
GPtrArray *top_table(const struct top_row *rows, guint n, const struct top_sort *sort, int width);

#endif
