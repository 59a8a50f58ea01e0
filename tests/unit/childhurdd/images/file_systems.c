/* SPDX-License-Identifier: GPL-3.0-or-later */
/* File systems are found by what is in the partitions, in all tables, and in damaged ones. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "childhurdd/images/file_systems.h"

#define SECTOR 512
#define LENGTH 64 /* sectors of a partition */

/* A disk of n sectors in memory. */
static int
disk_new(gint64 sectors)
{
	int disk = memfd_create("disk", MFD_CLOEXEC);
	g_assert_cmpint(disk, >=, 0);
	g_assert_cmpint(ftruncate(disk, sectors * SECTOR), ==, 0);
	return disk;
}

static void
put(int disk, gint64 offset, const void *bytes, gsize length)
{
	g_assert_cmpint(pwrite(disk, bytes, length, offset), ==, (gssize)length);
}

static void
put_ext2(int disk, gint64 sector)
{
	put(disk, sector * SECTOR + 1080, "\x53\xef", 2);
}

/* Entry n of the boot record in that sector. */
static void
put_entry(int disk, gint64 record, int n, guint8 type, guint32 start)
{
	guint8 entry[16] = {0};
	guint32 le = GUINT32_TO_LE(start), length = GUINT32_TO_LE(LENGTH);
	entry[4] = type;
	memcpy(entry + 8, &le, 4);
	memcpy(entry + 12, &length, 4);
	put(disk, record * SECTOR + 446 + n * 16, entry, sizeof entry);
	put(disk, record * SECTOR + 510, "\x55\xaa", 2);
}

/* Finds just the n sectors. */
static void
assert_found(int disk, guint n, const gint64 *sectors)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) found = file_systems_find(disk, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(found->len, ==, n);
	for (guint i = 0; i < n; i++)
		g_assert_cmpuint(g_array_index(found, guint64, i), ==,
				 (guint64)sectors[i] * SECTOR);
	close(disk);
}

static void
test_primary(void)
{
	int disk = disk_new(8192);
	put_entry(disk, 0, 0, 0x82, 64);
	put_entry(disk, 0, 1, 0x83, 2048);
	put_ext2(disk, 2048);
	assert_found(disk, 1, (gint64[]){2048});
}

static void
test_logical(void)
{
	int disk = disk_new(8192);
	put_entry(disk, 0, 0, 0x82, 64);
	put_entry(disk, 0, 1, 0x05, 1000);
	put_entry(disk, 1000, 0, 0x83, 2);
	put_entry(disk, 1000, 1, 0x05, 3000);
	put_entry(disk, 4000, 0, 0x83, 2);
	put_ext2(disk, 1002);
	put_ext2(disk, 4002);
	assert_found(disk, 2, (gint64[]){1002, 4002});
}

static void
test_gpt(void)
{
	int disk = disk_new(8192);
	guint64 entries = GUINT64_TO_LE(2), start = GUINT64_TO_LE(4096);
	guint64 last = GUINT64_TO_LE(4096 + LENGTH - 1);
	guint32 count = GUINT32_TO_LE(128), size = GUINT32_TO_LE(128);
	put_entry(disk, 0, 0, 0xee, 1);
	put(disk, SECTOR, "EFI PART", 8);
	put(disk, SECTOR + 72, &entries, 8);
	put(disk, SECTOR + 80, &count, 4);
	put(disk, SECTOR + 84, &size, 4);
	put(disk, 2 * SECTOR + 3 * 128 + 32, &start, 8);
	put(disk, 2 * SECTOR + 3 * 128 + 40, &last, 8);
	put_ext2(disk, 4096);
	assert_found(disk, 1, (gint64[]){4096});
}

static void
test_bare(void)
{
	int disk = disk_new(64);
	put_ext2(disk, 0);
	assert_found(disk, 1, (gint64[]){0});
}

static void
test_none(void)
{
	assert_found(disk_new(0), 0, NULL);
	assert_found(disk_new(64), 0, NULL);
	int disk = disk_new(64);
	put_entry(disk, 0, 0, 0x83, 4000000000U);
	assert_found(disk, 0, NULL);
}

/* A chain that leads to itself, and a table of endless entries, come to an end. */
static void
test_endless(void)
{
	int disk = disk_new(8192);
	guint64 entries = GUINT64_TO_LE(2);
	guint32 count = GUINT32_TO_LE(G_MAXUINT32);
	put_entry(disk, 0, 0, 0x05, 1000);
	put_entry(disk, 1000, 0, 0x83, 2);
	put_entry(disk, 1000, 1, 0x05, 3000);
	put_entry(disk, 4000, 0, 0x83, 2);
	put_entry(disk, 4000, 1, 0x05, 3000);
	put(disk, SECTOR, "EFI PART", 8);
	put(disk, SECTOR + 72, &entries, 8);
	put(disk, SECTOR + 80, &count, 4);
	put_ext2(disk, 1002);
	put_ext2(disk, 4002);
	assert_found(disk, 2, (gint64[]){1002, 4002});
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/file-systems/a-primary-one-is-found-by-its-content", test_primary);
	g_test_add_func("/file-systems/logical-ones-are-found", test_logical);
	g_test_add_func("/file-systems/those-of-a-gpt-are-found", test_gpt);
	g_test_add_func("/file-systems/a-disk-without-a-table-may-be-a-file-system", test_bare);
	g_test_add_func("/file-systems/where-there-is-none-none-is-found", test_none);
	g_test_add_func("/file-systems/an-endless-table-comes-to-an-end", test_endless);
	return g_test_run();
}
