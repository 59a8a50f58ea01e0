/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Debian's images have the root in a logical partition (i386) or the second one (amd64), Guix' in
 * the first. The type of a partition says little, and its number nothing: what is in it counts.
 */
#include "childhurdd/images/file_systems.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/stage.h"
#include "childhurdd/inject/partitions.h"

#define MAGIC_AT 1080 /* in the superblock */
#define MAGIC	 "\x53\xef"

struct raw_disk {
	struct device device; /* first */
	int fd;
};

static gboolean
read_raw(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	const struct raw_disk *disk = (const struct raw_disk *)device;
	ssize_t n = pread(disk->fd, buffer, length, (gint64)offset);
	if (n == (ssize_t)length)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "byte %" G_GUINT64_FORMAT ": %s", offset,
		    n < 0 ? g_strerror(errno) : "the disk ends there");
	return FALSE;
}

static gboolean
is_ext2(struct device *device, const struct partition *partition)
{
	char magic[sizeof MAGIC - 1];
	return partition->length >= MAGIC_AT + sizeof magic &&
	       device->read(device, magic, sizeof magic, partition->offset + MAGIC_AT, NULL) &&
	       !memcmp(magic, MAGIC, sizeof magic);
}

GArray *
file_systems_find(int fd, GError **error)
{
	struct stat status;
	if (fstat(fd, &status) < 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the disk: %s",
			    g_strerror(errno));
		return NULL;
	}
	struct raw_disk disk = {{.size = (guint64)status.st_size, .read = read_raw}, fd};
	g_autoptr(GArray) partitions = partitions_find(&disk.device, error);
	if (!partitions)
		return NULL;
	GArray *found = g_array_new(FALSE, FALSE, sizeof(guint64));
	for (guint i = 0; i < partitions->len; i++) {
		const struct partition *partition = &g_array_index(partitions, struct partition, i);
		if (is_ext2(&disk.device, partition))
			g_array_append_val(found, partition->offset);
	}
	return found;
}

gboolean
file_systems_work(void *data, GError **error)
{
	g_autoptr(GArray) found = file_systems_find(STAGE_FILE(0), error);
	for (guint i = 0; found && i < found->len; i++)
		stage_say("ext2 %" G_GUINT64_FORMAT, g_array_index(found, guint64, i));
	return found != NULL;
}
