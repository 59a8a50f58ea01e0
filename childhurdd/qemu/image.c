/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recognizes disk images.
 *
 * QEMU must not probe a raw image itself: a guest can write anything to its disk, for instance the
 * header of a qcow2 image that names any file of the host as its backing file. So a failed probe
 * alone does not make an image raw: it must look like a disk, or the administrator must state that
 * it is raw.
 *
 * If a guest dies in mid-boot with I/O errors, the usual cause is an incomplete download, hours
 * before. So all tables of a qcow2 image are compared with the length of the file, which costs some
 * 64 KiB of reading for 512 MiB of disk. The format: docs/interop/qcow2.txt in QEMU's source.
 */
#include "childhurdd/qemu/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/user.h"
#include "config/image_name.h"

G_DEFINE_QUARK(childhurd - disk - error - quark, disk_error)

#define HEAD_SIZE                                                                                  \
	(64 * 1024 + 512) /* bytes read to recognize a file system: btrfs' mark is the last */
#define SECTOR 512

/* The qcow2 header's fields, by offset; all big-endian. */
#define QCOW2_MAGIC	       "QFI\xfb"
#define QCOW2_VERSION	       4
#define QCOW2_BACKING_OFFSET   8
#define QCOW2_BACKING_SIZE     16
#define QCOW2_CLUSTER_BITS     20
#define QCOW2_SIZE	       24
#define QCOW2_CRYPT_METHOD     32
#define QCOW2_L1_SIZE	       36
#define QCOW2_L1_OFFSET	       40
#define QCOW2_REFCOUNT_OFFSET  48
#define QCOW2_REFCOUNT_SIZE    56
#define QCOW2_V2_LENGTH	       72
#define QCOW2_INCOMPATIBLE     72
#define QCOW2_HEADER_LENGTH    100
#define QCOW2_V3_LENGTH	       104
#define QCOW2_EXTENSION_FORMAT 0xe2792acaU
#define QCOW2_EXTENSION_DATA   0x44415441U /* the name of an external data file */

#define INCOMPATIBLE_EXTERNAL_DATA (1U << 2)
#define INCOMPATIBLE_EXTENDED_L2   (1U << 4)

#define ENTRY_OFFSET	 0x00fffffffffffe00ULL
#define ENTRY_COMPRESSED (1ULL << 62)
#define ENTRY_ZERO	 1ULL

#define L1_SIZE_MAX	 (32 * 1024 * 1024 / 8) /* entries; QEMU refuses more */
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21

struct mark {
	gint64 offset;
	const char *bytes;
	gsize length;
	const char *name;
	const char *command; /* makes a usable image; the file's name follows; NULL: see advice */
	const char *advice;
};

#define MARK(offset, bytes, ...)                                                                   \
	{                                                                                          \
		offset, bytes, sizeof(bytes) - 1, __VA_ARGS__                                      \
	}
#define CONVERT(format) "qemu-img convert -f " format " -O qcow2"

/* Files that people use as images and that cannot be used as they are. */
static const struct mark foreign[] = {
    MARK(0, "KDMV", "a VMDK image", CONVERT("vmdk"), NULL),
    MARK(0, "COWD", "a VMDK image", CONVERT("vmdk"), NULL),
    MARK(0, "# Disk DescriptorFile", "a VMDK image", CONVERT("vmdk"), NULL),
    MARK(0x40, "\x7f\x10\xda\xbe", "a VDI image", CONVERT("vdi"), NULL),
    MARK(0, "vhdxfile", "a VHDX image", CONVERT("vhdx"), NULL),
    MARK(0, "conectix", "a VHD image", CONVERT("vpc"), NULL),
    MARK(0, "QED\0", "a QED image", CONVERT("qed"), NULL),
    MARK(0, QCOW2_MAGIC "\0\0\0\1", "a qcow image of version 1", CONVERT("qcow"), NULL),
    MARK(0, "WithoutFreeSpace", "a Parallels image", CONVERT("parallels"), NULL),
    MARK(0, "WithouFreSpacExt", "a Parallels image", CONVERT("parallels"), NULL),
    MARK(0, "\x1f\x8b", "compressed with gzip", "gzip -dk", NULL),
    MARK(0,
	 "\xfd"
	 "7zXZ",
	 "compressed with xz", "xz -dk", NULL),
    MARK(0, "\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -d", NULL),
    MARK(0, "BZh", "compressed with bzip2", "bzip2 -dk", NULL),
    MARK(0, "LZIP", "compressed with lzip", "lzip -dk", NULL),
    MARK(0, "PK\3\4", "a zip archive", "unzip", NULL),
    MARK(257, "ustar", "a tar archive", "tar -xf", NULL),
    MARK(0, "LUKS\xba\xbe", "encrypted with LUKS", NULL,
	 "unlock it and copy its content to an image"),
    MARK(0,
	 "\x7f"
	 "ELF",
	 "an ELF file", NULL, "a kernel belongs to the key kernel"),
    MARK(0, "<!DOCTYPE", "a web page", NULL,
	 "download the image again, the server sent a message instead"),
    MARK(0, "<html", "a web page", NULL,
	 "download the image again, the server sent a message instead"),
};

/* The beginnings of raw disks and of file systems without partitions. */
static const struct mark disks[] = {
    MARK(510, "\x55\xaa", "a boot sector or MBR", NULL, NULL),
    MARK(512, "EFI PART", "a GPT", NULL, NULL),
    MARK(4096, "EFI PART", "a GPT of 4096-byte sectors", NULL, NULL),
    MARK(1080, "\x53\xef", "ext2", NULL, NULL),
    MARK(32769, "CD001", "ISO 9660", NULL, NULL),
    MARK(65600, "_BHRfS_M", "btrfs", NULL, NULL),
    MARK(0, "XFSB", "XFS", NULL, NULL),
    MARK(0, "hsqs", "SquashFS", NULL, NULL),
};

/* An image while it is checked. */
struct look {
	const char *path;
	int fd;
	gint64 length; /* of the file */
	guint8 head[HEAD_SIZE];
	gsize head_length;
};

static gboolean fail(const struct look *look, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
fail(const struct look *look, GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, DISK_ERROR, DISK_ERROR_IMAGE, "%s: %s", look->path, text);
	return FALSE;
}

static guint32
be32(const guint8 *bytes)
{
	guint32 value;

	memcpy(&value, bytes, sizeof(value));
	return GUINT32_FROM_BE(value);
}

static guint64
be64(const guint8 *bytes)
{
	guint64 value;

	memcpy(&value, bytes, sizeof(value));
	return GUINT64_FROM_BE(value);
}

/* Exactly length bytes from offset. FALSE: the read was short (errno 0) or failed. */
static gboolean
read_at(int fd, void *buffer, gsize length, gint64 offset)
{
	gsize done = 0;

	while (done < length) {
		ssize_t got =
		    pread(fd, (guint8 *)buffer + done, length - done, offset + (gint64)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got == 0)
				errno = 0;
			return FALSE;
		}
		done += (gsize)got;
	}
	return TRUE;
}

static const struct mark *
mark_find(const struct look *look, const struct mark *marks, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		const struct mark *mark = &marks[i];

		if ((gsize)mark->offset + mark->length <= look->head_length &&
		    memcmp(look->head + mark->offset, mark->bytes, mark->length) == 0)
			return mark;
	}
	return NULL;
}

static gboolean
fail_foreign(const struct look *look, const struct mark *mark, GError **error)
{
	g_autofree char *target = g_strconcat(look->path, ".qcow2", NULL);
	g_autofree char *quoted = g_shell_quote(look->path);
	g_autofree char *quoted_target = g_shell_quote(target);

	if (!mark->command)
		return fail(look, error, "is %s, not a disk image; %s", mark->name, mark->advice);
	if (!g_str_has_prefix(mark->command, "qemu-img"))
		return fail(look, error, "is %s; unpack it first: %s %s", mark->name, mark->command,
			    quoted);
	return fail(look, error, "is %s; convert it first: %s %s %s", mark->name, mark->command,
		    quoted, quoted_target);
}

static gboolean
fail_truncated(const struct look *look, const char *what, GError **error)
{
	return fail(look, error,
		    "is truncated: %s lies beyond the end of the file at %" G_GINT64_FORMAT
		    " bytes; copy or download it again",
		    what, look->length);
}

/* Is the range within the file? No sum here can overflow. */
static gboolean
inside(const struct look *look, guint64 offset, guint64 length)
{
	return offset <= (guint64)look->length && length <= (guint64)look->length - offset;
}

struct qcow2 {
	guint32 cluster_bits;
	gsize entry_size; /* bytes of an L2 entry */
	gsize budget;	  /* bytes of L2 tables still to read */
};

/* The beginning of an L2 entry's cluster; 0: not in the file. */
static guint64
entry_start(const struct qcow2 *qcow2, guint64 entry)
{
	if (entry & ENTRY_COMPRESSED)
		return entry & ((1ULL << (62 - (qcow2->cluster_bits - 8))) - 1);
	if (entry & ENTRY_ZERO)
		return 0;
	return entry & ENTRY_OFFSET;
}

static gboolean
l2_check(const struct look *look, struct qcow2 *qcow2, guint64 offset, guint8 *table,
	 GError **error)
{
	gsize size = (gsize)1 << qcow2->cluster_bits;

	if (!inside(look, offset, size))
		return fail_truncated(look, "an L2 table", error);
	if (qcow2->budget < size)
		return TRUE;
	qcow2->budget -= size;
	if (!read_at(look->fd, table, size, (gint64)offset))
		return fail(look, error, "cannot read: %s", g_strerror(errno));
	for (gsize i = 0; i < size; i += qcow2->entry_size) {
		if (entry_start(qcow2, be64(table + i)) >= (guint64)look->length)
			return fail_truncated(look, "a part of the guest's disk", error);
	}
	return TRUE;
}

static gboolean
l1_check(const struct look *look, struct qcow2 *qcow2, GError **error)
{
	guint32 entries = be32(look->head + QCOW2_L1_SIZE);
	guint64 offset = be64(look->head + QCOW2_L1_OFFSET);
	g_autofree guint8 *l1 = NULL;
	g_autofree guint8 *l2 = g_malloc((gsize)1 << qcow2->cluster_bits);

	if (entries > L1_SIZE_MAX)
		return fail(look, error, "has a damaged qcow2 header: an L1 table of %u entries",
			    entries);
	if (!inside(look, offset, (guint64)entries * 8))
		return fail_truncated(look, "the L1 table", error);
	l1 = g_malloc((gsize)entries * 8 + 1);
	if (!read_at(look->fd, l1, (gsize)entries * 8, (gint64)offset))
		return fail(look, error, "cannot read: %s", g_strerror(errno));
	for (guint32 i = 0; i < entries; i++) {
		guint64 table = be64(l1 + (gsize)i * 8) & ENTRY_OFFSET;

		if (table && !l2_check(look, qcow2, table, l2, error))
			return FALSE;
	}
	return TRUE;
}

/* The content of a header's extension as text; NULL: there is none of that type. */
static char *
extension(const struct look *look, gsize offset, guint32 wanted)
{
	while (offset + 8 <= look->head_length) {
		guint32 type = be32(look->head + offset);
		guint32 length = be32(look->head + offset + 4);

		offset += 8;
		if (type == 0 || length > look->head_length - offset)
			return NULL;
		if (type == wanted)
			return g_strndup((const char *)look->head + offset, length);
		offset += ((gsize)length + 7) & ~(gsize)7;
	}
	return NULL;
}

/* name: NULL, or any bytes from the image. */
static gboolean
fail_elsewhere(const struct look *look, const char *what, const char *name, GError **error)
{
	g_autofree char *copy = g_strconcat(look->path, ".alone", NULL);
	g_autofree char *quoted = g_shell_quote(look->path), *to = g_shell_quote(copy);
	g_autofree char *shown = g_strescape(name ? name : "one without a name", NULL);

	return fail(
	    look, error,
	    "has %s (%s), and whoever made the image could so have the guest read any file "
	    "of this host; an image must be complete in itself. If you trust this one: qemu-img "
	    "convert -O qcow2 %s %s",
	    what, shown, quoted, to);
}

static gboolean
backing_read(const struct look *look, struct image *image, gsize header_length, GError **error)
{
	guint64 offset = be64(look->head + QCOW2_BACKING_OFFSET);
	guint32 length = be32(look->head + QCOW2_BACKING_SIZE);
	char name[IMAGE_NAME_MAX + 1];

	if (offset == 0 || length == 0)
		return TRUE;
	if (length > IMAGE_NAME_MAX)
		return fail(look, error,
			    "has a damaged qcow2 header: a backing file name of %u bytes", length);
	if (!inside(look, offset, length) || !read_at(look->fd, name, length, (gint64)offset))
		return fail_truncated(look, "the backing file's name", error);
	image->backing = g_strndup(name, length);
	image->backing_format = extension(look, header_length, QCOW2_EXTENSION_FORMAT);
	return TRUE;
}

static gboolean
qcow2_check(const struct look *look, struct image *image, GError **error)
{
	const guint8 *head = look->head;
	struct qcow2 qcow2 = {.entry_size = 8, .budget = IMAGE_TABLES_MAX};
	guint32 version, header_length = QCOW2_V2_LENGTH;
	guint64 features = 0;

	if (look->head_length < QCOW2_V2_LENGTH)
		return fail_truncated(look, "the qcow2 header", error);
	version = be32(head + QCOW2_VERSION);
	if (version != 2 && version != 3)
		return fail(look, error, "has a qcow2 header of version %u; 2 and 3 are known",
			    version);
	if (version == 3) {
		if (look->head_length < QCOW2_V3_LENGTH)
			return fail_truncated(look, "the qcow2 header", error);
		features = be64(head + QCOW2_INCOMPATIBLE);
		header_length = be32(head + QCOW2_HEADER_LENGTH);
		qcow2.entry_size = features & INCOMPATIBLE_EXTENDED_L2 ? 16 : 8;
	}
	g_autofree char *data_file = extension(look, header_length, QCOW2_EXTENSION_DATA);
	if (data_file || (features & INCOMPATIBLE_EXTERNAL_DATA))
		return fail_elsewhere(look, "its data in another file", data_file, error);
	qcow2.cluster_bits = be32(head + QCOW2_CLUSTER_BITS);
	if (qcow2.cluster_bits < CLUSTER_BITS_MIN || qcow2.cluster_bits > CLUSTER_BITS_MAX)
		return fail(look, error, "has a damaged qcow2 header: clusters of 2^%u bytes",
			    qcow2.cluster_bits);
	if (be64(head + QCOW2_SIZE) > G_MAXINT64)
		return fail(look, error,
			    "has a damaged qcow2 header: its disk has no sensible size");
	if (be32(head + QCOW2_CRYPT_METHOD) != 0)
		return fail(look, error,
			    "is encrypted, and a childhurd cannot get its key; "
			    "make a copy in the clear with qemu-img convert");
	if (!inside(look, be64(head + QCOW2_REFCOUNT_OFFSET),
		    (guint64)be32(head + QCOW2_REFCOUNT_SIZE) << qcow2.cluster_bits))
		return fail_truncated(look, "the refcount table", error);
	image->format = "qcow2";
	image->size = (gint64)be64(head + QCOW2_SIZE);
	return l1_check(look, &qcow2, error) && backing_read(look, image, header_length, error);
}

static gboolean
raw_check(const struct look *look, gboolean stated, struct image *image, GError **error)
{
	const struct mark *mark = mark_find(look, foreign, G_N_ELEMENTS(foreign));

	if (!stated && mark)
		return fail_foreign(look, mark, error);
	if (!stated && !mark_find(look, disks, G_N_ELEMENTS(disks)))
		return fail(look, error,
			    "does not look like a disk: no partition table and no file system "
			    "at its start; if it is meant, state image-format = raw");
	image->format = "raw";
	image->size = (look->length + SECTOR - 1) / SECTOR * SECTOR;
	return TRUE;
}

static gboolean
look_check(const struct look *look, const char *format, struct image *image, GError **error)
{
	gboolean qcow = look->head_length >= 4 && memcmp(look->head, QCOW2_MAGIC, 4) == 0;
	const struct mark *mark = mark_find(look, foreign, G_N_ELEMENTS(foreign));

	if (look->length == 0)
		return fail(look, error, "is empty; copy or download it again");
	if (g_strcmp0(format, "raw") == 0 && qcow)
		return fail(look, error,
			    "is a qcow2 image though image-format says raw; leave "
			    "image-format out, or state qcow2");
	if (qcow && !mark)
		return qcow2_check(look, image, error);
	if (g_strcmp0(format, "qcow2") == 0) {
		if (mark)
			return fail_foreign(look, mark, error);
		return fail(look, error, "is not a qcow2 image though image-format says qcow2; %s",
			    mark_find(look, disks, G_N_ELEMENTS(disks))
				? "it looks like a raw disk: leave image-format out, or state raw"
				: "it does not look like a disk at all");
	}
	return raw_check(look, format != NULL, image, error);
}

static gboolean
look_open(struct look *look, GError **error)
{
	struct stat status;

	/* O_NONBLOCK: otherwise a FIFO would wait for a writer */
	look->fd = open(look->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (look->fd < 0) {
		int why = errno;
		const char *advice = qemu_user_sandbox(look->path);
		g_autofree char *absent = why == ENOENT ? image_file_advice(look->path) : NULL;
		return fail(look, error, "%s; %s", g_strerror(why),
			    absent	    ? absent
			    : advice	    ? advice
			    : why == EACCES ? "the daemon's user must be able to read the image"
					    : "the key image must name a disk image");
	}
	if (fstat(look->fd, &status) < 0)
		return fail(look, error, "%s", g_strerror(errno));
	if (S_ISDIR(status.st_mode))
		return fail(look, error, "is a directory; the key image must name a disk image");
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return fail(look, error, "is neither a file nor a block device");
	look->length = lseek(look->fd, 0, SEEK_END);
	look->head_length = (gsize)MIN(look->length, HEAD_SIZE);
	if (look->length < 0 || !read_at(look->fd, look->head, look->head_length, 0))
		return fail(look, error, "cannot read: %s", g_strerror(errno));
	return TRUE;
}

static gboolean
probe_one(const char *path, const char *format, struct image *image, GError **error)
{
	g_autofree struct look *look = g_new0(struct look, 1);
	gboolean good;

	*image = (struct image){0};
	look->path = path;
	look->fd = -1;
	good = look_open(look, error) && look_check(look, format, image, error);
	if (!good)
		image_clear(image);
	if (look->fd >= 0)
		close(look->fd);
	return good;
}

gboolean
image_probe(const char *path, const char *format, struct image *image, GError **error)
{
	const struct look look = {.path = path};
	if (!probe_one(path, format, image, error))
		return FALSE;
	if (!image->backing)
		return TRUE;
	fail_elsewhere(&look, "a backing file", image->backing, error);
	image_clear(image);
	return FALSE;
}

gboolean
image_probe_for(const char *path, const char *format, gint64 size, struct image *image,
		GError **error)
{
	if (!image_probe(path, format, image, error))
		return FALSE;
	if (size <= 0 || size >= image->size)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_IMAGE,
		    "%s: holds a disk of %" G_GINT64_FORMAT
		    " bytes, but disk-size is only %" G_GINT64_FORMAT
		    "; raise disk-size, or leave it out",
		    path, image->size, size);
	image_clear(image);
	return FALSE;
}

gboolean
image_probe_overlay(const char *path, struct image *image, GError **error)
{
	return probe_one(path, "qcow2", image, error);
}

void
image_clear(struct image *image)
{
	g_free(image->backing);
	g_free(image->backing_format);
	*image = (struct image){0};
}
