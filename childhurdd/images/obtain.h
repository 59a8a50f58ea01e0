/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images from elsewhere: by name or address, or from a file of this host. */
#ifndef CHILDHURDD_IMAGES_OBTAIN_H
#define CHILDHURDD_IMAGES_OBTAIN_H

#include <glib.h>

#include "childhurdd/images/known.h"
#include "childhurdd/images/store.h"

#define OBTAIN_TRIES  3		/* in a row that bring little, before a broken transfer fails */
#define OBTAIN_LITTLE (1 << 20) /* bytes; a try that brings more begins a new row */
#define OBTAIN_WAIT   1000	/* ms before the first of them; doubled with each */
#define OBTAIN_SHARE  2 /* the unpacked disk and the image take at least as much as the archive */

struct obtain {
	const struct store *store;
	const GPtrArray *table; /* of struct known */
	const char *what;	/* a name, or an address */
	const char *name;	/* of the image; NULL: of what */
	const char *sha512;	/* NULL: from the table, or beside the file */
	double stall;		/* s */
};

/* Fetch an image and keep it. Interrupted, it leaves what it has of the file for the next time. */
gboolean obtain_fetch(const struct obtain *obtain, GError **error);

/* Keep an open file as the image NAME. file is its path. */
gboolean obtain_add(const struct store *store, const char *name, const char *file, int fd,
		    const char *sha512, GError **error);

/* Bytes that there are of an image which is not whole yet; -1: none. *url (url NULL: not wanted)
 * gets where they are from, which the caller frees, or NULL. */
gint64 obtain_begun(const struct store *store, const char *name, char **url);

#endif
