/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The blocks of one partition, as libext2fs reads and writes them. Nothing reaches the disk before
 * blocks_commit, and then only what differs from what is there.
 */
#ifndef CHILDHURDD_INJECT_BLOCKS_H
#define CHILDHURDD_INJECT_BLOCKS_H

#include <ext2_fs.h>
#include <ext2fs.h>

#include "childhurdd/inject/partitions.h"

#define BLOCKS_MEMORY_MAX (256 * 1024 * 1024) /* bytes of blocks that are kept */

struct blocks;

/* device is borrowed. */
struct blocks *blocks_new(struct device *device, const struct partition *partition);
void blocks_free(struct blocks *blocks); /* NULL is allowed */

/* For ext2fs_open: manager and name. The channel borrows the blocks. */
io_manager blocks_manager(void);
const char *blocks_name(const struct blocks *blocks);

/*
 * Write what was changed. For as long as that takes, the superblock says that the file system is
 * not clean; the superblock as changed is the last to be written.
 */
gboolean blocks_commit(struct blocks *blocks, GError **error);

/* Why a read or a write has failed; NULL: none has. */
const GError *blocks_error(const struct blocks *blocks);

#endif
