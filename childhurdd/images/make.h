/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The way from a file, as it was fetched or added, to an image. */
#ifndef CHILDHURDD_IMAGES_MAKE_H
#define CHILDHURDD_IMAGES_MAKE_H

#include <glib.h>

#include "childhurdd/images/show.h"
#include "childhurdd/images/store.h"

/*
 * Unpack the open file, check its ext2 file systems, convert it to qcow2 and keep it as the image
 * NAME, with that record. source: the file's name for messages. On failure nothing is left but the
 * file itself. The caller holds the name's lock.
 */
gboolean make_image(const struct store *store, struct show *show, const char *name, int file,
		    const char *source, const struct image_record *record, GError **error);

/* A program's path, looked for in PATH and in the system's folders, too. NULL and an error: install
 * that package. The caller frees. */
char *make_tool(const char *program, const char *package, GError **error);

#endif
