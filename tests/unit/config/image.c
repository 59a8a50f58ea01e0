/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of images, and their records. */
#include <glib/gstdio.h>
#include <string.h>

#include "config/image_name.h"
#include "config/image_record.h"
#include "config/ini.h"

static void
test_names(void)
{
	const char *const good[] = {"debian-i386", "a", "Debian_13.1", "2026"};
	const char *const bad[] = {"",	    ".",     "..",   "-a",    "a/b",	    "a b",
				   "b.img", "x.raw", "x.xz", "a.ini", "disk.qcow2", "ä"};
	g_autofree char *longest = g_strnfill(IMAGE_NAME_BYTES_MAX, 'a'),
			*longer = g_strnfill(IMAGE_NAME_BYTES_MAX + 1, 'a');
	for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(image_name_is_good(good[i]));
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(image_name_is_good(bad[i]));
	g_assert_true(image_name_is_good(longest));
	g_assert_false(image_name_is_good(longer));
}

static void
test_advice(void)
{
	g_autofree char *file = image_file("/state", "mine"), *advice = image_file_advice(file);
	g_assert_cmpstr(file, ==, "/state/images/mine.qcow2");
	g_assert_nonnull(strstr(advice, "image fetch mine"));
	g_assert_null(image_file_advice("/srv/mine.qcow2"));
	g_assert_null(image_file_advice("/state/images/mine.raw"));
	g_assert_null(image_file_advice("/state/images/.qcow2"));
}

/* The place of an image and of its record, in a folder of their own. */
struct place {
	char *folder, *file, *record;
};

static void
place_begin(struct place *place)
{
	place->folder = g_dir_make_tmp("childhurd-image-XXXXXX", NULL);
	place->file = g_build_filename(place->folder, "mine.qcow2", NULL);
	place->record = image_record_file(place->file);
}

static void
place_end(struct place *place)
{
	g_remove(place->record);
	g_rmdir(place->folder);
	g_free(place->record);
	g_free(place->file);
	g_free(place->folder);
}

/* Write a record and read it again. */
static void
keep(const struct place *place, const struct image_record *record, struct image_record *read)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = image_record_text(record);
	g_assert_true(g_file_set_contents(place->record, text, -1, NULL));
	g_assert_true(image_record_read(place->file, read, &error));
}

static void
test_record(void)
{
	g_autoptr(GError) error = NULL;
	struct place place;
	place_begin(&place);
	g_autofree char *digest = g_strnfill(128, 'a');
	const struct image_record record = {.url = (char *)"https://example.org/x.img.tar.xz",
					    .sha512 = digest,
					    .architecture = (char *)"i586",
					    .when = 1795896219,
					    .size = 1LL << 40};
	struct image_record read;
	g_assert_true(image_record_read(place.file, &read, &error));
	g_assert_null(read.url);
	keep(&place, &record, &read);
	g_assert_cmpstr(read.url, ==, record.url);
	g_assert_cmpstr(read.sha512, ==, digest);
	g_assert_cmpstr(read.architecture, ==, "i586");
	g_assert_null(read.distribution);
	g_assert_cmpint(read.when, ==, record.when);
	g_assert_cmpint(read.size, ==, record.size);
	image_record_clear(&read);
	g_assert_true(g_file_set_contents(place.record, "nonsense\n", -1, NULL));
	g_assert_false(image_record_read(place.file, &read, &error));
	g_assert_nonnull(strstr(error->message, "mine.ini:1: "));
	place_end(&place);
}

/* Not only by us: people write records, too. */
static void
test_odd_values(void)
{
	struct place place;
	place_begin(&place);
	g_autofree char *longest = g_strnfill(INI_VALUE_MAX, 'a');
	g_autofree char *comment = g_strnfill(300, ';');
	const char *const values[] = {";", "; a",     "a;b",   "=",    ":;",
				      "#", "[image]", comment, longest};
	for (gsize i = 0; i < G_N_ELEMENTS(values); i++) {
		const struct image_record record = {.distribution = (char *)values[i]};
		struct image_record read;
		keep(&place, &record, &read);
		g_assert_cmpstr(read.distribution, ==, values[i]);
		image_record_clear(&read);
	}
	place_end(&place);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/image/a-name-is-a-word-that-is-like-no-file", test_names);
	g_test_add_func("/image/for-one-that-is-not-there-there-is-advice", test_advice);
	g_test_add_func("/image/what-is-written-of-one-can-be-read", test_record);
	g_test_add_func("/image/each-value-is-read-as-it-is-written", test_odd_values);
	return g_test_run();
}
