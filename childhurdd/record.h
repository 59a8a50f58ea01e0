/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the next daemon has to know of a guest: STATE/NAME/state, a small JSON file. */
#ifndef CHILDHURDD_RECORD_H
#define CHILDHURDD_RECORD_H

#include <glib.h>

#include "childhurdd/childhurd.h"
#include "childhurdd/tasks.h"

struct record {
	gboolean known;	   /* there was a record of this boot of the host */
	gboolean want_up;  /* people want it up */
	gboolean drained;  /* people want it unpublished */
	gboolean enrolled; /* this boot of the guest has its secrets */
	gboolean proven;   /* it was ready in this boot of the guest */
	gboolean kvm;	   /* what its QEMU runs with */
	int restarts;
	gint64 boots[BOOTS_KEPT]; /* see struct childhurd */
};

/* Read path. Missing, unreadable, damaged, or of an earlier boot of the host: known is FALSE. */
struct record record_read(const char *path);
/* The file's text; caller frees. */
char *record_text(const struct record *record);
/* Write text to path in a worker (one, so that writes keep their order); a failure is logged. text
 * is taken. */
void record_write(struct tasks *writer, const char *path, char *text);

#endif
