/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the next daemon has to know of a guest: STATE/NAME/state, a small JSON file. */
#ifndef CHILDHURDD_WORLD_RECORD_H
#define CHILDHURDD_WORLD_RECORD_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

struct record {
	gboolean known; /* there was a record of this boot of the host */
	struct childhurd_kept kept;
	gboolean kvm;		  /* what its QEMU runs with */
	gint64 boots[BOOTS_KEPT]; /* see struct childhurd */
	char **host_keys;	  /* the guest's, "TYPE BASE64"; NULL: not known */
	char **guest; /* what it was configured with (config_guest_words); NULL: not known */
};

/* Read path. Missing, unreadable, damaged, or of an earlier boot of the host: known is FALSE. */
struct record record_read(const char *path);
void record_clear(struct record *record);
/* The file's text; caller frees. */
char *record_text(const struct record *record);

#endif
