/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The key metrics-file: the file is written again and again, and removed when the daemon ends. */
#include "childhurdd/hird/metrics_file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define PERIOD	 0.02
#define PATIENCE 100. /* s */

struct bed {
	struct ev_loop *loop;
	struct metrics_file *file;
	char *folder, *path;
	int texts; /* how often the text was asked for */
	ev_timer patience;
};

static void
on_patience(struct ev_loop *loop, ev_timer *w, int events)
{
	g_error("nothing happened for %g s", PATIENCE);
}

static char *
make_text(void *data)
{
	struct bed *bed = data;
	return g_strdup_printf(METRICS_FILE_MARK "a %d\n# EOF\n", ++bed->texts);
}

static void
bed_begin(struct bed *bed)
{
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO),
			    .folder = g_dir_make_tmp("childhurd-figures-XXXXXX", NULL)};
	bed->path = g_build_filename(bed->folder, "childhurd.prom", NULL);
	bed->file = metrics_file_new(bed->loop, PERIOD, make_text, bed);
	ev_timer_init(&bed->patience, on_patience, PATIENCE, 0);
	ev_timer_start(bed->loop, &bed->patience);
}

static void
remove_all(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_unlink(path);
	}
	g_rmdir(folder);
}

static void
bed_end(struct bed *bed)
{
	metrics_file_free(bed->file);
	ev_timer_stop(bed->loop, &bed->patience);
	ev_loop_destroy(bed->loop);
	remove_all(bed->folder);
	g_free(bed->folder);
	g_free(bed->path);
}

static void
until_text(struct bed *bed, int n)
{
	while (bed->texts < n)
		ev_run(bed->loop, EVRUN_ONCE);
}

static void
test_written(void)
{
	struct bed bed;
	struct stat st;
	bed_begin(&bed);
	g_assert_false(g_file_test(bed.path, G_FILE_TEST_EXISTS));
	metrics_file_set(bed.file, bed.path);
	until_text(&bed, 3); /* the third text is asked for after the second was written */
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(bed.path, &text, NULL, NULL));
	g_assert_true(g_str_has_suffix(text, "\n# EOF\n"));
	g_assert_cmpint(g_stat(bed.path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0644);
	bed_end(&bed);
}

static void
test_elsewhere(void)
{
	struct bed bed;
	bed_begin(&bed);
	g_autofree char *other = g_build_filename(bed.folder, "other.prom", NULL);
	metrics_file_set(bed.file, bed.path);
	until_text(&bed, 2);
	metrics_file_set(bed.file, other);
	until_text(&bed, 5);
	g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(bed.path, G_FILE_TEST_EXISTS));
	int before = bed.texts;
	metrics_file_set(bed.file, other); /* no change, as with most reloads */
	g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
	metrics_file_set(bed.file, NULL);
	g_assert_cmpint(bed.texts, ==, before);
	while (g_file_test(other, G_FILE_TEST_EXISTS)) /* a write was under way */
		ev_run(bed.loop, EVRUN_ONCE);
	bed_end(&bed);
}

/* Whenever the daemon ends, no file is left. */
static void
test_gone(void)
{
	for (int i = 1; i <= 40; i++) {
		struct bed bed;
		bed_begin(&bed);
		metrics_file_set(bed.file, bed.path);
		until_text(&bed, i % 3);
		metrics_file_free(g_steal_pointer(&bed.file));
		g_assert_cmpint(g_rmdir(bed.folder), ==, 0);
		bed_end(&bed);
	}
}

static void
until_complaint(struct bed *bed, const char *pattern)
{
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, pattern);
	metrics_file_set(bed->file, bed->path);
	until_text(bed, bed->texts + 3);
	g_test_assert_expected_messages();
}

/* A mistake in the configuration must not cost a file. */
static void
test_not_ours(void)
{
	struct bed bed;
	bed_begin(&bed);
	g_autofree char *text = NULL;
	g_assert_true(g_file_set_contents(bed.path, "[guest a]\nimage = /precious\n", -1, NULL));
	until_complaint(&bed, "metrics-file: *exists and does not have childhurd's metrics*");
	metrics_file_set(bed.file, NULL);
	until_text(&bed, bed.texts);
	metrics_file_free(g_steal_pointer(&bed.file));
	g_assert_true(g_file_get_contents(bed.path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "[guest a]\nimage = /precious\n");
	bed_end(&bed);
}

static void
test_no_file(void)
{
	struct bed bed;
	struct stat st;
	bed_begin(&bed);
	g_assert_cmpint(mkfifo(bed.path, 0600), ==, 0);
	until_complaint(&bed, "metrics-file: *exists and does not have childhurd's metrics*");
	metrics_file_free(g_steal_pointer(&bed.file));
	g_assert_cmpint(g_lstat(bed.path, &st), ==, 0);
	g_assert_true(S_ISFIFO(st.st_mode));
	bed_end(&bed);
}

/* An error is reported once, however often the write is tried; so is its end. */
static void
test_no_folder(void)
{
	struct bed bed;
	bed_begin(&bed);
	g_rmdir(bed.folder);
	metrics_file_set(bed.file, bed.path);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "metrics-file: *childhurd.prom*No such file*not reported again*");
	until_text(&bed, 5);
	g_test_assert_expected_messages();
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*is written again");
	until_text(&bed, bed.texts + 3);
	g_test_assert_expected_messages();
	bed_end(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/metrics-file/is-whole-and-readable-for-all", test_written);
	g_test_add_func("/metrics-file/moves-with-the-configuration", test_elsewhere);
	g_test_add_func("/metrics-file/goes-with-the-daemon-whenever-it-ends", test_gone);
	g_test_add_func("/metrics-file/what-is-not-ours-is-left-alone", test_not_ours);
	g_test_add_func("/metrics-file/what-is-no-file-is-left-alone", test_no_file);
	g_test_add_func("/metrics-file/an-error-is-said-once", test_no_folder);
	return g_test_run();
}
