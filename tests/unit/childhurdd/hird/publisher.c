/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the lists are written, and which updates end then. */
#include "childhurdd/hird/publisher.h"

#include <glib/gstdio.h>

#define CALLS	 5
#define PATIENCE 100. /* s */

struct bed {
	struct ev_loop *loop;
	struct config config;
	struct host host;
	struct publisher *publisher;
	GPtrArray *worlds;
	guint done, missing;
	guint64 ended[CALLS]; /* publisher_ended when done was called */
	ev_timer patience;
};

static void
on_patience(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	g_error("nothing happened for %g s", PATIENCE);
}

/* Ask for another update each time, while the one before is not written yet. */
static void
on_done(gboolean made, const GError *error, void *data)
{
	struct bed *bed = data;
	g_assert_no_error(error);
	g_assert_false(made);
	bed->ended[bed->done++] = publisher_ended(bed->publisher);
	if (bed->done < CALLS - 1)
		publisher_update(bed->publisher, bed->worlds, NULL);
}

static void
on_missing(void *data)
{
	struct bed *bed = data;
	bed->missing++;
	ev_break(bed->loop, EVBREAK_ALL);
}

/* An update that follows a look. */
static void
on_written(gboolean made, const GError *error, void *data)
{
	struct bed *bed = data;
	bed->done++;
}

static const char *const files[] = {"known_hosts", "ssh_config", "machines.scm"};

static void
bed_clear(struct bed *bed)
{
	ev_timer_stop(bed->loop, &bed->patience);
	publisher_free(bed->publisher);
	tasks_finish(bed->host.files);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path =
		    g_build_filename(bed->config.runtime_directory, files[i], NULL);
		g_assert_cmpint(g_unlink(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(bed->config.runtime_directory), ==, 0);
	g_free(bed->config.runtime_directory);
	g_ptr_array_unref(bed->worlds);
	ev_loop_destroy(bed->loop);
}

static void
bed_begin(struct bed *bed, publisher_fn done)
{
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO)};
	bed->config.runtime_directory = g_dir_make_tmp("childhurd-publisher-XXXXXX", NULL);
	bed->host.config = &bed->config;
	bed->host.files = tasks_new(bed->loop, -1);
	bed->worlds = g_ptr_array_new();
	bed->publisher = publisher_new(&bed->host, done, bed);
	ev_timer_init(&bed->patience, on_patience, PATIENCE, 0);
	ev_timer_start(bed->loop, &bed->patience);
}

static void
until_written(struct bed *bed)
{
	publisher_update(bed->publisher, bed->worlds, NULL);
	while (publisher_busy(bed->publisher))
		ev_run(bed->loop, EVRUN_ONCE);
}

/* A look counts as no update, and reports nothing while all files are there. */
static void
test_look(void)
{
	struct bed bed;
	bed_begin(&bed, on_written);
	until_written(&bed);
	publisher_look(bed.publisher, on_missing);
	publisher_look(bed.publisher, on_missing); /* one is under way */
	g_assert_false(publisher_busy(bed.publisher));
	until_written(&bed); /* its turn is after the look */
	g_assert_cmpuint(bed.missing, ==, 0);
	g_assert_cmpuint(bed.done, ==, 2);
	g_assert_cmpuint(publisher_asked(bed.publisher), ==, 2);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path =
		    g_build_filename(bed.config.runtime_directory, files[i], NULL);
		g_assert_cmpint(g_unlink(path), ==, 0);
		publisher_look(bed.publisher, on_missing);
		ev_run(bed.loop, 0);
		g_assert_cmpuint(bed.missing, ==, i + 1);
		until_written(&bed);
	}
	bed_clear(&bed);
}

static void
test_numbers(void)
{
	struct bed bed;
	bed_begin(&bed, on_done);
	publisher_update(bed.publisher, bed.worlds, NULL);
	publisher_update(bed.publisher, bed.worlds, NULL); /* dropped */
	publisher_update(bed.publisher, bed.worlds, NULL);
	g_assert_cmpuint(bed.done, ==, 0);
	g_assert_cmpuint(publisher_asked(bed.publisher), ==, 3);
	g_assert_cmpuint(publisher_ended(bed.publisher), ==, 0);
	while (publisher_busy(bed.publisher))
		ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(bed.done, ==, CALLS);
	/* the first update ends although another one always follows */
	g_assert_cmpuint(bed.ended[0], ==, 1);
	for (guint i = 1; i < CALLS; i++)
		g_assert_cmpuint(bed.ended[i], >, bed.ended[i - 1]);
	g_assert_cmpuint(bed.ended[CALLS - 1], ==, publisher_asked(bed.publisher));
	bed_clear(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/publisher/what-waits-for-a-list-does-not-wait-for-the-next",
			test_numbers);
	g_test_add_func("/publisher/a-missing-file-is-noticed", test_look);
	return g_test_run();
}
