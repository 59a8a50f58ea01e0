/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Good images, bad images, and the overlays on them; with the real qemu-img. */
#include "childhurdd/qemu/disk.h"
#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/injector.h"
#include "childhurdd/qemu/image.h"
#include "ssh/secrets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024 * 1024)

struct place {
	char *directory;
	char *overlay;
	struct ev_loop *loop;
	struct tasks *tasks;
	struct lane *lane;
	GBytes *edits; /* written into the overlays; NULL: nothing */
	const char *host_key;
};

struct outcome {
	int calls;
	char *format;
	GError *error;
	char *waits, *earlier; /* why, and the first host key of the edits that are there */
};

static void
place_make(struct place *place)
{
	place->directory =
	    g_dir_make_tmp("disk, a:b=c\nd-XXXXXX", NULL); /* all that is special in a name */
	g_assert_nonnull(place->directory);
	place->overlay = g_build_filename(place->directory, "disk.qcow2", NULL);
	place->edits = NULL;
	place->host_key = NULL;
	place->loop = ev_loop_new(EVFLAG_AUTO);
	place->tasks = tasks_new(place->loop, -1);
	place->lane = lane_new(place->tasks);
}

static void
directory_remove(const char *directory)
{
	GDir *open = g_dir_open(directory, 0, NULL);

	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open)) {
		g_autofree char *path = g_build_filename(directory, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_dir_close(open);
	g_assert_cmpint(rmdir(directory), ==, 0);
}

static void
place_remove(struct place *place)
{
	lane_free(place->lane);
	tasks_finish(place->tasks);
	ev_loop_destroy(place->loop);
	directory_remove(place->directory);
	g_free(place->overlay);
	g_free(place->directory);
}

static char *
path_in(const struct place *place, const char *name)
{
	return g_build_filename(place->directory, name, NULL);
}

/* A file of that many bytes that begins with content. */
static char *
file_make(const struct place *place, const char *name, const char *content, gsize length,
	  gint64 size)
{
	char *path = path_in(place, name);

	g_assert_true(g_file_set_contents(path, content, (gssize)length, NULL));
	g_assert_cmpint(truncate(path, size), ==, 0);
	return path;
}

/* A raw disk with only an MBR's signature. */
static char *
raw_make(const struct place *place, const char *name, gint64 size)
{
	char head[512] = {0};

	head[510] = 0x55;
	head[511] = (char)0xaa;
	return file_make(place, name, head, sizeof(head), size);
}

static void
tool(const char *const *argv)
{
	GError *error = NULL;
	int status;

	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
		     NULL, NULL, NULL, NULL, &status, &error);
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
}

/* An image in a format of QEMU's that holds a raw disk of 4 MiB, every byte of it written. */
static char *
converted(const struct place *place, const char *name, const char *format, const char *options)
{
	g_autofree char *raw = path_in(place, "source.raw");
	char *path = path_in(place, name);
	g_autofree char *data = g_malloc(4 * MIB);
	const char *argv[] = {
	    "qemu-img", "convert", "-f", "raw", "-O", format, raw, path, options ? "-o" : NULL,
	    options,	NULL};

	for (gsize i = 0; i < 4 * MIB; i++)
		data[i] = (char)(i * 31 + (i >> 9));
	data[510] = 0x55;
	data[511] = (char)0xaa;
	g_assert_true(g_file_set_contents(raw, data, 4 * MIB, NULL));
	tool(argv);
	g_unlink(raw);
	return path;
}

static void
outcome_take(struct disk_job *job, const char *format, const GError *error, void *data)
{
	struct outcome *outcome = data;

	outcome->calls++;
	outcome->format = g_strdup(format);
	outcome->error = error ? g_error_copy(error) : NULL;
	char **earlier;
	outcome->waits = g_strdup(disk_job_waits(job, &earlier));
	outcome->earlier = earlier ? g_strdup(earlier[0]) : NULL;
	disk_job_free(job);
}

static void
outcome_clear(struct outcome *outcome)
{
	g_free(outcome->format);
	g_free(outcome->waits);
	g_free(outcome->earlier);
	g_clear_error(&outcome->error);
}

static struct outcome
prepare(const struct place *place, const char *image, const char *format, gint64 size,
	gboolean keep)
{
	char *host_keys[] = {(char *)place->host_key, NULL};
	struct disk_spec spec = {image, format,	     place->overlay, size,     keep,
				 NULL,	place->lane, place->edits,   host_keys};
	struct outcome outcome = {0};
	g_autofree char *temporary = g_strconcat(place->overlay, ".new", NULL);

	disk_prepare(place->loop, &spec, outcome_take, &outcome);
	g_assert_cmpint(outcome.calls, ==, 0); /* never from within */
	while (!outcome.calls)
		ev_run(place->loop, EVRUN_ONCE);
	g_assert_cmpint(outcome.calls, ==, 1);
	g_assert_false(g_file_test(temporary, G_FILE_TEST_EXISTS));
	return outcome;
}

static void
expect_said(const char *text, const char *said)
{
	if (!strstr(text, said))
		g_error("\"%s\" does not say \"%s\"", text, said);
}

static void
expect_good(const struct place *place, const char *image, const char *format, gint64 size,
	    gboolean keep, const char *found)
{
	struct outcome outcome = prepare(place, image, format, size, keep);

	g_assert_no_error(outcome.error);
	g_assert_cmpstr(outcome.format, ==, found);
	g_assert_cmpstr(outcome.waits, ==, NULL);
	g_assert_true(g_file_test(place->overlay, G_FILE_TEST_IS_REGULAR));
	outcome_clear(&outcome);
}

/* Expect that it fails with the code, and that the message names its object and has the words. */
static void
expect_error(const struct place *place, const char *image, const char *format, enum disk_error code,
	     const char *said)
{
	struct outcome outcome = prepare(place, image, format, 0, FALSE);

	g_assert_error(outcome.error, DISK_ERROR, (int)code);
	g_assert_null(outcome.format);
	expect_said(outcome.error->message, said);
	g_assert_nonnull(
	    strstr(outcome.error->message, code == DISK_ERROR_IMAGE ? image : place->overlay));
	g_assert_false(g_file_test(place->overlay, G_FILE_TEST_EXISTS));
	outcome_clear(&outcome);
}

/* A member of qemu-img's own description of the overlay. */
static JsonNode *
info(const char *path, const char *member)
{
	const char *argv[] = {"qemu-img", "info", "--output=json", path, NULL};
	g_autofree char *output = NULL;
	g_autoptr(JsonNode) root = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   &output, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	root = json_from_string(output, NULL);
	g_assert_nonnull(root);
	return json_object_dup_member(json_node_get_object(root), member);
}

static void
expect_info(const char *path, const char *member, const char *expected)
{
	g_autoptr(JsonNode) node = info(path, member);

	g_assert_nonnull(node);
	g_assert_cmpstr(json_node_get_string(node), ==, expected);
}

static void
expect_size(const char *path, gint64 expected)
{
	g_autoptr(JsonNode) node = info(path, "virtual-size");

	g_assert_cmpint(json_node_get_int(node), ==, expected);
}

static void
a_qcow2_image_gets_an_overlay(void)
{
	struct place place;
	g_autofree char *image = NULL;
	struct stat status;

	place_make(&place);
	image = converted(&place, "image.qcow2", "qcow2", NULL);
	expect_good(&place, image, NULL, 0, FALSE, "qcow2");
	expect_info(place.overlay, "backing-filename", image);
	expect_info(place.overlay, "backing-filename-format", "qcow2");
	expect_size(place.overlay, 4 * MIB);
	g_assert_cmpint(stat(place.overlay, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 0777, ==, 0600);
	place_remove(&place);
}

static void
a_raw_image_that_looks_like_a_disk_is_known(void)
{
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = raw_make(&place, "image.img", MIB);
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	expect_good(&place, image, "raw", 0, FALSE, "raw");
	expect_info(place.overlay, "backing-filename-format", "raw");
	place_remove(&place);
}

static void
an_ext2_file_system_is_a_disk(void)
{
	struct place place;
	g_autofree char *image = NULL;
	char head[1082] = {0};

	place_make(&place);
	memcpy(head + 1080, "\x53\xef", 2);
	image = file_make(&place, "root.ext2", head, sizeof(head), MIB);
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	place_remove(&place);
}

static void
any_content_is_raw_when_that_is_stated(void)
{
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = file_make(&place, "image", "no disk", 7, MIB);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "state image-format = raw");
	expect_good(&place, image, "raw", 0, FALSE, "raw");
	place_remove(&place);
}

static void
a_missing_image_is_an_error(void)
{
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = path_in(&place, "none");
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "No such file or directory");
	place_remove(&place);
}

static void
an_unreadable_image_is_an_error(void)
{
	struct place place;
	g_autofree char *image = NULL;
	gboolean root = geteuid() == 0;

	place_make(&place);
	g_assert_cmpint(chmod(place.directory, 0777), ==, 0);
	image = raw_make(&place, "image", MIB);
	g_assert_cmpint(chmod(image, 0), ==, 0);
	if (root) /* may read everything: be nobody for a moment */
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "Permission denied");
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	place_remove(&place);
}

static void
a_directory_a_fifo_and_an_empty_file_are_errors(void)
{
	struct place place;
	g_autofree char *empty = NULL, *fifo = NULL;

	place_make(&place);
	expect_error(&place, place.directory, NULL, DISK_ERROR_IMAGE, "is a directory");
	empty = file_make(&place, "empty", "", 0, 0);
	expect_error(&place, empty, NULL, DISK_ERROR_IMAGE, "is empty");
	expect_error(&place, empty, "raw", DISK_ERROR_IMAGE, "is empty");
	fifo = path_in(&place, "fifo");
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	expect_error(&place, fifo, NULL, DISK_ERROR_IMAGE, "neither a file nor a block device");
	place_remove(&place);
}

static void
a_text_file_is_no_disk(void)
{
	static const char text[] = "Dear administrator,\nthis is not a disk.\n";
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = file_make(&place, "text", text, strlen(text), (gint64)strlen(text));
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "does not look like a disk");
	expect_error(&place, image, "qcow2", DISK_ERROR_IMAGE, "is not a qcow2 image");
	place_remove(&place);
}

static void
the_stated_format_must_be_the_real_one(void)
{
	struct place place;
	g_autofree char *qcow2 = NULL, *raw = NULL;

	place_make(&place);
	qcow2 = converted(&place, "image.qcow2", "qcow2", NULL);
	raw = raw_make(&place, "image.raw", MIB);
	expect_error(&place, qcow2, "raw", DISK_ERROR_IMAGE,
		     "is a qcow2 image though image-format says raw");
	expect_error(
	    &place, raw, "qcow2", DISK_ERROR_IMAGE,
	    "is not a qcow2 image though image-format says qcow2; it looks like a raw disk");
	place_remove(&place);
}

static void
other_formats_are_named_with_what_converts_them(void)
{
	static const struct {
		const char *format, *said;
	} cases[] = {
	    {"vmdk", "is a VMDK image; convert it first: qemu-img convert -f vmdk -O qcow2 '"},
	    {"vdi", "is a VDI image; convert it first: qemu-img convert -f vdi -O qcow2 '"},
	    {"vhdx", "is a VHDX image; convert it first: qemu-img convert -f vhdx -O qcow2 '"},
	    {"vpc", "is a VHD image; convert it first: qemu-img convert -f vpc -O qcow2 '"},
	    {"qed", "is a QED image; convert it first: qemu-img convert -f qed -O qcow2 '"},
	    {"qcow", "is a qcow image of version 1; convert it first: qemu-img convert -f qcow"},
	};
	struct place place;

	place_make(&place);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *image = converted(&place, "foreign", cases[i].format, NULL);

		expect_error(&place, image, NULL, DISK_ERROR_IMAGE, cases[i].said);
		expect_error(&place, image, "qcow2", DISK_ERROR_IMAGE, cases[i].said);
	}
	place_remove(&place);
}

static void
compressed_images_are_named_with_what_unpacks_them(void)
{
	static const struct {
		const char *bytes;
		gsize length;
		const char *said;
	} cases[] = {
	    {"\x1f\x8b\x08\x08", 4, "is compressed with gzip; unpack it first: gzip -dk '"},
	    {"\xfd"
	     "7zXZ\0",
	     6, "is compressed with xz; unpack it first: xz -dk '"},
	    {"\x28\xb5\x2f\xfd", 4, "is compressed with zstd; unpack it first: zstd -d '"},
	    {"<!DOCTYPE html>", 15, "is a web page, not a disk image; download"},
	    {"\x7f"
	     "ELF\1\1\1",
	     7, "is an ELF file, not a disk image; a kernel"},
	};
	struct place place;

	place_make(&place);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *image =
		    file_make(&place, "image", cases[i].bytes, cases[i].length, MIB);

		expect_error(&place, image, NULL, DISK_ERROR_IMAGE, cases[i].said);
	}
	place_remove(&place);
}

static void
a_qcow2_image_cut_anywhere_is_truncated(void)
{
	struct place place;
	g_autofree char *image = NULL;
	struct stat status;

	place_make(&place);
	image = converted(&place, "image.qcow2", "qcow2", NULL);
	g_assert_cmpint(stat(image, &status), ==, 0);
	g_assert_cmpint(truncate(image, status.st_size - 128 * 1024), ==, 0);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE,
		     "is truncated: a part of the guest's disk lies beyond the end of the file");
	g_assert_cmpint(truncate(image, 64 * 1024), ==, 0);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "is truncated: the refcount table");
	g_assert_cmpint(truncate(image, 50), ==, 0);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "is truncated: the qcow2 header");
	g_assert_cmpint(truncate(image, 4), ==, 0);
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE, "is truncated: the qcow2 header");
	place_remove(&place);
}

/* Proof that only missing allocated bytes are an error: an image of any length is taken if qemu-img
 * can read it to its end. */
static void
every_kind_of_whole_qcow2_image_is_taken(void)
{
	static const char *const options[] = {NULL,
					      "compat=0.10",
					      "cluster_size=512",
					      "cluster_size=2M",
					      "extended_l2=on,cluster_size=128k",
					      "preallocation=metadata",
					      "preallocation=falloc",
					      "lazy_refcounts=on"};
	struct place place;

	place_make(&place);
	for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
		g_autofree char *image = converted(&place, "image.qcow2", "qcow2", options[i]);
		g_autofree char *packed = path_in(&place, "packed.qcow2");
		const char *pack[] = {"qemu-img", "convert", "-c",   "-O",
				      "qcow2",	  image,     packed, NULL};
		g_autofree char *empty = path_in(&place, "empty.qcow2");
		const char *create[] = {"qemu-img",
					"create",
					"-q",
					"-f",
					"qcow2",
					"-o",
					options[i] ? options[i] : "compat=1.1",
					empty,
					"1G",
					NULL};

		expect_good(&place, image, NULL, 0, FALSE, "qcow2");
		tool(pack);
		expect_good(&place, packed, NULL, 0, FALSE, "qcow2");
		if (!options[i] ||
		    !strstr(options[i], "=512")) { /* 1 GiB of those is 16 MiB of tables */
			tool(create);
			expect_good(&place, empty, NULL, 0, FALSE, "qcow2");
		}
	}
	place_remove(&place);
}

static void
a_damaged_header_is_an_error_and_not_a_crash(void)
{
	struct place place;
	g_autofree char *image = NULL, *good = NULL;
	gsize length;

	place_make(&place);
	image = converted(&place, "image.qcow2", "qcow2", NULL);
	g_assert_true(g_file_get_contents(image, &good, &length, NULL));
	for (guint i = 4; i < 112;
	     i++) { /* each byte of the header once; qemu-img judges the images that are taken */
		g_autofree char *bad = g_memdup2(good, length);
		struct outcome outcome;

		bad[i] = (char)0xff;
		g_assert_true(g_file_set_contents(image, bad, (gssize)length, NULL));
		if (i % 8 == 3) { /* the whole preparation costs a process */
			outcome = prepare(&place, image, NULL, 0, FALSE);
			g_assert_true((outcome.error == NULL) == (outcome.format != NULL));
			outcome_clear(&outcome);
		} else {
			struct image found;
			g_autoptr(GError) error = NULL;

			if (image_probe(image, NULL, &found, &error))
				image_clear(&found);
			else
				g_assert_error(error, DISK_ERROR, DISK_ERROR_IMAGE);
		}
	}
	place_remove(&place);
}

/* The maker of the image chose those files, and the guest would read them. */
static void
an_image_that_needs_another_file_is_refused(void)
{
	static const char *const backing[] = {
	    "./base.raw", "/etc/shadow", "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
	    "nbd://127.0.0.1:1/x", "file:/etc/passwd"};
	struct place place;
	struct image found;

	place_make(&place);
	g_autofree char *image = converted(&place, "image.qcow2", "qcow2", NULL);
	g_autofree char *old = converted(&place, "old.qcow2", "qcow2", "compat=0.10");
	for (gsize i = 0; i < G_N_ELEMENTS(backing); i++) {
		const char *const argv[] = {"qemu-img", "rebase", "-u",	 "-b",
					    backing[i], "-F",	  "raw", i % 2 ? image : old,
					    NULL};
		g_autoptr(GError) error = NULL;
		g_autofree char *shown = g_strescape(backing[i], NULL);
		tool(argv);
		expect_error(&place, argv[7], NULL, DISK_ERROR_IMAGE, "has a backing file");
		expect_error(&place, argv[7], "qcow2", DISK_ERROR_IMAGE, shown);
		g_assert_false(image_probe(argv[7], NULL, &found, &error)); /* --check */
		g_assert_nonnull(strstr(error->message, "qemu-img convert -O qcow2"));
	}
	const char *const alone[] = {"qemu-img", "rebase", "-u", "-b", "", image, NULL};
	tool(alone);
	expect_good(&place, image, NULL, 0, FALSE, "qcow2");
	place_remove(&place);
}

static void
an_image_with_its_data_in_another_file_is_refused(void)
{
	struct place place;

	place_make(&place);
	g_free(raw_make(&place, "secret", MIB));
	g_autofree char *before = NULL, *after = NULL, *name = path_in(&place, "data.qcow2");
	/* first an image with a data file of its own; the one that names another file is made from
	 * it, as an attacker would */
	const char *const argv[] = {
	    "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data.raw,data_file_raw=on",
	    name,	"1M",	  NULL};
	g_autofree char *cwd = g_get_current_dir();
	g_assert_cmpint(chdir(place.directory), ==, 0);
	tool(argv);
	expect_error(&place, name, NULL, DISK_ERROR_IMAGE,
		     "has its data in another file (data.raw)");
	gsize length;
	g_assert_true(g_file_get_contents(name, &before, &length, NULL));
	/* the feature without the name, and the name without the feature */
	for (int i = 0; i < 2; i++) {
		g_free(after);
		after = g_memdup2(before, length);
		if (i == 0)
			memset(memmem(after, length, "DATA", 4), 'x', 4);
		else
			after[79] = (char)(after[79] & ~4);
		g_assert_true(g_file_set_contents(name, after, (gssize)length, NULL));
		expect_error(&place, name, NULL, DISK_ERROR_IMAGE,
			     i ? "another file (data.raw)" : "another file (one without a name)");
	}
	g_assert_cmpint(chdir(cwd), ==, 0);
	place_remove(&place);
}

static void
a_dirty_image_is_taken_and_an_encrypted_one_is_not(void)
{
	struct place place;
	g_autofree char *dirty = NULL, *locked = NULL, *bytes = NULL;
	gsize length;

	place_make(&place);
	dirty = converted(&place, "dirty.qcow2", "qcow2", "lazy_refcounts=on");
	g_assert_true(g_file_get_contents(dirty, &bytes, &length, NULL));
	bytes[79] |= 1; /* incompatible features, bit 0 */
	g_assert_true(g_file_set_contents(dirty, bytes, (gssize)length, NULL));
	expect_good(&place, dirty, NULL, 0, FALSE, "qcow2");
	bytes[35] = 2; /* crypt_method */
	locked = file_make(&place, "locked.qcow2", bytes, length, (gint64)length);
	g_unlink(place.overlay);
	expect_error(&place, locked, NULL, DISK_ERROR_IMAGE, "is encrypted");
	place_remove(&place);
}

static void
disk_size_grows_the_disk_and_never_shrinks_it(void)
{
	struct place place;
	g_autofree char *image = NULL;
	struct outcome outcome;

	place_make(&place);
	image = raw_make(&place, "image", 2 * MIB);
	expect_good(&place, image, NULL, 8 * MIB, FALSE, "raw");
	expect_size(place.overlay, 8 * MIB);
	outcome = prepare(&place, image, NULL, MIB, FALSE);
	g_assert_error(outcome.error, DISK_ERROR, DISK_ERROR_IMAGE);
	g_assert_nonnull(
	    strstr(outcome.error->message, "2097152 bytes, but disk-size is only 1048576"));
	outcome_clear(&outcome);
	place_remove(&place);
}

/* Write something into the overlay that a new one does not have. */
static void
mark_write(const char *overlay)
{
	const char *argv[] = {"qemu-io", "-c", "write -P 0x5a 64k 64k", overlay, NULL};

	tool(argv);
}

static gboolean
mark_is_there(const char *overlay)
{
	const char *argv[] = {"qemu-io", "-c", "read -P 0x5a 64k 64k", overlay, NULL};
	g_autofree char *output = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   &output, NULL, &status, NULL));
	return status == 0 && !strstr(output, "verification failed");
}

static void
a_persistent_disk_is_kept_and_an_ephemeral_one_is_new(void)
{
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	mark_write(place.overlay);
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	g_assert_true(mark_is_there(place.overlay));
	expect_good(&place, image, NULL, 4 * MIB, TRUE, "raw");
	expect_size(place.overlay, 4 * MIB);
	g_assert_true(mark_is_there(place.overlay));
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	g_assert_false(mark_is_there(place.overlay));
	expect_size(place.overlay, MIB);
	place_remove(&place);
}

static void
expect_kept_error(const struct place *place, const char *image, const char *format, gint64 size,
		  const char *said)
{
	struct outcome outcome = prepare(place, image, format, size, TRUE);

	g_assert_error(outcome.error, DISK_ERROR, DISK_ERROR_IMAGE);
	expect_said(outcome.error->message, said);
	g_assert_nonnull(strstr(outcome.error->message, place->overlay));
	g_assert_true(g_file_test(place->overlay, G_FILE_TEST_EXISTS)); /* never touched */
	outcome_clear(&outcome);
}

static void
a_persistent_disk_of_another_image_is_an_error_and_stays(void)
{
	struct place place;
	g_autofree char *one = NULL, *two = NULL, *link = NULL, *said = NULL;

	place_make(&place);
	one = raw_make(&place, "one", MIB);
	two = raw_make(&place, "two", MIB + 512);
	link = path_in(&place, "current");
	g_assert_cmpint(symlink("one", link), ==, 0);
	expect_good(&place, link, NULL, 2 * MIB, TRUE, "raw");
	said = g_strdup_printf("was made for %s, not for %s", one, two);
	expect_kept_error(&place, two, NULL, 0, said);
	g_assert_cmpint(unlink(link), ==, 0);
	g_assert_cmpint(symlink("two", link), ==, 0);
	expect_kept_error(&place, link, NULL, 0, said);
	expect_kept_error(&place, one, NULL, MIB, "a disk is never made smaller");
	expect_good(&place, one, NULL, 0, TRUE, "raw");
	g_assert_cmpint(truncate(place.overlay, 100000), ==, 0);
	expect_kept_error(&place, one, NULL, 0, "childhurdctl reset");
	place_remove(&place);
}

/* A raw disk of 8 MiB with a byte at this offset. */
static void
write_disk(const char *path, gint64 offset, guint8 byte)
{
	guint8 mark[2] = {0x55, 0xaa};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(ftruncate(fd, (off_t)8 * MIB), ==, 0);
	g_assert_cmpint(pwrite(fd, mark, 2, 510), ==, 2);
	g_assert_cmpint(pwrite(fd, &byte, 1, (off_t)offset), ==, 1);
	close(fd);
}

/* What --check reports of the persistent disk; NULL: no problem. *note: its remark. */
static char *
checked(const struct place *place, const char *image, char **note)
{
	g_autoptr(GError) error = NULL;
	const struct disk_spec spec = {image, NULL,	   place->overlay, 0,	TRUE,
				       NULL,  place->lane, NULL,	   NULL};
	gboolean good = disk_check(&spec, note, &error);
	g_assert_true(good == !error);
	return error ? g_strdup(error->message) : NULL;
}

/* Another image under the same path: neither --check nor a start takes it. */
static void
an_image_that_was_replaced_is_not_the_disks(void)
{
	/* the first MiB, superblocks of a partition and of one in a cluster, and the end */
	static const gint64 changes[] = {4096, 3 * MIB + 1080, 5 * MIB + 65536 + 1068, 8 * MIB - 1};
	for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
		struct place place;
		place_make(&place);
		g_autofree char *image = path_in(&place, "image"), *new = path_in(&place, "new");
		g_autofree char *note = NULL, *record = path_in(&place, "disk.base");
		write_disk(image, MIB, 1);
		g_assert_null(checked(&place, image, &note)); /* there is no disk */
		expect_good(&place, image, NULL, 0, TRUE, "raw");
		g_assert_null(checked(&place, image, &note));
		mark_write(place.overlay);
		write_disk(new, MIB, 1);
		write_disk(new, changes[i], 2);
		g_assert_cmpint(rename(new, image), ==, 0);
		g_autofree char *text = checked(&place, image, &note);
		g_assert_nonnull(strstr(text, "which has another content now"));
		expect_kept_error(&place, image, NULL, 0, "which has another content now");
		/* a second start fails like the first */
		expect_kept_error(&place, image, NULL, 0, "which has another content now");
		write_disk(image, changes[i], 0); /* as it was */
		expect_good(&place, image, NULL, 0, TRUE, "raw");
		g_assert_true(mark_is_there(place.overlay));
		/* an ephemeral disk of another image leaves no record that would refuse this one */
		expect_good(&place, image, NULL, 0, FALSE, "raw");
		g_assert_false(g_file_test(record, G_FILE_TEST_EXISTS));
		place_remove(&place);
	}
}

/* A copy elsewhere, with other times and without holes: its path is written into the disk, which is
 * kept. */
static void
an_image_that_was_moved_is_the_disks(void)
{
	struct place place;
	place_make(&place);
	g_autofree char *image = path_in(&place, "image"), *moved = path_in(&place, "mov,ed=1");
	g_autofree char *note = NULL, *content = NULL;
	gsize length;
	write_disk(image, 2 * MIB, 1);
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	mark_write(place.overlay);
	g_assert_true(g_file_get_contents(image, &content, &length, NULL));
	g_assert_true(g_file_set_contents(moved, content, (gssize)length, NULL));
	g_assert_cmpint(g_unlink(image), ==, 0);
	g_assert_null(checked(&place, moved, &note));
	g_assert_nonnull(strstr(note, "and the next start changes that to"));
	g_clear_pointer(&note, g_free);
	g_autofree char *said = g_strdup_printf("*its image is now %s*", moved);
	g_test_expect_message("childhurd", G_LOG_LEVEL_MESSAGE, said);
	expect_good(&place, moved, NULL, 16 * MIB, TRUE, "raw"); /* and grown at once */
	g_test_assert_expected_messages();
	expect_info(place.overlay, "backing-filename", moved);
	expect_info(place.overlay, "backing-filename-format", "raw");
	expect_size(place.overlay, 16 * MIB);
	g_assert_true(mark_is_there(place.overlay));
	g_assert_null(checked(&place, moved, &note));
	g_assert_null(note);
	place_remove(&place);
}

/* A disk of an earlier version has no record: its header is trusted, and a record is made. */
static void
a_disk_without_a_record_is_told_of_with_what_keeps_it(void)
{
	struct place place;
	place_make(&place);
	g_autofree char *image = path_in(&place, "image"), *moved = path_in(&place, "moved");
	g_autofree char *record = path_in(&place, "disk.base"), *note = NULL;
	write_disk(image, 2 * MIB, 1);
	write_disk(moved, 2 * MIB, 1);
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	g_assert_cmpint(g_unlink(record), ==, 0);
	expect_kept_error(&place, moved, NULL, 0, "qemu-img rebase -u -b ");
	g_autofree char *text = checked(&place, moved, &note);
	char *command = strstr(text, "qemu-img rebase"), *end = strstr(text, "; else state");
	g_assert_nonnull(command);
	*end = '\0';
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
	expect_good(&place, moved, NULL, 0, TRUE, "raw");
	g_assert_true(g_file_test(record, G_FILE_TEST_EXISTS));
	place_remove(&place);
}

static void
left_overs_of_a_killed_daemon_do_not_matter(void)
{
	struct place place;
	g_autofree char *image = NULL, *left = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	left = file_make(&place, "disk.qcow2.new", "half", 4, 4);
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
	place_remove(&place);
}

static void
nothing_work(void *data)
{
}

static void
nothing_done(void *data, const GError *late)
{
	ev_break(data, EVBREAK_ALL);
}

/* Wait until all jobs of the lane have ended. */
static void
lane_settle(const struct place *place)
{
	lane_run(place->lane, 60000, nothing_work, nothing_done, NULL, place->loop);
	ev_run(place->loop, 0);
}

static void
a_freed_job_leaves_nothing(void)
{
	struct place place;
	g_autofree char *image = NULL, *temporary = NULL;
	struct outcome outcome = {0};
	struct disk_spec spec;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	temporary = g_strconcat(place.overlay, ".new", NULL);
	spec =
	    (struct disk_spec){image, NULL, place.overlay, 0, FALSE, NULL, place.lane, NULL, NULL};
	for (int keep = 0; keep < 2; keep++) {
		spec.keep = keep;
		/* its image is being read */
		disk_job_free(disk_prepare(place.loop, &spec, outcome_take, &outcome));
		lane_settle(&place);
		g_assert_false(g_file_test(temporary, G_FILE_TEST_EXISTS));
		/* qemu-img runs */
		struct disk_job *job = disk_prepare(place.loop, &spec, outcome_take, &outcome);
		ev_run(place.loop, EVRUN_ONCE);
		disk_job_free(job);
		lane_settle(&place);
		g_assert_false(g_file_test(temporary, G_FILE_TEST_EXISTS));
		g_assert_false(g_file_test(place.overlay, G_FILE_TEST_EXISTS));
	}
	g_assert_cmpint(outcome.calls, ==, 0);
	disk_job_free(NULL);
	place_remove(&place);
}

static void
no_qemu_img_is_said_with_its_package(void)
{
	struct place place;
	g_autofree char *image = NULL, *path = g_strdup(g_getenv("PATH"));

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	g_setenv("PATH", place.directory, TRUE);
	expect_error(&place, image, NULL, DISK_ERROR_TOOL, "no qemu-img in PATH; install it");
	g_setenv("PATH", path, TRUE);
	place_remove(&place);
}

static void
what_qemu_img_says_is_passed_on(void)
{
	struct place place;
	g_autofree char *image = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	g_free(place.overlay);
	place.overlay = path_in(&place, "no/such/folder/disk.qcow2");
	expect_error(&place, image, NULL, DISK_ERROR_IO, "qemu-img create exited with status 1: ");
	expect_error(&place, image, NULL, DISK_ERROR_IO, "No such file or directory");
	place_remove(&place);
}

static gboolean
proc_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	gboolean good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* Mount a file system of 64 KiB that only this process sees; an ordinary user needs a user
 * namespace for it. */
static gboolean
tiny_mount(const char *directory)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	g_autofree char *users = g_strdup_printf("0 %u 1", uid);
	g_autofree char *groups = g_strdup_printf("0 %u 1", gid);

	if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
		return FALSE;
	if (uid != 0 &&
	    !(proc_write("/proc/self/setgroups", "deny") &&
	      proc_write("/proc/self/uid_map", users) && proc_write("/proc/self/gid_map", groups)))
		return FALSE;
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0;
}

/* The last one, because it leaves this process in another namespace. */
static void
a_full_disk_is_an_error_and_leaves_nothing(void)
{
	struct place place;
	g_autofree char *image = NULL, *full = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	full = path_in(&place, "full");
	g_assert_cmpint(mkdir(full, 0700), ==, 0);
	g_free(place.overlay);
	place.overlay = g_build_filename(full, "disk.qcow2", NULL);
	if (tiny_mount(full)) {
		expect_error(&place, image, NULL, DISK_ERROR_IO, "No space left on device");
		g_assert_cmpint(umount(full), ==, 0);
	} else {
		struct rlimit old, limit;

		g_test_message("no namespaces here: a limit on the file's size stands in");
		g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
		limit = (struct rlimit){64 * 1024, old.rlim_max};
		g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
		expect_error(&place, image, NULL, DISK_ERROR_IO, "File size limit exceeded");
		g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
	}
	place_remove(&place);
}

/* --- what is written into the overlay --- */

/* A disk without a table that is a Hurd's root. */
static char *
hurd_make(const struct place *place, const char *name)
{
	char *path = file_make(place, name, "", 0, 16 * MIB);
	g_autofree char *tree = path_in(place, "tree");
	static const char *const folders[] = {"tree", "tree/etc", "tree/hurd"};
	const char *argv[] = {"/sbin/mke2fs", "-q", "-F", "-o", "hurd", "-d", tree, path, NULL};

	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *folder = path_in(place, folders[i]);
		g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
	}
	tool(argv);
	for (gsize i = G_N_ELEMENTS(folders); i--;) {
		g_autofree char *folder = path_in(place, folders[i]);
		g_assert_cmpint(rmdir(folder), ==, 0);
	}
	return path;
}

static void
edits_set(struct place *place, const char *text)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	g_clear_pointer(&place->edits, g_bytes_unref);
	if (!text)
		return;
	struct secret_file *file = g_new0(struct secret_file, 1);
	*file = (struct secret_file){g_strdup("/etc/key"), S_IFREG | 0600,
				     g_bytes_new(text, strlen(text))};
	g_ptr_array_add(files, file);
	g_autoptr(GPtrArray) edits = edits_for(CONFIG_DISTRIBUTION_OTHER, files, "root", "");
	place->edits = edits_pack(edits);
}

/* What the guest would find in /etc/key, in a file system that e2fsck has no word against. */
static void
expect_key(const struct place *place, const char *expected)
{
	g_autofree char *raw = path_in(place, "raw"), *out = NULL;
	const char *convert[] = {"qemu-img", "convert", "-O", "raw", place->overlay, raw, NULL};
	const char *check[] = {"/sbin/e2fsck", "-fn", raw, NULL};
	const char *cat[] = {"/sbin/debugfs", "-R", "cat /etc/key", raw, NULL};

	tool(convert);
	tool(check);
	g_assert_true(g_spawn_sync(NULL, (char **)cat, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
				   &out, NULL, NULL, NULL));
	g_assert_cmpstr(out, ==, expected);
	g_unlink(raw);
}

static void
expect_tidy(const struct place *place)
{
	g_autofree char *socket = path_in(place, "inject.socket");
	g_assert_false(g_file_test(socket, G_FILE_TEST_EXISTS));
}

static void
what_is_written_is_in_the_overlay(void)
{
	struct place place;
	g_autofree char *image = NULL, *before = NULL, *after = NULL;
	gsize length;

	place_make(&place);
	image = hurd_make(&place, "image");
	g_assert_true(g_file_get_contents(image, &before, &length, NULL));
	edits_set(&place, "one");
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	expect_key(&place, "one");
	expect_tidy(&place);
	edits_set(&place, "two");
	expect_good(&place, image, NULL, 32 * MIB, FALSE, "raw");
	expect_key(&place, "two");
	g_assert_true(g_file_get_contents(image, &after, &length, NULL));
	g_assert_cmpmem(before, length, after, length);
	edits_set(&place, NULL);
	place_remove(&place);
}

static void
what_cannot_be_written_leaves_no_overlay(void)
{
	struct place place;
	g_autofree char *image = NULL, *hurd = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	hurd = hurd_make(&place, "hurd");
	const char *argv[] = {"/sbin/debugfs", "-w", "-R", "ssv state 0", hurd, NULL};
	edits_set(&place, "one");
	expect_error(&place, image, NULL, DISK_ERROR_IMAGE,
		     "its keys cannot be written into a disk made of this image: none of its 0 "
		     "partitions is the root of a Hurd");
	expect_tidy(&place);
	tool(argv);
	expect_error(&place, hurd, NULL, DISK_ERROR_IMAGE, "is not clean: it was not unmounted");
	edits_set(&place, NULL);
	place_remove(&place);
}

static void
a_kept_overlay_gets_what_has_changed(void)
{
	struct place place;
	g_autofree char *image = NULL;
	struct stat first, second;

	place_make(&place);
	image = hurd_make(&place, "image");
	edits_set(&place, "one");
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	expect_key(&place, "one");
	g_assert_cmpint(stat(place.overlay, &first), ==, 0);
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	g_assert_cmpint(stat(place.overlay, &second), ==, 0);
	g_assert_cmpint(first.st_mtim.tv_nsec, ==, second.st_mtim.tv_nsec);
	edits_set(&place, "two, longer");
	expect_good(&place, image, NULL, 64 * MIB, TRUE, "raw"); /* it grows, too */
	expect_key(&place, "two, longer");
	g_assert_cmpint(stat(place.overlay, &second), ==, 0);
	g_assert_cmpuint(first.st_ino, ==, second.st_ino);
	edits_set(&place, NULL);
	place_remove(&place);
}

/* A program of the user's PATH with another one in front, which is a shell's script; PATH is as
 * before when the caller gives both back. */
struct stand_in {
	char *folder, *path;
};

static struct stand_in
stand_in(const char *name, const char *script)
{
	struct stand_in in = {g_dir_make_tmp("only-XXXXXX", NULL), g_strdup(g_getenv("PATH"))};
	g_autofree char *program = g_find_program_in_path(name);
	g_autofree char *file = g_build_filename(in.folder, name, NULL);
	g_autofree char *path = g_strdup_printf("%s:%s", in.folder, in.path);
	g_autofree char *text = g_strdup_printf("#!/bin/sh\nreal=%s\n%s\n", program, script);

	g_assert_true(g_file_set_contents(file, text, -1, NULL));
	g_assert_cmpint(chmod(file, 0755), ==, 0);
	g_setenv("PATH", path, TRUE);
	return in;
}

static void
stand_down(struct stand_in *in)
{
	g_setenv("PATH", in->path, TRUE);
	directory_remove(in->folder);
	g_free(in->folder);
	g_free(in->path);
}

static void
expect_broken(struct place *place, const char *image, const char *program, const char *script,
	      const char *said)
{
	struct stand_in in = stand_in(program, script);
	struct outcome outcome = prepare(place, image, NULL, 0, TRUE);

	stand_down(&in);
	g_assert_error(outcome.error, DISK_ERROR, DISK_ERROR_IO);
	expect_said(outcome.error->message, said);
	outcome_clear(&outcome);
}

/* What is killed meanwhile, and when, makes no difference to the overlay. */
static void
a_kept_overlay_is_not_written_to_by_halves(void)
{
	struct place place;
	g_autofree char *image = NULL, *layer = NULL;

	place_make(&place);
	layer = g_strconcat(place.overlay, ".keys", NULL);
	image = hurd_make(&place, "image");
	edits_set(&place, "one");
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	edits_set(&place, "two");
	expect_broken(&place, image, "qemu-nbd", "kill -9 $PPID",
		      "the guest's keys cannot be written into it: childhurd-inject was killed by "
		      "signal 9 (Killed)");
	expect_key(&place, "one");
	/* the first cluster of the layer is written, and no more */
	expect_broken(&place, image, "qemu-nbd", "ulimit -f 512; exec \"$real\" \"$@\"",
		      "written into it: the disk cannot be written: No space left on device");
	expect_key(&place, "one");
	expect_broken(&place, image, "qemu-nbd", "kill -9 $$",
		      "written into it: qemu-nbd ended with signal 9");
	expect_key(&place, "one");
	g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
	/* before it goes into the overlay, and after that */
	expect_broken(&place, image, "qemu-img",
		      "[ $1 = commit ] && kill -9 $$; exec \"$real\" \"$@\"",
		      "qemu-img commit was killed by signal 9");
	expect_key(&place, "one");
	g_assert_true(g_file_test(layer, G_FILE_TEST_EXISTS));
	expect_broken(&place, image, "qemu-img", "\"$real\" \"$@\"; [ $1 = commit ] && kill -9 $$",
		      "qemu-img commit was killed by signal 9");
	g_assert_true(g_file_test(layer, G_FILE_TEST_EXISTS));
	edits_set(&place, NULL); /* it is no matter that nothing is to be written now */
	expect_good(&place, image, NULL, 64 * MIB, TRUE, "raw");
	expect_key(&place, "two");
	g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
	edits_set(&place, "three");
	expect_good(&place, image, NULL, 64 * MIB, TRUE, "raw");
	expect_key(&place, "three");
	edits_set(&place, NULL);
	place_remove(&place);
}

/* Of a disk that is thrown away nothing comes into another one. */
static void
a_layer_goes_with_its_overlay(void)
{
	struct place place;
	g_autofree char *image = NULL, *layer = NULL;

	place_make(&place);
	layer = g_strconcat(place.overlay, ".keys", NULL);
	image = hurd_make(&place, "image");
	edits_set(&place, "one");
	for (int keep = 0; keep < 2; keep++) {
		expect_good(&place, image, NULL, 0, TRUE, "raw");
		edits_set(&place, "two");
		expect_broken(&place, image, "qemu-img",
			      "[ $1 = commit ] && kill -9 $$; exec \"$real\" \"$@\"", "");
		g_assert_true(g_file_test(layer, G_FILE_TEST_EXISTS));
		edits_set(&place, "one");
		g_unlink(place.overlay);
		expect_good(&place, image, NULL, 0, keep, "raw");
		expect_key(&place, "one");
		g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
		g_unlink(place.overlay);
	}
	edits_set(&place, NULL);
	place_remove(&place);
}

static void
expect_waits(const struct place *place, const char *image, const char *said)
{
	struct outcome outcome = prepare(place, image, NULL, 0, TRUE);

	g_assert_no_error(outcome.error);
	g_assert_nonnull(outcome.waits);
	expect_said(outcome.waits, said);
	g_assert_null(strstr(outcome.waits, "elsewhere"));
	g_assert_null(strstr(outcome.waits, "convert"));
	g_assert_cmpstr(outcome.earlier, ==, "ssh-ed25519 ONE");
	expect_tidy(place);
	outcome_clear(&outcome);
}

/* The valid flag, which a guest clears when it mounts the file system. */
static void
valid_set(const struct place *place, const char *write)
{
	const char *argv[] = {"qemu-io", "-f", "qcow2", "-c", write, place->overlay, NULL};
	tool(argv);
}

static void
a_kept_overlay_that_cannot_be_written_to_keeps_what_it_has(void)
{
	struct place place;
	g_autofree char *image = NULL, *much = g_strnfill(20 * MIB, 'a');

	place_make(&place);
	image = hurd_make(&place, "image");
	place.host_key = "ssh-ed25519 ONE";
	edits_set(&place, "one");
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	place.host_key = "ssh-ed25519 TWO";
	valid_set(&place, "write -P 0 1082 2");
	expect_good(&place, image, NULL, 0, TRUE, "raw"); /* nothing is to be written */
	edits_set(&place, "two");
	expect_waits(&place, image, "is not clean: it was not unmounted, or has errors");
	expect_waits(&place, image, "is not clean");
	valid_set(&place, "write -P 1 1082 1");
	expect_key(&place, "one");
	edits_set(&place, much);
	expect_waits(&place, image, "its file system is full; make room in it");
	expect_key(&place, "one");
	edits_set(&place, "two");
	expect_good(&place, image, NULL, 0, TRUE, "raw");
	expect_key(&place, "two");
	edits_set(&place, NULL);
	place_remove(&place);
}

static void
no_qemu_nbd_is_said_with_its_package(void)
{
	struct place place;
	g_autofree char *image = NULL, *old = g_strdup(g_getenv("PATH"));
	g_autofree char *program = g_find_program_in_path("qemu-img");

	place_make(&place);
	image = hurd_make(&place, "image");
	g_autofree char *only = g_dir_make_tmp("only-XXXXXX", NULL);
	g_autofree char *link = g_build_filename(only, "qemu-img", NULL);
	g_assert_cmpint(symlink(program, link), ==, 0);
	edits_set(&place, "one");
	g_setenv("PATH", only, TRUE);
	struct outcome outcome = prepare(&place, image, NULL, 0, FALSE);
	g_setenv("PATH", old, TRUE);
	directory_remove(only);
	g_assert_nonnull(outcome.error);
	if (!strstr(outcome.error->message,
		    "there is no qemu-nbd in PATH; install it (Debian: qemu-utils"))
		g_error("%s", outcome.error->message);
	outcome_clear(&outcome);
	edits_set(&place, NULL);
	place_remove(&place);
}

/* --- made ahead --- */

/* Make the next overlay ahead; NULL or why there is none. Caller frees. */
static char *
spare_make(const struct place *place, const char *image, gint64 size)
{
	struct disk_spec spec = {image, NULL,	     place->overlay, size, FALSE,
				 NULL,	place->lane, NULL,	     NULL};
	struct outcome outcome = {0};

	disk_spare_make(place->loop, &spec, outcome_take, &outcome);
	while (!outcome.calls)
		ev_run(place->loop, EVRUN_ONCE);
	char *why = outcome.error ? g_strdup(outcome.error->message) : NULL;
	outcome_clear(&outcome);
	return why;
}

static gboolean
is_there(const struct place *place, const char *name)
{
	g_autofree char *path = path_in(place, name);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Prepare without a qemu-img. */
static void
expect_good_without_tool(const struct place *place, const char *image, gint64 size)
{
	g_autofree char *path = g_strdup(g_getenv("PATH"));

	g_setenv("PATH", place->directory, TRUE);
	expect_good(place, image, NULL, size, FALSE, "raw");
	g_setenv("PATH", path, TRUE);
}

static void
an_overlay_made_ahead_needs_no_qemu_img(void)
{
	struct place place;
	g_autofree char *image = NULL;
	struct stat status;

	place_make(&place);
	image = raw_make(&place, "image", MIB + 100); /* half a sector more */
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	for (int round = 0; round < 2; round++) {
		gint64 size = round ? 4 * MIB : 0;
		g_autofree char *why = spare_make(&place, image, size);
		g_assert_cmpstr(why, ==, NULL);
		g_assert_true(is_there(&place, "disk.qcow2.spare"));
		g_assert_false(is_there(&place, "disk.qcow2.spare.new"));
		expect_good_without_tool(&place, image, size);
		g_assert_false(is_there(&place, "disk.qcow2.spare"));
		expect_info(place.overlay, "backing-filename", image);
		expect_info(place.overlay, "backing-filename-format", "raw");
		expect_size(place.overlay, size ? size : MIB + 512);
		g_assert_cmpint(stat(place.overlay, &status), ==, 0);
		g_assert_cmpint(status.st_mode & 0777, ==, 0600);
	}
	place_remove(&place);
}

static void
what_was_made_ahead_gets_the_keys_of_its_start(void)
{
	struct place place;
	g_autofree char *image = NULL, *why = NULL;

	place_make(&place);
	image = hurd_make(&place, "image");
	why = spare_make(&place, image, 0);
	g_assert_cmpstr(why, ==, NULL);
	edits_set(&place, "one");
	expect_good(&place, image, NULL, 0, FALSE, "raw");
	g_assert_false(is_there(&place, "disk.qcow2.spare"));
	expect_key(&place, "one");
	edits_set(&place, NULL);
	place_remove(&place);
}

static void
one_ahead_is_enough(void)
{
	struct place place;
	g_autofree char *image = NULL, *path = NULL;
	struct stat first, second;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	path = path_in(&place, "disk.qcow2.spare");
	g_free(spare_make(&place, image, 0));
	g_assert_cmpint(stat(path, &first), ==, 0);
	g_free(spare_make(&place, image, 0));
	g_assert_cmpint(stat(path, &second), ==, 0);
	g_assert_cmpint(first.st_ino, ==, second.st_ino);
	g_free(spare_make(&place, image, 2 * MIB)); /* another is wanted */
	expect_size(path, 2 * MIB);
	place_remove(&place);
}

/* Another size, another image, another format, half of one, nonsense; or the disk is kept now. */
static void
what_does_not_fit_is_not_taken(void)
{
	struct place place;
	g_autofree char *image = NULL, *other = NULL, *qcow2 = NULL, *path = NULL;

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	other = raw_make(&place, "other", MIB);
	qcow2 = converted(&place, "image.qcow2", "qcow2", NULL);
	path = path_in(&place, "disk.qcow2.spare");
	g_free(spare_make(&place, image, 0));
	expect_good(&place, image, NULL, 2 * MIB, FALSE, "raw");
	expect_size(place.overlay, 2 * MIB);
	g_free(spare_make(&place, image, 0));
	expect_good(&place, other, NULL, 0, FALSE, "raw");
	expect_info(place.overlay, "backing-filename", other);
	g_free(spare_make(&place, image, 0));
	g_assert_cmpint(g_rename(qcow2, image), ==, 0);
	expect_good(&place, image, NULL, MIB * 4, FALSE, "qcow2");
	expect_info(place.overlay, "backing-filename-format", "qcow2");
	g_free(spare_make(&place, other, 0));
	g_assert_cmpint(truncate(path, 70000), ==, 0);
	expect_good(&place, other, NULL, 0, FALSE, "raw");
	expect_info(place.overlay, "backing-filename", other);
	g_free(file_make(&place, "disk.qcow2.spare", "nonsense", 8, 100));
	expect_good(&place, other, NULL, 0, FALSE, "raw");
	g_free(spare_make(&place, other, 0));
	g_assert_cmpint(g_unlink(place.overlay), ==, 0);
	expect_good(&place, other, NULL, 0, TRUE, "raw");
	g_assert_false(is_there(&place, "disk.qcow2.spare"));
	place_remove(&place);
}

static void
what_cannot_be_made_ahead_leaves_nothing(void)
{
	struct place place;
	g_autofree char *image = NULL, *none = NULL, *path = g_strdup(g_getenv("PATH"));
	g_autofree char *why = NULL, *other = NULL, *left = NULL;
	struct outcome outcome = {0};

	place_make(&place);
	image = raw_make(&place, "image", MIB);
	none = path_in(&place, "none");
	why = spare_make(&place, none, 0);
	expect_said(why, "No such file");
	g_setenv("PATH", place.directory, TRUE);
	other = spare_make(&place, image, 0);
	g_setenv("PATH", path, TRUE);
	expect_said(other, "no qemu-img in PATH");
	/* nor what is given up, or was left by a daemon that was killed */
	struct disk_spec spec = {image, NULL,	    place.overlay, 0,	FALSE,
				 NULL,	place.lane, NULL,	   NULL};
	struct disk_job *job = disk_spare_make(place.loop, &spec, outcome_take, &outcome);
	ev_run(place.loop, EVRUN_ONCE);
	disk_job_free(job);
	left = file_make(&place, "disk.qcow2.spare.new", "half", 4, 4);
	disk_spare_tidy(place.lane, place.overlay);
	lane_settle(&place);
	g_assert_cmpint(outcome.calls, ==, 0);
	g_assert_false(is_there(&place, "disk.qcow2.spare.new"));
	g_assert_false(is_there(&place, "disk.qcow2.spare"));
	place_remove(&place);
}

#define TEST(name, function) g_test_add_func("/disk/" name, function)

int
main(int argc, char **argv)
{
	if (injector_wanted(argc, argv))
		return injector_main(argv);
	g_test_init(&argc, &argv, NULL);
	TEST("a-qcow2-image-gets-an-overlay", a_qcow2_image_gets_an_overlay);
	TEST("a-raw-image-that-looks-like-a-disk-is-known",
	     a_raw_image_that_looks_like_a_disk_is_known);
	TEST("an-ext2-file-system-is-a-disk", an_ext2_file_system_is_a_disk);
	TEST("any-content-is-raw-when-that-is-stated", any_content_is_raw_when_that_is_stated);
	TEST("a-missing-image-is-an-error", a_missing_image_is_an_error);
	TEST("an-unreadable-image-is-an-error", an_unreadable_image_is_an_error);
	TEST("a-directory-a-fifo-and-an-empty-file-are-errors",
	     a_directory_a_fifo_and_an_empty_file_are_errors);
	TEST("a-text-file-is-no-disk", a_text_file_is_no_disk);
	TEST("the-stated-format-must-be-the-real-one", the_stated_format_must_be_the_real_one);
	TEST("other-formats-are-named-with-what-converts-them",
	     other_formats_are_named_with_what_converts_them);
	TEST("compressed-images-are-named-with-what-unpacks-them",
	     compressed_images_are_named_with_what_unpacks_them);
	TEST("a-qcow2-image-cut-anywhere-is-truncated", a_qcow2_image_cut_anywhere_is_truncated);
	TEST("every-kind-of-whole-qcow2-image-is-taken", every_kind_of_whole_qcow2_image_is_taken);
	TEST("a-damaged-header-is-an-error-and-not-a-crash",
	     a_damaged_header_is_an_error_and_not_a_crash);
	TEST("an-image-that-needs-another-file-is-refused",
	     an_image_that_needs_another_file_is_refused);
	TEST("an-image-with-its-data-in-another-file-is-refused",
	     an_image_with_its_data_in_another_file_is_refused);
	TEST("a-dirty-image-is-taken-and-an-encrypted-one-is-not",
	     a_dirty_image_is_taken_and_an_encrypted_one_is_not);
	TEST("disk-size-grows-the-disk-and-never-shrinks-it",
	     disk_size_grows_the_disk_and_never_shrinks_it);
	TEST("a-persistent-disk-is-kept-and-an-ephemeral-one-is-new",
	     a_persistent_disk_is_kept_and_an_ephemeral_one_is_new);
	TEST("a-persistent-disk-of-another-image-is-an-error-and-stays",
	     a_persistent_disk_of_another_image_is_an_error_and_stays);
	TEST("an-image-that-was-replaced-is-not-the-disks",
	     an_image_that_was_replaced_is_not_the_disks);
	TEST("an-image-that-was-moved-is-the-disks", an_image_that_was_moved_is_the_disks);
	TEST("a-disk-without-a-record-is-told-of-with-what-keeps-it",
	     a_disk_without_a_record_is_told_of_with_what_keeps_it);
	TEST("what-is-written-is-in-the-overlay", what_is_written_is_in_the_overlay);
	TEST("what-cannot-be-written-leaves-no-overlay", what_cannot_be_written_leaves_no_overlay);
	TEST("a-kept-overlay-gets-what-has-changed", a_kept_overlay_gets_what_has_changed);
	TEST("a-kept-overlay-is-not-written-to-by-halves",
	     a_kept_overlay_is_not_written_to_by_halves);
	TEST("a-layer-goes-with-its-overlay", a_layer_goes_with_its_overlay);
	TEST("a-kept-overlay-that-cannot-be-written-to-keeps-what-it-has",
	     a_kept_overlay_that_cannot_be_written_to_keeps_what_it_has);
	TEST("no-qemu-nbd-is-said-with-its-package", no_qemu_nbd_is_said_with_its_package);
	TEST("an-overlay-made-ahead-needs-no-qemu-img", an_overlay_made_ahead_needs_no_qemu_img);
	TEST("what-was-made-ahead-gets-the-keys-of-its-start",
	     what_was_made_ahead_gets_the_keys_of_its_start);
	TEST("one-ahead-is-enough", one_ahead_is_enough);
	TEST("what-does-not-fit-is-not-taken", what_does_not_fit_is_not_taken);
	TEST("what-cannot-be-made-ahead-leaves-nothing", what_cannot_be_made_ahead_leaves_nothing);
	TEST("left-overs-of-a-killed-daemon-do-not-matter",
	     left_overs_of_a_killed_daemon_do_not_matter);
	TEST("a-freed-job-leaves-nothing", a_freed_job_leaves_nothing);
	TEST("no-qemu-img-is-said-with-its-package", no_qemu_img_is_said_with_its_package);
	TEST("what-qemu-img-says-is-passed-on", what_qemu_img_says_is_passed_on);
	TEST("a-full-disk-is-an-error-and-leaves-nothing",
	     a_full_disk_is_an_error_and_leaves_nothing);
	return g_test_run();
}
