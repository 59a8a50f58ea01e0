/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes a disk of a file, in a stage (stage.h): unpacks it if it is packed. */
#ifndef CHILDHURDD_IMAGES_UNPACK_H
#define CHILDHURDD_IMAGES_UNPACK_H

#include <glib.h>

#define UNPACK_BLOCK (1 << 20)	/* bytes that are read at a time */
#define UNPACK_PAGE  4096	/* bytes of zeros that become a hole */
#define UNPACK_ROOM  (16 << 20) /* bytes that are written between two looks at the free room */

struct unpack {
	gint64 size; /* bytes of the file */
};

/*
 * The work of a stage, data: struct unpack. Reads STAGE_FILE(0), from its beginning, and writes a
 * sparse file, the raw disk or qcow2 image in it, to STAGE_FILE(1), which is empty. Knows tar with
 * one file in it, xz, gzip, zstd, and what is not packed at all. Says "at BYTES", of the file.
 */
gboolean unpack_work(void *data, GError **error);

/* Is the open file packed in a way that is known? Others are told apart later, by what the disk
 * looks like. */
gboolean unpack_is_packed(int fd);

#endif
