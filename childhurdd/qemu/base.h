/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records what a persistent overlay was made from: not a path, but a content. */
#ifndef CHILDHURDD_QEMU_BASE_H
#define CHILDHURDD_QEMU_BASE_H

#include <glib.h>

#define BASE_SAMPLES_MAX 262144 /* samples of 2 KiB in the digest of an image */

struct base {
	gint64 size;
	gint64 modified, changed; /* ns: the file's mtime and ctime */
	guint64 inode;
	char digest[65]; /* SHA-256 of its size, its beginning and end, and its samples */
};

enum base_verdict {
	BASE_FAILED,  /* the image cannot be read: the error names it */
	BASE_UNKNOWN, /* there is no record, or it cannot be read */
	BASE_SAME,    /* the same content, at any path */
	BASE_OTHER,
};

/* The record of the overlay's image; caller frees. */
char *base_record(const char *overlay);

/*
 * Compare the image with its record, and fill *now. The image is read only if file, size or times
 * differ from the record: a 32nd of it, 514 MiB at most. Blocks on disk; thread-safe.
 */
enum base_verdict base_compare(const char *record, const char *image, struct base *now,
			       GError **error);

/* Fill *now without a record. */
gboolean base_look(const char *image, struct base *now, GError **error);

/* Write the record, unless it exists already. */
gboolean base_keep(const char *record, const struct base *now, GError **error);

#endif
