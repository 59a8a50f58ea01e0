/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the partitions of a disk are. */
#ifndef CHILDHURDD_INJECT_PARTITIONS_H
#define CHILDHURDD_INJECT_PARTITIONS_H

#include "childhurdd/inject/device.h"

#define PARTITIONS_MAX 128

/* Bytes, within the disk. */
struct partition {
	guint64 offset, length;
};

/*
 * All partitions, in the order of their tables: an array of struct partition, which the caller
 * unrefs. A GPT counts before the MBR in front of it; logical partitions come after the primary
 * ones. A disk without a table is one partition. What a table says of places beyond the disk is
 * left out. NULL: the disk cannot be read.
 */
GArray *partitions_find(struct device *device, GError **error);

#endif
