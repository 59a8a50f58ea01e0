/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MBR, with the chain of an extended partition, and GPT (UEFI 2.10, section 5.3). Nothing of a
 * table is believed: each range is compared with the disk, and each chain and list has an end.
 */
#include "childhurdd/inject/partitions.h"

#include <string.h>

#define SECTOR		512
#define MBR_ENTRIES	446
#define MBR_ENTRY	16
#define MBR_N		4
#define MBR_TYPE	4
#define MBR_START	8
#define MBR_LENGTH	12
#define TYPE_PROTECTIVE 0xee /* a GPT follows */
#define CHAIN_MAX	PARTITIONS_MAX

#define GPT_SIGNATURE	"EFI PART"
#define GPT_ENTRIES	72 /* sector of the first */
#define GPT_N		80
#define GPT_ENTRY_SIZE	84
#define GPT_ENTRY_MIN	128
#define GPT_ENTRY_MAX	4096
#define GPT_ENTRY_FIRST 32
#define GPT_ENTRY_LAST	40

#define EXT2_MAGIC_AT 1080 /* of a disk without a table */
#define EXT2_MAGIC    "\x53\xef"

static guint32
le32(const guint8 *bytes)
{
	guint32 value;
	memcpy(&value, bytes, sizeof value);
	return GUINT32_FROM_LE(value);
}

static guint64
le64(const guint8 *bytes)
{
	guint64 value;
	memcpy(&value, bytes, sizeof value);
	return GUINT64_FROM_LE(value);
}

/* In sectors. A range that is not on the disk is no partition, and none is listed twice. */
static void
add(GArray *found, const struct device *device, guint64 start, guint64 length)
{
	guint64 sectors = device->size / SECTOR;
	if (!start || !length || start >= sectors || length > sectors - start ||
	    found->len >= PARTITIONS_MAX)
		return;
	struct partition partition = {start * SECTOR, length * SECTOR};
	for (guint i = 0; i < found->len; i++)
		if (g_array_index(found, struct partition, i).offset == partition.offset)
			return;
	g_array_append_val(found, partition);
}

static gboolean
is_extended(guint8 type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static gboolean
has_signature(const guint8 *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

/* The logical partitions. Each link of the chain has one, at a distance from itself, and the next
 * link, at a distance from the first. */
static gboolean
add_logical(GArray *found, struct device *device, guint64 first, GError **error)
{
	guint8 sector[SECTOR];
	guint64 link = first;
	for (int i = 0; i < CHAIN_MAX && link < device->size / SECTOR; i++) {
		const guint8 *entry = sector + MBR_ENTRIES, *next = entry + MBR_ENTRY;
		if (!device->read(device, sector, SECTOR, link * SECTOR, error))
			return FALSE;
		if (!has_signature(sector))
			break;
		if (entry[MBR_TYPE])
			add(found, device, link + le32(entry + MBR_START),
			    le32(entry + MBR_LENGTH));
		if (!is_extended(next[MBR_TYPE]) || !le32(next + MBR_START))
			break;
		link = first + le32(next + MBR_START);
	}
	return TRUE;
}

static gboolean
add_mbr(GArray *found, struct device *device, const guint8 *sector, GError **error)
{
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < MBR_N; i++) {
			const guint8 *entry = sector + MBR_ENTRIES + (gsize)i * MBR_ENTRY;
			guint8 type = entry[MBR_TYPE];
			if (!type || type == TYPE_PROTECTIVE || is_extended(type) != pass)
				continue;
			if (!pass)
				add(found, device, le32(entry + MBR_START),
				    le32(entry + MBR_LENGTH));
			else if (!add_logical(found, device, le32(entry + MBR_START), error))
				return FALSE;
		}
	return TRUE;
}

/* Free entries have a first sector of 0. */
static gboolean
add_gpt(GArray *found, struct device *device, const guint8 *header, GError **error)
{
	guint64 table = le64(header + GPT_ENTRIES), sectors = device->size / SECTOR;
	guint32 n = MIN(le32(header + GPT_N), PARTITIONS_MAX);
	guint32 size = le32(header + GPT_ENTRY_SIZE);
	guint8 entry[GPT_ENTRY_MIN];
	if (size < GPT_ENTRY_MIN || size > GPT_ENTRY_MAX || table >= sectors ||
	    (guint64)n * size > (sectors - table) * SECTOR)
		return TRUE;
	for (guint32 i = 0; i < n; i++) {
		if (!device->read(device, entry, sizeof entry, table * SECTOR + (guint64)i * size,
				  error))
			return FALSE;
		guint64 first = le64(entry + GPT_ENTRY_FIRST), last = le64(entry + GPT_ENTRY_LAST);
		if (first && last >= first && last < G_MAXUINT64)
			add(found, device, first, last - first + 1);
	}
	return TRUE;
}

GArray *
partitions_find(struct device *device, GError **error)
{
	guint8 head[4 * SECTOR] = {0};
	const guint8 *gpt = head + SECTOR;
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct partition));
	if (!device->read(device, head, (gsize)MIN(device->size, sizeof head), 0, error))
		return NULL;
	if (!memcmp(gpt, GPT_SIGNATURE, strlen(GPT_SIGNATURE)) &&
	    !add_gpt(found, device, gpt, error))
		return NULL;
	if (!found->len && has_signature(head) && !add_mbr(found, device, head, error))
		return NULL;
	if (!found->len && !memcmp(head + EXT2_MAGIC_AT, EXT2_MAGIC, strlen(EXT2_MAGIC))) {
		struct partition whole = {0, device->size};
		g_array_append_val(found, whole);
	}
	return g_steal_pointer(&found);
}
