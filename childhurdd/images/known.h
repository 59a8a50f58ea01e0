/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of images that can be fetched by name: the project's, and the administrator's. */
#ifndef CHILDHURDD_IMAGES_KNOWN_H
#define CHILDHURDD_IMAGES_KNOWN_H

#include <glib.h>

#define KNOWN_FILE   "images.ini" /* the project's table */
#define KNOWN_FOLDER "images.d"	  /* beside childhurd.ini: *.ini with more */

/* Strings that are not given are NULL. */
struct known {
	char *name, *url;
	char *sha512; /* 128 hexadecimal digits */
	char *architecture, *distribution;
	char *file; /* where it stands, for messages */
	int line;
};

/*
 * Read the project's table, which is installed with this program, and the administrator's files in
 * CONFIGURATION/images.d, in the order of their names; a later section of the same name replaces
 * the keys that it has. Returns an array of struct known without the files that have a fault;
 * faults gets all of these, as text with file and line. The caller unrefs.
 */
GPtrArray *known_read(const char *configuration, GPtrArray *faults);

/* Borrowed; NULL: there is none of that name. */
const struct known *known_find(const GPtrArray *table, const char *name);

#endif
