/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that can be written, files that cannot, and a file system that does not answer. */
#include "childhurdd/system/writer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/base/atomic_file.h"

#define PATIENCE 100. /* s */

/* --- what the daemon's log has --- */

static GString *logged;

static void
on_log(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
	g_string_append_printf(logged, "%s\n", message);
}

static guint
times_logged(const char *text)
{
	guint n = 0;
	for (const char *at = logged->str; (at = strstr(at, text)); at++)
		n++;
	return n;
}

/* --- a file system that answers when the test lets it --- */

static GMutex gate; /* held: a write does not return */
static gint writes; /* that were begun */

static gboolean
gated_write(const char *path, const char *text, GError **error)
{
	g_atomic_int_inc(&writes);
	g_mutex_lock(&gate);
	g_mutex_unlock(&gate);
	return atomic_file_write(path, text, -1, 0600, error);
}

/* --- the bed --- */

struct bed {
	struct ev_loop *loop;
	struct writer *writer;
	char *folder, *path;
	guint answers;
	char *why; /* of the last answer */
	ev_timer patience;
};

static void
on_patience(struct ev_loop *loop, ev_timer *w, int events)
{
	g_error("nothing happened for %g s", PATIENCE);
}

/* The folder in which path is does not exist yet. */
static void
bed_begin(struct bed *bed, const struct writer_setup *setup)
{
	g_autofree char *above = g_dir_make_tmp("childhurd-writer-XXXXXX", NULL);
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO)};
	bed->folder = g_build_filename(above, "a", NULL);
	bed->path = g_build_filename(bed->folder, "state", NULL);
	bed->writer = writer_new(bed->loop, setup);
	ev_timer_init(&bed->patience, on_patience, PATIENCE, 0);
	ev_timer_start(bed->loop, &bed->patience);
	g_string_truncate(logged, 0);
	g_atomic_int_set(&writes, 0);
}

static void
bed_clear(struct bed *bed)
{
	g_autofree char *above = g_path_get_dirname(bed->folder);
	ev_timer_stop(bed->loop, &bed->patience);
	g_unlink(bed->path);
	g_rmdir(bed->folder);
	g_rmdir(above);
	g_free(bed->folder);
	g_free(bed->path);
	g_free(bed->why);
}

static void
bed_end(struct bed *bed)
{
	writer_finish(bed->writer);
	bed_clear(bed);
	ev_loop_destroy(bed->loop);
}

static void
put(struct bed *bed, const char *text)
{
	writer_put(bed->writer, bed->path, g_strdup(text));
}

static void
on_answer(const char *why, void *data)
{
	struct bed *bed = data;
	g_free(bed->why);
	bed->why = g_strdup(why);
	bed->answers++;
}

/* Why the file is not written; NULL: it is. */
static const char *
wait_for(struct bed *bed, const char *path)
{
	guint before = bed->answers;
	writer_wait(bed->writer, path, on_answer, bed);
	while (bed->answers == before)
		ev_run(bed->loop, EVRUN_ONCE);
	g_assert_cmpuint(bed->answers, ==, before + 1);
	return bed->why;
}

static void
until_written(struct bed *bed)
{
	while (writer_why(bed->writer, bed->path))
		ev_run(bed->loop, EVRUN_ONCE);
}

static void
assert_has(const struct bed *bed, const char *expected)
{
	g_autofree char *text = NULL;
	g_file_get_contents(bed->path, &text, NULL, NULL);
	g_assert_cmpstr(text, ==, expected);
}

static void
test_written(void)
{
	struct bed bed;
	struct stat st;
	bed_begin(&bed, NULL);
	g_assert_null(wait_for(&bed, bed.path)); /* there is nothing to write */
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	put(&bed, "one\n");
	g_assert_null(wait_for(&bed, bed.path));
	assert_has(&bed, "one\n");
	g_assert_cmpint(g_stat(bed.path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	put(&bed, "two\n");
	bed_end(&bed);
	g_assert_cmpstr(logged->str, ==, "");
}

static void
test_newest(void)
{
	static const struct writer_setup setup = {gated_write, 0.01, 0.02, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	g_mutex_lock(&gate);
	for (int i = 0; i < 100; i++)
		writer_put(bed.writer, bed.path, g_strdup_printf("%d", i));
	g_mutex_unlock(&gate);
	g_assert_null(wait_for(&bed, bed.path));
	assert_has(&bed, "99");
	g_assert_cmpint(g_atomic_int_get(&writes), ==, 2); /* the first one, and the newest */
	bed_end(&bed);
}

/* Without a folder no user, not even root, can write the file. */
static void
test_tried_again(void)
{
	static const struct writer_setup setup = {gated_write, 0.01, 0.02, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	put(&bed, "one");
	g_assert_null(writer_why(bed.writer, bed.path)); /* a write may still succeed */
	const char *why = wait_for(&bed, bed.path);
	g_assert_nonnull(why);
	g_assert_true(g_str_has_prefix(why, bed.path));
	g_assert_nonnull(strstr(why, "No such file or directory"));
	g_assert_cmpstr(writer_why(bed.writer, bed.path), ==, why);
	g_auto(GStrv) whys = writer_all_whys(bed.writer);
	g_assert_cmpuint(g_strv_length(whys), ==, 1);
	g_assert_cmpstr(whys[0], ==, why);

	put(&bed, "two");
	g_assert_nonnull(wait_for(&bed, bed.path));
	while (g_atomic_int_get(&writes) < 5)
		ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(times_logged("tried again until it can be"), ==, 1);
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	until_written(&bed);
	assert_has(&bed, "two");
	g_assert_cmpuint(times_logged("/a/state: is written again\n"), ==, 1);
	g_assert_null(wait_for(&bed, bed.path));
	g_auto(GStrv) none = writer_all_whys(bed.writer);
	g_assert_null(none[0]);
	bed_end(&bed);
}

/* The delays are longer than the test: neither a new text nor the end waits for them. */
static void
test_at_once(void)
{
	static const struct writer_setup setup = {gated_write, 1000, 1000, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	put(&bed, "one");
	g_assert_nonnull(wait_for(&bed, bed.path));
	g_assert_nonnull(wait_for(&bed, bed.path)); /* this does not wait for the next try */
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	put(&bed, "two");
	g_assert_null(wait_for(&bed, bed.path));
	g_assert_cmpint(g_rmdir(bed.folder), ==, -1);
	g_unlink(bed.path);
	g_rmdir(bed.folder);
	put(&bed, "three");
	g_assert_nonnull(wait_for(&bed, bed.path));
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	writer_finish(bed.writer);
	assert_has(&bed, "three");
	g_assert_cmpuint(times_logged("given up"), ==, 0);
	bed_clear(&bed);
	ev_loop_destroy(bed.loop);
}

static void
test_end_says(void)
{
	static const struct writer_setup setup = {gated_write, 1000, 1000, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	put(&bed, "one");
	g_autofree char *last =
	    g_strconcat(bed.path, ": cannot be written: ", NULL); /* and a reason */
	writer_finish(bed.writer);
	g_assert_cmpuint(times_logged(last), ==, 2); /* failed, and given up */
	g_assert_cmpuint(times_logged("given up, as the daemon ends"), ==, 1);
	bed_clear(&bed);
	ev_loop_destroy(bed.loop);
}

static void
test_forgotten(void)
{
	static const struct writer_setup setup = {gated_write, 1000, 1000, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	put(&bed, "one");
	g_assert_nonnull(wait_for(&bed, bed.path));
	writer_forget(bed.writer, bed.path);
	g_assert_null(writer_why(bed.writer, bed.path));
	writer_forget(bed.writer, bed.path);
	g_mutex_lock(&gate);
	put(&bed, "two");
	writer_forget(bed.writer, bed.path); /* under way */
	g_mutex_unlock(&gate);
	g_assert_nonnull(wait_for(&bed, bed.path));
	g_assert_null(writer_why(bed.writer, bed.path));
	bed_end(&bed);
	g_assert_cmpuint(times_logged("given up"), ==, 0);
}

/* A waiter for a text that is no longer wanted is answered all the same. */
static void
test_forgotten_answers(void)
{
	static const struct writer_setup setup = {gated_write, 1000, 1000, PATIENCE, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	g_mutex_lock(&gate);
	put(&bed, "one");
	put(&bed, "two");
	writer_wait(bed.writer, bed.path, on_answer, &bed);
	writer_forget(bed.writer, bed.path);
	g_mutex_unlock(&gate);
	while (!bed.answers)
		ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(bed.answers, ==, 1);
	assert_has(&bed, "one");
	bed_end(&bed);
}

static void
test_hangs(void)
{
	static const struct writer_setup setup = {gated_write, 0.01, 0.02, 0.05, PATIENCE};
	struct bed bed;
	bed_begin(&bed, &setup);
	g_autofree char *other = g_strconcat(bed.path, "-of-another", NULL);
	g_assert_cmpint(g_mkdir(bed.folder, 0700), ==, 0);
	g_mutex_lock(&gate);
	put(&bed, "one");
	const char *why = wait_for(&bed, bed.path);
	g_assert_nonnull(why);
	g_assert_nonnull(strstr(why, "no answer from its file system"));
	g_assert_nonnull(writer_why(bed.writer, bed.path));
	writer_put(bed.writer, other, g_strdup("two"));
	guint before = bed.answers;
	writer_wait(bed.writer, other, on_answer, &bed); /* its turn is after that one */
	g_assert_cmpuint(bed.answers, ==, before + 1);
	g_assert_nonnull(strstr(bed.why, "no answer from its file system"));
	g_mutex_unlock(&gate);
	until_written(&bed);
	assert_has(&bed, "one");
	/* on a busy machine this one may have been late, too */
	while (wait_for(&bed, other))
		ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(times_logged("/a/state: is written again\n"), ==, 1);
	g_unlink(other);
	bed_end(&bed);
}

/* The thread is left behind, and with it the loop. */
static void
test_hangs_at_the_end(void)
{
	static const struct writer_setup setup = {gated_write, 0.01, 0.02, PATIENCE, 0.05};
	static struct bed bed;
	bed_begin(&bed, &setup);
	g_mutex_lock(&gate);
	put(&bed, "one");
	writer_finish(bed.writer);
	g_assert_cmpuint(times_logged("no answer from its file system"), ==, 1);
	g_assert_cmpuint(times_logged("given up, as the daemon ends"), ==, 1);
	bed_clear(&bed);
	g_mutex_unlock(&gate);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	logged = g_string_new(NULL);
	/* GLib 2.84 gives a test's messages to no function of the writer's kind. */
	g_log_set_handler(G_LOG_DOMAIN, G_LOG_LEVEL_MASK | G_LOG_FLAG_RECURSION, on_log, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
	g_test_add_func("/writer/a-file-is-written-as-a-whole", test_written);
	g_test_add_func("/writer/a-newer-text-replaces-one-that-waits", test_newest);
	g_test_add_func("/writer/what-cannot-be-written-is-kept-and-tried-again", test_tried_again);
	g_test_add_func("/writer/a-new-text-is-tried-at-once-and-so-is-the-end", test_at_once);
	g_test_add_func("/writer/the-end-says-what-is-not-written", test_end_says);
	g_test_add_func("/writer/what-is-forgotten-is-not-tried-again", test_forgotten);
	g_test_add_func("/writer/who-waits-for-what-is-forgotten-is-answered",
			test_forgotten_answers);
	g_test_add_func("/writer/a-write-that-hangs-is-said-within-the-limit", test_hangs);
	g_test_add_func("/writer/the-end-does-not-wait-for-one-that-hangs", test_hangs_at_the_end);
	return g_test_run();
}
