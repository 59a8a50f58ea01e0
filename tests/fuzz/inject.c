/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what reads a disk: partition tables, ext2 and GRUB's menu.
 *
 * Input: records of 3 bytes, a place (2 bytes, little-endian) on a disk of 2 MiB that is a Hurd's,
 * and the byte that is there instead. The first 512 places are the partition table, the others what
 * begins with the superblock. What is on the disk is looked at, and keys are written into it.
 * Nothing may be read or written outside of it.
 */
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/inject.h"
#include "ssh/secrets/file.h"

#define SIZE	(2 * 1024 * 1024)
#define ROOT	(64 * 512)
#define TABLE	512
#define SUPER	1024
#define RECORDS 4096

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *sound; /* the disk as it was made */
static char now[SIZE];
static GPtrArray *edits;

static void
require(gboolean good, const char *what)
{
	if (!good) {
		fprintf(stderr, "broken promise: %s\n", what);
		abort();
	}
}

static gboolean
on_read(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	require(offset <= SIZE && length <= SIZE - offset, "reads are within the disk");
	memcpy(buffer, now + offset, length);
	return TRUE;
}

static gboolean
on_write(struct device *device, const void *buffer, gsize length, guint64 offset, GError **error)
{
	require(offset <= SIZE && length <= SIZE - offset, "writes are within the disk");
	memcpy(now + offset, buffer, length);
	return TRUE;
}

static gboolean
on_flush(struct device *device, GError **error)
{
	return TRUE;
}

static void
run(const char *script)
{
	int status = 0;
	const char *const argv[] = {"sh", "-ec", script, NULL};
	require(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
			     &status, NULL) &&
		    status == 0,
		"the disk can be made (e2fsprogs, fdisk)");
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_autofree char *folder = g_dir_make_tmp("fuzz-inject-XXXXXX", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk", NULL);
	g_autofree char *script = g_strdup_printf(
	    "PATH=$PATH:/usr/sbin:/sbin; cd %s; mkdir -p tree/etc tree/hurd tree/boot/grub "
	    "tree/gnu/store/x-hurd-1/hurd\n"
	    "echo multiboot /boot/gnumach.gz > tree/boot/grub/grub.cfg; cp /bin/true "
	    "tree/hurd/exec\n"
	    "truncate -s %d disk; echo start=64 | sfdisk -q disk\n"
	    "mke2fs -q -F -o hurd -I 128 -N 64 -E offset=%d -d tree disk 2000k; rm -r tree",
	    folder, SIZE, ROOT);
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	struct secret_file *file = g_new0(struct secret_file, 1);
	gsize length;
	run(script);
	require(g_file_get_contents(disk, &sound, &length, NULL) && length == SIZE, "it is there");
	g_unlink(disk);
	g_rmdir(folder);
	*file = (struct secret_file){g_strdup("/etc/ssh/ssh_host_ed25519_key"), 0600,
				     g_bytes_new_take(g_strnfill(2000, 'k'), 2000)};
	g_ptr_array_add(files, file);
	edits = edits_for(CONFIG_DISTRIBUTION_DEBIAN, files, "root", "ssh-ed25519 AAAA c@a\n");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct device device = {
	    .size = SIZE, .read = on_read, .write = on_write, .flush = on_flush};
	struct image_kind kind;
	g_autoptr(GError) error = NULL;
	memcpy(now, sound, SIZE);
	for (size_t i = 0; i + 3 <= size && i < 3 * RECORDS; i += 3) {
		guint32 at = data[i] | (guint32)data[i + 1] << 8;
		now[at < TABLE ? at : ROOT + SUPER + at - TABLE] = (char)data[i + 2];
	}
	if (!inject_look(&device, &kind, &error))
		require(error && error->message[0], "a failure has a message");
	g_clear_error(&error);
	if (!inject(&device, edits, &error))
		require(error && error->message[0], "a failure has a message");
	return 0;
}
