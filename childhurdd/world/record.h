/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the next daemon has to know of a guest: STATE/NAME/state, a small JSON file. */
#ifndef CHILDHURDD_WORLD_RECORD_H
#define CHILDHURDD_WORLD_RECORD_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

struct record {
	gboolean known; /* there is a record from this boot of the host */
	struct childhurd_kept kept;
	gboolean kvm;		  /* its QEMU runs with KVM */
	char *emulator;		  /* its program; NULL: unknown */
	gint64 boots[BOOTS_KEPT]; /* see struct childhurd */
	char **host_keys;	  /* the guest's, "TYPE BASE64"; NULL: unknown */
	char **coordinators;	  /* coordinators_marks of those whose keys it has; NULL: none */
	char **guest;		  /* its configuration (config_guest_words); NULL: unknown */
	char *damage; /* why the file could not be used, for people; NULL: it could, or is missing
		       */
	gboolean unread; /* with damage: for a lack of the host. The file may be good, and must not
			    be written anew. */
};

/* Read path. known is FALSE if the file is missing, unreadable or damaged, which damage says, or
 * from an earlier boot of the host, of which only warm_failures and coordinators count. */
struct record record_read(const char *path);
void record_clear(struct record *record);
/* The file's text; caller frees. */
char *record_text(const struct record *record);

#endif
