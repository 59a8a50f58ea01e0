/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may start, and when: places among the parallel starts, and memory for them.
 *
 * Starts are given places strictly in the order of the configuration. A guest gets one when fewer
 * than parallel-starts guests have one, and its memory fits: into what the host has free, without
 * what it keeps for itself and without what guests that were let in before will still take. The
 * first one that does not fit holds back those behind it, so that smaller ones do not take away,
 * bit by bit, what becomes free for it. A guest that would not fit even if no other guest ran holds
 * nobody back: it waits aside, for memory that is not the hird's to give; and so does one whose
 * ports another guest has that is no longer configured and on its way out. Each says what it waits
 * for.
 */
#ifndef CHILDHURDD_HIRD_STARTS_H
#define CHILDHURDD_HIRD_STARTS_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

#define STARTS_MEMORY_RESERVE (256 << 20) /* bytes that stay free for the host */
#define STARTS_MEMORY_POLL    5000	  /* ms between two looks for memory */

struct starts;

/* What is asked of the hird. None of these calls back from within. */
struct starts_ops {
	/* The guests in the order of the configuration; NULL from the last one's end on. Others
	 * that may still have a QEMU come behind them. */
	struct childhurd *(*guest)(void *data, guint i);
	guint (*places)(void *data); /* parallel-starts */
	/* Its turn may come: what a changed configuration says of it holds from now on. */
	void (*apply)(void *data, struct childhurd *c);
	/* What c has to wait for although there is a place, for people; NULL: nothing. Caller
	 * frees. */
	char *(*hindrance)(void *data, const struct childhurd *c);
	/* Bytes that the host has free, -1: unknown, and nobody waits for memory. */
	gint64 (*memory_free)(void *data);
	/* Bytes of memory that this guest's QEMU has taken; 0: none, or unknown. */
	gint64 (*memory_taken)(void *data, const struct childhurd *c);
	/* Call starts_look from the loop in so many ms; replaces an earlier wish. */
	void (*look)(void *data, gint64 after);
};

/* ops and data are borrowed. Free with starts_free. */
struct starts *starts_new(const struct starts_ops *ops, void *data);
void starts_free(struct starts *starts); /* NULL is allowed */

/* c waits for its turn from now on: EVENT_ADMITTED follows, from starts_look. */
void starts_queue(struct starts *starts, struct childhurd *c);
/* c gives up its place or the wait for one; or its QEMU has ended, and there is memory again. */
void starts_leave(struct starts *starts, struct childhurd *c);
/* Let in who can be let in; says to all others what they wait for. */
void starts_look(struct starts *starts);
/* The configuration has changed: look again. */
void starts_look_soon(struct starts *starts);

gboolean starts_has_place(const struct starts *starts, const struct childhurd *c);

/* MemAvailable of the text of /proc/meminfo (proc(5)) in bytes; -1 when it is not there. */
gint64 starts_memory_parse(const char *meminfo);
/* The same of this host. */
gint64 starts_memory_host(void);

#endif
