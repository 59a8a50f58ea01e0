/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decides which guests may start, and when: places among the parallel starts, and memory for them.
 *
 * Places are given strictly in the order of the configuration. A guest gets one if fewer than
 * parallel-starts guests have one and its memory fits into the host's free memory, without the
 * host's reserve and without what admitted guests will still take. The first guest that does not
 * fit holds back those behind it, so that smaller ones do not take, bit by bit, the memory that
 * becomes free for it. Two kinds wait without holding others back: a guest that would not fit even
 * if no other guest ran, and one whose ports belong to a guest that is no longer configured and on
 * its way out. Each guest shows what it waits for.
 */
#ifndef CHILDHURDD_HIRD_STARTS_H
#define CHILDHURDD_HIRD_STARTS_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

#define STARTS_MEMORY_RESERVE (256 << 20) /* bytes reserved for the host */
#define STARTS_MEMORY_POLL    5000	  /* ms between two checks for memory */

struct starts;

/* Requests to the hird. None calls back from within. */
struct starts_ops {
	/* Guest number i in the order of the configuration; NULL after the last one. Others that
	 * may still have a QEMU follow at the end. */
	struct childhurd *(*guest)(void *data, guint i);
	guint (*places)(void *data); /* parallel-starts */
	/* It may be admitted next: apply a changed configuration to it now. */
	void (*apply)(void *data, struct childhurd *c);
	/* What c must wait for besides a place and memory, as a text; NULL: nothing. Caller frees.
	 */
	char *(*hindrance)(void *data, const struct childhurd *c);
	/* Bytes that the host has free; -1: unknown, and no guest waits for memory. */
	gint64 (*memory_free)(void *data);
	/* Bytes of memory that this guest's QEMU uses; 0: none, or unknown. */
	gint64 (*memory_taken)(void *data, const struct childhurd *c);
	/* Call starts_look from the loop after that many ms; replaces an earlier request. */
	void (*look)(void *data, gint64 after);
};

/* ops and data are borrowed. Free with starts_free. */
struct starts *starts_new(const struct starts_ops *ops, void *data);
void starts_free(struct starts *starts); /* NULL is allowed */

/* c waits for its turn; EVENT_ADMITTED follows, from starts_look. */
void starts_queue(struct starts *starts, struct childhurd *c);
/* c gives up its place or stops waiting for one; or its QEMU has ended, and memory is free again.
 */
void starts_leave(struct starts *starts, struct childhurd *c);
/* Admit the guests that fit; the others show what they wait for. */
void starts_look(struct starts *starts);
/* The configuration has changed: look again. */
void starts_look_soon(struct starts *starts);

gboolean starts_has_place(const struct starts *starts, const struct childhurd *c);

/* MemAvailable in the text of /proc/meminfo (proc(5)), in bytes; -1: missing. */
gint64 starts_memory_parse(const char *meminfo);
/* The same of this host. */
gint64 starts_memory_host(void);

#endif
