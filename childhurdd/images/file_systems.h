/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the ext2 file systems of a raw disk, by what is in its partitions. */
#ifndef CHILDHURDD_IMAGES_FILE_SYSTEMS_H
#define CHILDHURDD_IMAGES_FILE_SYSTEMS_H

#include <glib.h>

#include "childhurdd/inject/partitions.h"

#define FILE_SYSTEMS_MAX PARTITIONS_MAX /* one in each partition */

/* The offsets in bytes (array of guint64) of all ext2, ext3 and ext4 file systems of the disk. The
 * caller unrefs. NULL: it cannot be read. */
GArray *file_systems_find(int disk, GError **error);

/* The work of a stage: says "ext2 OFFSET" for each on STAGE_FILE(0). data: NULL. */
gboolean file_systems_work(void *data, GError **error);

#endif
