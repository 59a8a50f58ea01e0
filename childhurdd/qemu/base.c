/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An overlay on another base is garbage, and a guest that boots it writes more. Its header names
 * the base by a path, but another image may be there now, or the same image may have moved. So
 * there is a record beside the overlay. Size, times and inode show at once that nothing changed,
 * and a digest tells a copy (cp, rsync, a restored backup) from another image.
 *
 * The digest covers a sample at every 64 KiB. Partitions and the clusters of a qcow2 image begin
 * there, so the samples include the superblock of each file system (ext2's is 1 KiB after its
 * beginning), which changes with any write to it. Building an image again also moves or changes
 * data in the samples. A hole reads as zeros, so a sparse copy has the same digest.
 */
#include "childhurdd/qemu/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/image.h"
#include "childhurdd/system/lane.h"
#include "config/base/atomic_file.h"

#define MIB    G_GINT64_CONSTANT(1048576)
#define STEP   G_GINT64_CONSTANT(65536)
#define SAMPLE 2048

char *
base_record(const char *overlay)
{
	g_autofree char *folder = g_path_get_dirname(overlay);
	return g_build_filename(folder, "disk.base", NULL);
}

static gboolean
fail(const char *image, GError **error)
{
	g_set_error(error, DISK_ERROR, DISK_ERROR_IMAGE, "%s: %s", image, g_strerror(errno));
	return FALSE;
}

/* Add up to length bytes to the digest. */
static gboolean
add(GChecksum *sum, int fd, gint64 offset, gint64 length)
{
	guint8 buffer[65536];
	while (length > 0) {
		ssize_t n = pread(fd, buffer, (gsize)MIN(length, (gint64)sizeof buffer), offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		lane_goes_on();
		g_checksum_update(sum, buffer, n);
		offset += n;
		length -= n;
	}
	return TRUE;
}

static gboolean
digest(int fd, struct base *now)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gint64 step = (now->size / BASE_SAMPLES_MAX / STEP + 1) * STEP;
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT "\n", now->size);
	g_checksum_update(sum, (const guint8 *)size, -1);
	gboolean good = add(sum, fd, 0, MIB) && add(sum, fd, MAX(0, now->size - MIB), MIB);
	for (gint64 at = MIB; good && at < now->size; at += step)
		good = add(sum, fd, at, SAMPLE);
	g_strlcpy(now->digest, g_checksum_get_string(sum), sizeof now->digest);
	return good;
}

static gint64
nanoseconds(struct timespec time)
{
	return time.tv_sec * G_GINT64_CONSTANT(1000000000) + time.tv_nsec;
}

/* Fill in all but the digest. Returns the open image, or -1. */
static int
look(const char *image, struct base *now)
{
	struct stat st;
	*now = (struct base){0};
	int fd = open(image, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (now->size = lseek(fd, 0, SEEK_END)) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	now->modified = nanoseconds(st.st_mtim);
	now->changed = nanoseconds(st.st_ctim);
	now->inode = st.st_ino;
	return fd;
}

gboolean
base_look(const char *image, struct base *now, GError **error)
{
	int fd = look(image, now);
	gboolean good = fd >= 0 && digest(fd, now);
	if (!good)
		fail(image, error);
	if (fd >= 0)
		close(fd);
	return good;
}

#define FORMAT                                                                                     \
	"size %" G_GINT64_FORMAT "\nmodified %" G_GINT64_FORMAT "\nchanged %" G_GINT64_FORMAT      \
	"\ninode %" G_GUINT64_FORMAT "\nsha256 "

static gboolean
read_record(const char *record, struct base *base)
{
	g_autofree char *text = NULL;
	*base = (struct base){0};
	return g_file_get_contents(record, &text, NULL, NULL) &&
	       sscanf(text, FORMAT "%64[0-9a-f]", &base->size, &base->modified, &base->changed,
		      &base->inode, base->digest) == 5 &&
	       strlen(base->digest) == 64;
}

/* Is it the unchanged file? (Devices' numbers change from boot to boot.) */
static gboolean
is_untouched(const struct base *a, const struct base *b)
{
	return a->size == b->size && a->modified == b->modified && a->changed == b->changed &&
	       a->inode == b->inode;
}

enum base_verdict
base_compare(const char *record, const char *image, struct base *now, GError **error)
{
	struct base kept;
	gboolean known = read_record(record, &kept);
	int fd = look(image, now);
	gboolean untouched = fd >= 0 && known && is_untouched(&kept, now);
	if (untouched)
		*now = kept;
	gboolean good = fd >= 0 && (untouched || digest(fd, now));
	if (!good)
		fail(image, error);
	if (fd >= 0)
		close(fd);
	if (!good)
		return BASE_FAILED;
	if (!known)
		return BASE_UNKNOWN;
	return strcmp(kept.digest, now->digest) ? BASE_OTHER : BASE_SAME;
}

gboolean
base_keep(const char *record, const struct base *now, GError **error)
{
	struct base kept;
	if (read_record(record, &kept) && is_untouched(&kept, now) &&
	    !strcmp(kept.digest, now->digest))
		return TRUE;
	g_autofree char *text = g_strdup_printf(FORMAT "%s\n", now->size, now->modified,
						now->changed, now->inode, now->digest);
	return atomic_file_write(record, text, -1, 0600, error);
}
