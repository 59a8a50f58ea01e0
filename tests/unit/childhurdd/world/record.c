/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/record.h"

#include <glib/gstdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "childhurdd/system/writer.h"

static char *
place(const char *text)
{
	char *path = NULL;
	int fd = g_file_open_tmp("record-XXXXXX", &path, NULL);
	g_assert_cmpint(fd, >=, 0);
	g_close(fd, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void
test_round_trip(void)
{
	struct record record = {.kept = {.want_up = TRUE,
					 .drained = TRUE,
					 .going_down = TRUE,
					 .now = TRUE,
					 .discard = TRUE,
					 .enrolled = TRUE,
					 .saving = TRUE,
					 .restoring = TRUE,
					 .cold = TRUE,
					 .to_sleep = TRUE,
					 .served = 3,
					 .warm_failures = 1,
					 .restarts = 7},
				.kvm = TRUE,
				.boots = {9000, 8000},
				.coordinators = g_strsplit("farm 12ab|other 34cd", "|", -1),
				.guest = g_strsplit("cpus|2|features|", "|", -1)};
	g_autofree char *text = record_text(&record);
	g_autofree char *path = place(text);
	struct record read = record_read(path);
	g_assert_true(read.known && read.kvm);
	g_assert_cmpmem(&read.kept, sizeof read.kept, &record.kept, sizeof record.kept);
	g_assert_cmpmem(read.boots, sizeof read.boots, record.boots, sizeof record.boots);
	g_assert_true(
	    g_strv_equal((const char *const *)read.guest, (const char *const *)record.guest));
	g_assert_true(g_strv_equal((const char *const *)read.coordinators,
				   (const char *const *)record.coordinators));
	record_clear(&read);
	record_clear(&record);
	g_remove(path);
}

static void
test_damaged(void)
{
	const char *const texts[] = {"",
				     "{",
				     "[]",
				     "null",
				     "{}",
				     "{\"boot\": 1}",
				     "{\"boot\": \"another\", \"want-up\": true}",
				     "\xff\xfe"};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *path = place(texts[i]);
		struct record read = record_read(path);
		g_assert_false(read.known);
		/* who reads that is told, but for a record of an earlier boot */
		g_assert_cmpint(read.damage != NULL, ==, !strstr(texts[i], "another"));
		g_assert_true(!read.damage || g_str_has_prefix(read.damage, path));
		record_clear(&read);
		g_remove(path);
	}
	struct record none = record_read("/nonexistent/state");
	g_assert_false(none.known);
	g_assert_null(none.damage); /* a new guest */
	struct record unreadable = record_read("/");
	g_assert_nonnull(unreadable.damage);
	record_clear(&unreadable);
}

/* Wishes that are none must not be guessed: a stopped guest would start. */
static void
test_half_damaged(void)
{
	struct record record = {.kept.drained = TRUE};
	g_autofree char *whole = record_text(&record);
	g_auto(GStrv) parts = g_strsplit(whole, "\"want-up\" : false", 2);
	const char *const wishes[] = {"\"want-down\" : false", "\"want-up\" : \"no\"",
				      "\"want-up\" : 1"};
	g_assert_nonnull(parts[1]);
	for (gsize i = 0; i < G_N_ELEMENTS(wishes); i++) {
		g_autofree char *text = g_strjoinv(wishes[i], parts);
		g_autofree char *path = place(text);
		struct record read = record_read(path);
		g_assert_false(read.known);
		g_assert_nonnull(read.damage);
		record_clear(&read);
		g_remove(path);
	}
}

/* What is not of its kind, or no number to compute with, is as if it were not there. */
static void
test_odd(void)
{
	g_autofree char *whole = record_text(&(struct record){0});
	g_auto(GStrv) parts = g_strsplit(whole, "{", 2);
	g_autofree char *start =
	    g_strjoinv("{\"emulator\": [], \"guest\": [[]], \"host-keys\": {}, ", parts);
	const char *const numbers[] = {"-3", "99999999999", "\"4\"", "{}", "null", "1.5"};
	const int counts[] = {0, G_MAXINT, 0, 0, 0, 0};
	for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
		g_autoptr(GString) text = g_string_new(start);
		g_autofree char *boots = g_strdup_printf("\"boots\" : [ %s ]", numbers[i]);
		g_autofree char *served = g_strdup_printf("\"served\" : %s", numbers[i]);
		g_assert_cmpuint(g_string_replace(text, "\"kvm\" : false", "\"kvm\" : \"yes\"", 0),
				 ==, 1);
		g_assert_cmpuint(g_string_replace(text, "\"served\" : 0", served, 0), ==, 1);
		g_assert_cmpuint(g_string_replace(text, "\"boots\" : []", boots, 0), ==, 1);
		g_autofree char *path = place(text->str);
		struct record read = record_read(path);
		g_assert_true(read.known && !read.kvm);
		g_assert_null(read.emulator);
		g_assert_null(read.guest);
		g_assert_null(read.host_keys);
		g_assert_cmpint(read.kept.served, ==, counts[i]);
		g_assert_cmpint(read.boots[0], ==, counts[i]);
		record_clear(&read);
		g_remove(path);
	}
}

/* Warm starts stay off until an operator says otherwise, and keys stay on a disk, also after a
 * reboot of the host. */
static void
test_earlier_boot(void)
{
	g_autofree char *path =
	    place("{\"boot\": \"another\", \"served\": 4, \"warm-failures\": 2, "
		  "\"coordinators\": [\"farm 12ab\"]}");
	struct record read = record_read(path);
	g_assert_false(read.known);
	g_assert_cmpint(read.kept.warm_failures, ==, 2);
	g_assert_cmpint(read.kept.served, ==, 0);
	g_assert_cmpstr(read.coordinators[0], ==, "farm 12ab");
	record_clear(&read);
	g_remove(path);
}

/* A record whose guest is no configuration: another version or program wrote it. */
static void
test_other_guests(void)
{
	struct record record = {.guest = g_strsplit("cpus|2", "|", -1)};
	g_autofree char *whole = record_text(&record);
	const char *const texts[] = {"", "null", "{}", "[1]", "[[]]", "\"cpus\""};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GString) text = g_string_new(whole);
		char *at = strstr(text->str, "\"guest\"");
		g_string_truncate(text, (gsize)(at - text->str));
		g_string_append_printf(text, "\"guest\" : %s}", *texts[i] ? texts[i] : "\"\"");
		g_autofree char *path = place(text->str);
		struct record read = record_read(path);
		g_assert_true(read.known);
		g_assert_null(read.guest);
		g_remove(path);
	}
	record_clear(&record);
}

static void
test_written_by_a_worker(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct writer *writer = writer_new(loop, NULL);
	g_autofree char *path = place("old");
	for (int i = 0; i < 100; i++) { /* the last one wins: writes keep their order */
		struct record record = {.kept.restarts = i};
		writer_put(writer, path, record_text(&record));
	}
	writer_finish(writer);
	g_assert_cmpint(record_read(path).kept.restarts, ==, 99);
	g_remove(path);
	ev_loop_destroy(loop);
}

/* Another daemon, which has descriptors, may read what it says. */
static void
test_unread(void)
{
	g_autofree char *folder = g_dir_make_tmp("record-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "state", NULL);
	const struct record kept = {.kept.want_up = TRUE};
	g_autofree char *text = record_text(&kept);
	struct rlimit all, none;
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	int next = dup(STDIN_FILENO);
	close(next);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &all), ==, 0);
	none = (struct rlimit){(rlim_t)next, all.rlim_max};
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	struct record record = record_read(path);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &all), ==, 0);
	g_assert_true(record.unread && record.damage && !record.known);
	record_clear(&record);
	record = record_read(path);
	g_assert_true(!record.unread && !record.damage && record.known && record.kept.want_up);
	record_clear(&record);
	unlink(path);
	rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/record/what-is-written-is-read", test_round_trip);
	g_test_add_func("/record/damaged-or-of-another-boot-is-as-none", test_damaged);
	g_test_add_func("/record/without-a-wish-it-is-damaged", test_half_damaged);
	g_test_add_func("/record/what-is-of-another-kind-is-as-none", test_odd);
	g_test_add_func("/record/of-an-earlier-boot-only-failed-warm-starts-count",
			test_earlier_boot);
	g_test_add_func("/record/what-is-no-guest-is-none", test_other_guests);
	g_test_add_func("/record/writes-keep-their-order", test_written_by_a_worker);
	g_test_add_func("/record/one-that-nobody-could-read-is-not-damaged", test_unread);
	return g_test_run();
}
