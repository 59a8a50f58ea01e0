/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a persistent overlay was made from: not a path, but a content. */
#ifndef CHILDHURDD_QEMU_BASE_H
#define CHILDHURDD_QEMU_BASE_H

#include <glib.h>

#define BASE_SAMPLES_MAX 262144 /* 2 KiB each of an image that its digest is made of */

struct base {
	gint64 size;
	gint64 modified, changed; /* ns: the file's mtime and ctime */
	guint64 inode;
	char digest[65]; /* SHA-256 of its size, its beginning and end, and its samples */
};

enum base_verdict {
	BASE_FAILED,  /* the image cannot be read: the error names it */
	BASE_UNKNOWN, /* there is no record, or none that can be read */
	BASE_SAME,    /* the same content, wherever it is now */
	BASE_OTHER,
};

/* The record of the overlay's image; caller frees. */
char *base_record(const char *overlay);

/*
 * Compare the image with its record, and fill *now. Only when file, size or times differ from the
 * record's is the image read: a 32nd of it, 514 MiB at most. Blocks on disk; thread-safe.
 */
enum base_verdict base_compare(const char *record, const char *image, struct base *now,
			       GError **error);

/* Fill *now without a record. */
gboolean base_look(const char *image, struct base *now, GError **error);

/* Write the record, unless it is there already. */
gboolean base_keep(const char *record, const struct base *now, GError **error);

#endif
