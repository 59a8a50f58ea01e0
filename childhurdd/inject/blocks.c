/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libext2fs writes all bitmaps of a file system if one bit of them has changed. An overlay should
 * grow by what differs and no more, so what is written is compared with what was there. All of it
 * is kept until the commit: a disk is written to only when all that is to be written is known.
 */
#include "childhurdd/inject/blocks.h"

#include <string.h>

#define UNIT	  1024 /* bytes: ext2 has no smaller block, and its superblock is one */
#define READ_MAX  (1024 * 1024)
#define WRITE_MAX (1024 * 1024)
#define SUPER	  1 /* the superblock's unit */

struct unit {
	guint64 number;
	guint8 *before; /* what the disk has; NULL: the same */
	guint8 now[UNIT];
};

struct blocks {
	struct device *device;
	struct partition partition;
	char *name;
	GHashTable *units; /* number -> struct unit */
	GError *error;
};

static void
unit_free(void *data)
{
	struct unit *unit = data;
	g_free(unit->before);
	g_free(unit);
}

struct blocks *
blocks_new(struct device *device, const struct partition *partition)
{
	struct blocks *blocks = g_new0(struct blocks, 1);
	blocks->device = device;
	blocks->partition = *partition;
	blocks->name = g_strdup_printf("%p", (void *)blocks);
	blocks->units = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, unit_free);
	return blocks;
}

void
blocks_free(struct blocks *blocks)
{
	if (!blocks)
		return;
	g_hash_table_unref(blocks->units);
	g_clear_error(&blocks->error);
	g_free(blocks->name);
	g_free(blocks);
}

const char *
blocks_name(const struct blocks *blocks)
{
	return blocks->name;
}

const GError *
blocks_error(const struct blocks *blocks)
{
	return blocks->error;
}

/* --- units --- */

static struct unit *
find(const struct blocks *blocks, guint64 number)
{
	return g_hash_table_lookup(blocks->units, &number);
}

static gboolean
keep(struct blocks *blocks, guint64 number, const guint8 *bytes)
{
	if (g_hash_table_size(blocks->units) >= BLOCKS_MEMORY_MAX / (2 * UNIT)) {
		if (!blocks->error)
			g_set_error(&blocks->error, INJECT_ERROR, INJECT_ERROR_UNFIT,
				    "its file system is too large: its tables take more than %d "
				    "MiB",
				    BLOCKS_MEMORY_MAX >> 20);
		return FALSE;
	}
	struct unit *unit = g_new0(struct unit, 1);
	unit->number = number;
	memcpy(unit->now, bytes, UNIT);
	g_hash_table_insert(blocks->units, &unit->number, unit);
	return TRUE;
}

/* Keep count units that are not kept yet. */
static gboolean
load(struct blocks *blocks, guint64 number, guint64 count)
{
	g_autofree guint8 *bytes = g_malloc(READ_MAX);
	while (count) {
		guint64 n = MIN(count, READ_MAX / UNIT);
		if (!blocks->device->read(blocks->device, bytes, (gsize)n * UNIT,
					  blocks->partition.offset + number * UNIT,
					  blocks->error ? NULL : &blocks->error))
			return FALSE;
		for (guint64 i = 0; i < n; i++)
			if (!keep(blocks, number + i, bytes + i * UNIT))
				return FALSE;
		number += n;
		count -= n;
	}
	return TRUE;
}

static gboolean
load_missing(struct blocks *blocks, guint64 number, guint64 count)
{
	for (guint64 i = 0; i < count;) {
		guint64 n = 0;
		while (i + n < count && !find(blocks, number + i + n))
			n++;
		if (n && !load(blocks, number + i, n))
			return FALSE;
		i += n + 1;
	}
	return TRUE;
}

static void
change(struct unit *unit, const guint8 *bytes)
{
	if (!memcmp(unit->now, bytes, UNIT))
		return;
	if (!unit->before)
		unit->before = g_memdup2(unit->now, UNIT);
	memcpy(unit->now, bytes, UNIT);
}

/* --- libext2fs' side --- */

static struct blocks *
blocks_of(io_channel channel)
{
	return channel->private_data;
}

/* The units of a read or a write. count < 0: so many bytes, as libext2fs has it. FALSE: not in the
 * partition. */
static gboolean
range(io_channel channel, unsigned long long block, int count, guint64 *number, guint64 *n)
{
	guint64 units = blocks_of(channel)->partition.length / UNIT;
	guint64 size = (guint64)channel->block_size / UNIT;
	if (count < 0 ? count % UNIT : !size)
		return FALSE;
	*n = count < 0 ? (guint64)(-(gint64)count / UNIT) : (guint64)count * size;
	if (block > units / MAX(size, 1))
		return FALSE;
	*number = block * size;
	return *number <= units && *n <= units - *number;
}

static errcode_t
on_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	struct blocks *blocks = blocks_of(channel);
	guint64 number, n;
	if (!range(channel, block, count, &number, &n))
		return EXT2_ET_SHORT_READ;
	if (!load_missing(blocks, number, n))
		return EXT2_ET_SHORT_READ;
	for (guint64 i = 0; i < n; i++)
		memcpy((guint8 *)data + i * UNIT, find(blocks, number + i)->now, UNIT);
	return 0;
}

static errcode_t
on_write64(io_channel channel, unsigned long long block, int count, const void *data)
{
	struct blocks *blocks = blocks_of(channel);
	guint64 number, n;
	if (!range(channel, block, count, &number, &n))
		return EXT2_ET_SHORT_WRITE;
	if (!load_missing(blocks, number, n))
		return EXT2_ET_SHORT_WRITE;
	for (guint64 i = 0; i < n; i++)
		change(find(blocks, number + i), (const guint8 *)data + i * UNIT);
	return 0;
}

static errcode_t
on_read(io_channel channel, unsigned long block, int count, void *data)
{
	return on_read64(channel, block, count, data);
}

static errcode_t
on_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return on_write64(channel, block, count, data);
}

static errcode_t
on_set_size(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

static errcode_t
on_flush(io_channel channel)
{
	return 0;
}

static errcode_t
on_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	ext2fs_free_mem(&channel->name);
	ext2fs_free_mem(&channel);
	return 0;
}

static errcode_t
on_open(const char *name, int flags, io_channel *opened)
{
	io_channel channel = NULL;
	errcode_t result = ext2fs_get_memzero(sizeof *channel, &channel);
	if (result)
		return result;
	result = ext2fs_get_mem(strlen(name) + 1, &channel->name);
	if (result) {
		ext2fs_free_mem(&channel);
		return result;
	}
	memcpy(channel->name, name, strlen(name) + 1);
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = blocks_manager();
	channel->block_size = UNIT;
	channel->refcount = 1;
	channel->private_data = GSIZE_TO_POINTER(g_ascii_strtoull(name, NULL, 16));
	*opened = channel;
	return 0;
}

io_manager
blocks_manager(void)
{
	static struct struct_io_manager manager = {
	    .magic = EXT2_ET_MAGIC_IO_MANAGER,
	    .name = "childhurd",
	    .open = on_open,
	    .close = on_close,
	    .set_blksize = on_set_size,
	    .read_blk = on_read,
	    .write_blk = on_write,
	    .flush = on_flush,
	    .read_blk64 = on_read64,
	    .write_blk64 = on_write64,
	};
	return &manager;
}

/* --- the commit --- */

static int
by_number(const void *a, const void *b)
{
	const struct unit *x = *(struct unit *const *)a, *y = *(struct unit *const *)b;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The changed units but the superblock's, in their order; the caller unrefs. */
static GPtrArray *
changed(const struct blocks *blocks)
{
	GPtrArray *units = g_ptr_array_new();
	GHashTableIter iter;
	void *value;
	g_hash_table_iter_init(&iter, blocks->units);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct unit *unit = value;
		if (unit->number != SUPER && unit->before && memcmp(unit->before, unit->now, UNIT))
			g_ptr_array_add(units, value);
	}
	g_ptr_array_sort(units, by_number);
	return units;
}

static gboolean
write_at(const struct blocks *blocks, guint64 number, const guint8 *bytes, gsize length,
	 GError **error)
{
	return blocks->device->write(blocks->device, bytes, length,
				     blocks->partition.offset + number * UNIT, error);
}

/* Neighbours are written at once. */
static gboolean
write_all(const struct blocks *blocks, const GPtrArray *units, GError **error)
{
	g_autofree guint8 *bytes = g_malloc(WRITE_MAX);
	for (guint i = 0; i < units->len;) {
		const struct unit *first = units->pdata[i];
		gsize n = 0;
		while (i < units->len && n < WRITE_MAX / UNIT &&
		       ((const struct unit *)units->pdata[i])->number == first->number + n)
			memcpy(bytes + n++ * UNIT, ((const struct unit *)units->pdata[i++])->now,
			       UNIT);
		if (!write_at(blocks, first->number, bytes, n * UNIT, error))
			return FALSE;
	}
	return TRUE;
}

gboolean
blocks_commit(struct blocks *blocks, GError **error)
{
	g_autoptr(GPtrArray) units = changed(blocks);
	struct unit *super = find(blocks, SUPER);
	struct device *device = blocks->device;
	if (!units->len && (!super || !super->before || !memcmp(super->before, super->now, UNIT)))
		return TRUE;
	g_assert(super);
	struct ext2_super_block unclean;
	G_STATIC_ASSERT(sizeof unclean == UNIT);
	memcpy(&unclean, super->before ? super->before : super->now, UNIT);
	unclean.s_state =
	    GUINT16_TO_LE((guint16)(GUINT16_FROM_LE(unclean.s_state) & ~EXT2_VALID_FS));
	return write_at(blocks, SUPER, (const guint8 *)&unclean, UNIT, error) &&
	       device->flush(device, error) && write_all(blocks, units, error) &&
	       device->flush(device, error) && write_at(blocks, SUPER, super->now, UNIT, error) &&
	       device->flush(device, error);
}
