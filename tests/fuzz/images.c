/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what is said of disk images before QEMU opens them: the image's own first bytes, the
 * record beside a kept image, the record of an overlay's base, and a list of known images.
 *
 * Input: a byte that says which of the four it is, a byte for the image's length behind the bytes
 * that are there, and the file. An image that is taken must not make QEMU open another file, and
 * must be of a size; a record that is read must be the same when it is written and read again; what
 * is refused has a message that can be printed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/digest.h"
#include "childhurdd/images/known.h"
#include "childhurdd/qemu/base.h"
#include "childhurdd/qemu/image.h"
#include "config/image_name.h"
#include "config/image_record.h"
#include "config/value.h"
#include "tests/fuzz/lib/fuzz.h"

#define MESSAGE_MAX 16384 /* bytes: a backing file's name may have 1023, all of them escaped */
#define TAIL_SHIFT  4	  /* a byte of the input is up to 4 KiB of a hole */
#define N_KINDS	    4

static const char *folder;
static char *image, *record, *list;

static void
require_message(const char *text, const char *what)
{
	g_autofree char *odd = value_odd(text);
	require(*text && strlen(text) <= MESSAGE_MAX && !odd, what, NULL);
}

static void
write_file(const char *path, const uint8_t *bytes, size_t size, off_t hole)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size &&
		    ftruncate(fd, (off_t)size + hole) == 0,
		"a file can be written", NULL);
	close(fd);
}

/* --- an image --- */

static void
check_image(const char *format, off_t length)
{
	g_autoptr(GError) error = NULL;
	struct image found;
	if (!image_probe(image, format, &found, &error)) {
		require_message(error->message, "an image that is refused has a message");
		require(!found.backing && !found.format, "what is refused is empty", NULL);
		return;
	}
	require(!found.backing && !found.backing_format, "an image is complete in itself", NULL);
	require(!format || !strcmp(found.format, format), "an image is of the stated format", NULL);
	require(!strcmp(found.format, "qcow2") || !strcmp(found.format, "raw"), "a known format",
		NULL);
	require(found.size >= 0, "a disk has a size", NULL);
	if (!strcmp(found.format, "raw"))
		require(found.size >= length && found.size < length + 512, "a raw disk is itself",
			NULL);
	image_clear(&found);
}

static void
check_overlay(void)
{
	g_autoptr(GError) error = NULL;
	struct image found;
	if (!image_probe_overlay(image, &found, &error)) {
		require_message(error->message, "an overlay that is refused has a message");
		return;
	}
	require(!strcmp(found.format, "qcow2") && found.size >= 0, "an overlay is a qcow2", NULL);
	require(!found.backing || strlen(found.backing) <= IMAGE_NAME_MAX, "a name has a limit",
		NULL);
	image_clear(&found);
}

static void
fuzz_image(uint8_t tail, const uint8_t *bytes, size_t size)
{
	off_t hole = (off_t)tail << TAIL_SHIFT;
	write_file(image, bytes, size, hole);
	check_image(NULL, (off_t)size + hole);
	check_image("raw", (off_t)size + hole);
	check_image("qcow2", (off_t)size + hole);
	check_overlay();
}

/* --- the record of a base --- */

static void
fuzz_base(const uint8_t *bytes, size_t size)
{
	g_autoptr(GError) error = NULL;
	struct base now, kept;
	write_file(image, bytes, size, 0);
	write_file(record, bytes, size, 0);
	enum base_verdict verdict = base_compare(record, image, &now, &error);
	require(verdict == BASE_UNKNOWN || verdict == BASE_OTHER, "bytes are not their own record",
		NULL);
	require(strlen(now.digest) == 64 && now.size == (gint64)size, "a base has a digest", NULL);
	require(base_keep(record, &now, &error), "a record can be kept", NULL);
	require(base_compare(record, image, &kept, &error) == BASE_SAME, "a base is itself", NULL);
	require(!strcmp(kept.digest, now.digest), "a digest is kept", NULL);
}

/* --- the record of an image --- */

static void
check_word(const char *word)
{
	g_autofree char *odd = word ? value_odd(word) : NULL;
	require(!word || (*word && !odd), "what is known of an image is text", NULL);
}

static gboolean
is_same(const struct image_record *a, const struct image_record *b)
{
	return !g_strcmp0(a->url, b->url) && !g_strcmp0(a->sha512, b->sha512) &&
	       !g_strcmp0(a->architecture, b->architecture) &&
	       !g_strcmp0(a->distribution, b->distribution) && a->when == b->when &&
	       a->size == b->size;
}

static void
fuzz_record(const uint8_t *bytes, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = image_record_file(image);
	struct image_record read, again;
	write_file(path, bytes, size, 0);
	if (image_record_read(image, &read, &error)) {
		check_word(read.url);
		check_word(read.sha512);
		check_word(read.architecture);
		check_word(read.distribution);
		g_autofree char *text = image_record_text(&read);
		write_file(path, (const uint8_t *)text, strlen(text), 0);
		require(image_record_read(image, &again, &error), "a record can be read again",
			NULL);
		require(is_same(&read, &again), "a record is the same when it is read again", NULL);
		image_record_clear(&again);
	} else {
		require_message(error->message, "a record that is refused has a message");
	}
	image_record_clear(&read);
	unlink(path);
}

/* --- a list of images --- */

static void
check_known(const struct known *known)
{
	require(image_name_is_good(known->name), "a known image has a good name", NULL);
	require(g_str_has_prefix(known->file, folder) && known->line > 0, "it is from its place",
		NULL);
	require(!known->sha512 || digest_is_good(known->sha512), "a digest is one", NULL);
	check_word(known->url);
	require(known->url && !strpbrk(known->url, " \t\n"), "a known image has an address", NULL);
	check_word(known->architecture);
	check_word(known->distribution);
}

static void
fuzz_list(const uint8_t *bytes, size_t size)
{
	g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
	write_file(list, bytes, size, 0);
	g_autoptr(GPtrArray) table = known_read(folder, faults);
	for (guint i = 0; i < table->len; i++)
		check_known(g_ptr_array_index(table, i));
	for (guint i = 0; i < faults->len; i++) {
		const char *fault = g_ptr_array_index(faults, i);
		require_message(fault, "a fault has a message");
		require(g_str_has_prefix(fault, list), "a fault is somewhere", NULL);
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	folder = fuzz_folder();
	image = g_build_filename(folder, "disk.img", NULL);
	record = base_record(image);
	g_autofree char *lists = g_build_filename(folder, KNOWN_FOLDER, NULL);
	list = g_build_filename(lists, "10.ini", NULL);
	require(mkdir(lists, 0700) == 0, "a folder can be made", NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	switch (data[0] % N_KINDS) {
	case 0:
		fuzz_image(data[1], data + 2, size - 2);
		break;
	case 1:
		fuzz_base(data + 2, size - 2);
		break;
	case 2:
		fuzz_record(data + 2, size - 2);
		break;
	default:
		fuzz_list(data + 2, size - 2);
		break;
	}
	return 0;
}
