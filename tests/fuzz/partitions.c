/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes partition tables, on disks of any size: MBR, chains of extended partitions, GPT.
 *
 * Input: 6 bytes, the disk's size, little-endian; then its first sectors, which are there again
 * and again up to the disk's end, so that whatever a table points to is a table again. The search
 * has to end soon, read nothing beyond the disk, and find nothing that is not on it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/inject/partitions.h"
#include "tests/fuzz/lib/fuzz.h"

#define SECTOR 512
#define SIZE   6
/* One for the head, one for each entry of a GPT, and the links of four extended partitions. */
#define READS_MAX (1 + PARTITIONS_MAX + 4 * PARTITIONS_MAX)

struct disk {
	struct device device; /* first */
	const uint8_t *bytes;
	guint64 period; /* bytes, after which they are there again */
	guint64 known;	/* of them; zeros follow */
	guint reads;
};

static gboolean
on_read(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	struct disk *disk = (struct disk *)device;
	require(offset <= device->size && length <= device->size - offset,
		"reads are within the disk", NULL);
	require(++disk->reads <= READS_MAX, "reads have an end", NULL);
	for (gsize i = 0; i < length; i++) {
		guint64 at = (offset + i) % disk->period;
		((uint8_t *)buffer)[i] = at < disk->known ? disk->bytes[at] : 0;
	}
	return TRUE;
}

static void
check(const GArray *found, guint64 size)
{
	require(found->len <= PARTITIONS_MAX, "partitions are not too many", NULL);
	for (guint i = 0; i < found->len; i++) {
		const struct partition *partition = &g_array_index(found, struct partition, i);
		require(partition->length > 0 && partition->offset < size &&
			    partition->length <= size - partition->offset,
			"a partition is on the disk", NULL);
		require(partition->offset % SECTOR == 0, "a partition begins with a sector", NULL);
		for (guint j = 0; j < i; j++)
			require(g_array_index(found, struct partition, j).offset !=
				    partition->offset,
				"no partition is there twice", NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk disk = {.device = {.read = on_read}};
	g_autoptr(GError) error = NULL;
	if (size < SIZE)
		return 0;
	for (int i = 0; i < SIZE; i++)
		disk.device.size |= (guint64)data[i] << (8 * i);
	disk.bytes = data + SIZE;
	disk.known = size - SIZE;
	disk.period = (disk.known / SECTOR + 1) * SECTOR;
	g_autoptr(GArray) found = partitions_find(&disk.device, &error);
	require(found && !error, "a disk that can be read is searched", NULL);
	check(found, disk.device.size);
	return 0;
}
