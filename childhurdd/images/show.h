/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows how far the work is: one line that is redrawn on a terminal, plain lines elsewhere. */
#ifndef CHILDHURDD_IMAGES_SHOW_H
#define CHILDHURDD_IMAGES_SHOW_H

#include <glib.h>

#define SHOW_INTERVAL (G_USEC_PER_SEC / 4)  /* between two drawings on a terminal */
#define SHOW_LINES    (10 * G_USEC_PER_SEC) /* between two lines elsewhere */

struct show {
	char *name; /* of the image */
	char *what; /* "fetching"; NULL: nothing yet */
	gboolean terminal, drawn;
	gint64 began, shown; /* monotonic µs */
	gint64 first;	     /* bytes that were there at the beginning; -1: none reported yet */
};

void show_init(struct show *show, const char *name);
void show_clear(struct show *show);

/* Begin a part of the work. */
void show_begin(struct show *show, const char *what);
/* done of total (0 or less: unknown) bytes of it are done. */
void show_bytes(struct show *show, gint64 done, gint64 total);
/* Print a line that stays, "NAME: text". */
void show_say(struct show *show, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Erase the line that is redrawn, for what others print. */
void show_hide(struct show *show);

/* "355M", "1.2G". The caller frees. */
char *show_size(gint64 bytes);

#endif
