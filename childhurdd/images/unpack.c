/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libarchive does the unpacking. Holes stay holes: those that a tar file lists, those of the file
 * system for a file that is not packed, and pages of zeros in all others. A disk of 4 GB has a
 * fourth of that in it, and what is a hole is neither written nor converted later.
 */
#include "childhurdd/images/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/room.h"
#include "childhurdd/images/show.h"
#include "childhurdd/images/stage.h"

#define IN	     STAGE_FILE(0)
#define OUT	     STAGE_FILE(1)
#define TAR_MARK     "ustar"
#define TAR_MARK_AT  257
#define SAY_INTERVAL (G_USEC_PER_SEC / 5)

struct unpacking {
	const struct unpack *unpack;
	gint64 written; /* bytes */
	gint64 look;	/* written at the next look at the room */
	gint64 said;	/* monotonic µs */
};

static void
say_at(struct unpacking *u)
{
	gint64 now = g_get_monotonic_time();
	if (now - u->said < SAY_INTERVAL)
		return;
	u->said = now;
	stage_say("at %" G_GINT64_FORMAT, (gint64)lseek(IN, 0, SEEK_CUR));
}

static gboolean
check_room(gint64 bytes, GError **error)
{
	return room_check(OUT, bytes, "the unpacked disk and the image made of it take", error);
}

static gboolean
fail_write(GError **error)
{
	g_autofree char *most = show_size(SANDBOX_FILE_SIZE);
	if (errno == EFBIG)
		return stage_fail(error, STAGE_ERROR_FAILED, "the unpacked disk has more than %s",
				  most);
	return stage_fail(
	    error, errno == ENOSPC || errno == EDQUOT ? STAGE_ERROR_ROOM : STAGE_ERROR_FAILED,
	    "the unpacked disk cannot be written: %s", g_strerror(errno));
}

static gboolean
write_all(struct unpacking *u, const guint8 *bytes, gsize length, gint64 offset, GError **error)
{
	/* The image will take what has been written once more. */
	if (u->written >= u->look) {
		if (!check_room(u->written + 2 * (gint64)length, error))
			return FALSE;
		u->look = u->written + UNPACK_ROOM;
	}
	while (length) {
		ssize_t put = pwrite(OUT, bytes, length, offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_write(error);
		bytes += put;
		length -= (gsize)put;
		offset += put;
		u->written += put;
	}
	return TRUE;
}

static gboolean
is_zero(const guint8 *bytes, gsize length)
{
	return *bytes == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* Write what is not zero, in pages of the file. */
static gboolean
write_sparse(struct unpacking *u, const guint8 *bytes, gsize length, gint64 offset, GError **error)
{
	gsize from = 0, at = 0;
	while (at < length) {
		gsize page =
		    MIN(length - at, UNPACK_PAGE - (gsize)((offset + (gint64)at) % UNPACK_PAGE));
		if (is_zero(bytes + at, page)) {
			if (at > from &&
			    !write_all(u, bytes + from, at - from, offset + (gint64)from, error))
				return FALSE;
			from = at + page;
		}
		at += page;
	}
	say_at(u);
	return at == from || write_all(u, bytes + from, at - from, offset + (gint64)from, error);
}

static gboolean
set_size(gint64 size, GError **error)
{
	if (size <= 0)
		return stage_fail(error, STAGE_ERROR_FAILED, "the unpacked disk is empty");
	return ftruncate(OUT, size) == 0 || fail_write(error);
}

/* --- not packed --- */

static gboolean
copy(struct unpacking *u, GError **error)
{
	g_autofree guint8 *block = g_malloc(UNPACK_BLOCK);
	gint64 at = 0;
	while (at < u->unpack->size) {
		gint64 data = lseek(IN, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* a hole up to its end */
		at = MAX(data, at);
		ssize_t n = pread(IN, block, UNPACK_BLOCK, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return stage_fail(error, STAGE_ERROR_FAILED, "cannot be read: %s",
					  g_strerror(errno));
		if (n == 0)
			break;
		if (!write_sparse(u, block, (gsize)n, at, error))
			return FALSE;
		at += n;
		lseek(IN, at, SEEK_SET); /* for say_at */
	}
	return set_size(u->unpack->size, error);
}

/* --- packed --- */

static gboolean
fail_archive(struct archive *archive, GError **error)
{
	const char *why = archive_error_string(archive);
	/* So liblzma calls both. */
	if (why && strstr(why, "No progress is possible"))
		why = "it is truncated, or something follows its end";
	return stage_fail(error, STAGE_ERROR_FAILED, "cannot be unpacked: %s",
			  why ? why : "it is damaged");
}

/* The bytes that a tar file has of a sparse file. */
static gint64
data_of(struct archive_entry *entry)
{
	la_int64_t offset, length, sum = 0;
	if (archive_entry_sparse_reset(entry) == 0)
		return archive_entry_size(entry);
	while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK)
		sum += MAX(length, 0);
	return sum;
}

static gboolean
unpack_entry(struct unpacking *u, struct archive *archive, struct archive_entry *entry,
	     GError **error)
{
	const void *block;
	size_t length;
	la_int64_t offset;
	gint64 size = 0;
	int result;
	/* In a tar file the size is known. */
	if (archive_entry_size_is_set(entry)) {
		size = archive_entry_size(entry);
		gint64 data = data_of(entry);
		if (!check_room(2 * MIN(data, SANDBOX_FILE_SIZE), error))
			return FALSE;
	}
	while ((result = archive_read_data_block(archive, &block, &length, &offset)) ==
	       ARCHIVE_OK) {
		if (length && !write_sparse(u, block, length, offset, error))
			return FALSE;
		size = MAX(size, offset + (gint64)length);
	}
	return result == ARCHIVE_EOF ? set_size(size, error) : fail_archive(archive, error);
}

static gboolean
fail_second(const char *first, struct archive_entry *entry, GError **error)
{
	const char *second = archive_entry_pathname(entry);
	return stage_fail(
	    error, STAGE_ERROR_FAILED,
	    "has more than one file: %s and %s; unpack it, and add the one that is the "
	    "disk: childhurdctl image add NAME FILE",
	    first, second ? second : "?");
}

/* The only file of the archive. */
static gboolean
unpack_archive(struct unpacking *u, struct archive *archive, GError **error)
{
	struct archive_entry *entry;
	g_autofree char *found = NULL;
	int result;
	/* A warning is about a name or an owner. */
	while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK ||
	       result == ARCHIVE_WARN) {
		if (archive_entry_filetype(entry) != AE_IFREG)
			continue;
		if (found)
			return fail_second(found, entry, error);
		const char *name = archive_entry_pathname(entry);
		found = g_strdup(name ? name : "?");
		if (!unpack_entry(u, archive, entry, error))
			return FALSE;
	}
	if (result != ARCHIVE_EOF)
		return fail_archive(archive, error);
	return found || stage_fail(error, STAGE_ERROR_FAILED, "has no file in it");
}

/* Open the file, from its beginning. */
static struct archive *
archive_open(gboolean tar, GError **error)
{
	struct archive *archive = archive_read_new();
	archive_read_support_filter_xz(archive);
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_zstd(archive);
	if (tar)
		archive_read_support_format_tar(archive);
	else
		archive_read_support_format_raw(archive); /* one packed file */
	if (lseek(IN, 0, SEEK_SET) == 0 &&
	    archive_read_open_fd(archive, IN, UNPACK_BLOCK) == ARCHIVE_OK)
		return archive;
	fail_archive(archive, error);
	archive_read_free(archive);
	return NULL;
}

/* Is what is packed a tar file? libarchive would take zeros, as at the beginning of many disks, for
 * an empty one. */
static gboolean
is_tar(gboolean *tar, GError **error)
{
	struct archive_entry *entry;
	char head[512] = {0};
	struct archive *archive = archive_open(FALSE, error);
	if (!archive)
		return FALSE;
	gboolean good = archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
			archive_read_data(archive, head, sizeof head) >= 0;
	*tar = good && !memcmp(head + TAR_MARK_AT, TAR_MARK, strlen(TAR_MARK));
	if (!good)
		fail_archive(archive, error);
	archive_read_free(archive);
	return good;
}

gboolean
unpack_is_packed(int fd)
{
	static const struct {
		const char *bytes;
		gsize length, offset;
	} marks[] = {{"\xfd"
		      "7zXZ",
		      5, 0},
		     {"\x1f\x8b", 2, 0},
		     {"\x28\xb5\x2f\xfd", 4, 0},
		     {TAR_MARK, strlen(TAR_MARK), TAR_MARK_AT}};
	char head[512] = {0};
	ssize_t n = pread(fd, head, sizeof head, 0);
	for (gsize i = 0; i < G_N_ELEMENTS(marks) && n > 0; i++)
		if (!memcmp(head + marks[i].offset, marks[i].bytes, marks[i].length))
			return TRUE;
	return FALSE;
}

static gboolean
unpack_packed(struct unpacking *u, GError **error)
{
	gboolean tar;
	struct archive *archive = is_tar(&tar, error) ? archive_open(tar, error) : NULL;
	gboolean good = archive && unpack_archive(u, archive, error);
	if (archive)
		archive_read_free(archive);
	return good;
}

gboolean
unpack_work(void *data, GError **error)
{
	struct unpacking u = {.unpack = data};
	gboolean good = unpack_is_packed(IN) ? unpack_packed(&u, error) : copy(&u, error);
	return good && (u.written || stage_fail(error, STAGE_ERROR_FAILED,
						"has nothing but zeros in it, as a blank disk or "
						"an empty archive has"));
}
