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
	guint done;
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
		publisher_update(bed->publisher, bed->worlds, FALSE);
}

static void
test_numbers(void)
{
	static const char *const files[] = {"known_hosts", "ssh_config", "machines.scm"};
	struct bed bed = {.loop = ev_loop_new(EVFLAG_AUTO)};
	bed.config.runtime_directory = g_dir_make_tmp("childhurd-publisher-XXXXXX", NULL);
	bed.host.config = &bed.config;
	bed.host.files = tasks_new(bed.loop, -1);
	bed.worlds = g_ptr_array_new();
	bed.publisher = publisher_new(&bed.host, on_done, &bed);
	ev_timer_init(&bed.patience, on_patience, PATIENCE, 0);
	ev_timer_start(bed.loop, &bed.patience);
	publisher_update(bed.publisher, bed.worlds, FALSE);
	publisher_update(bed.publisher, bed.worlds, FALSE); /* dropped */
	publisher_update(bed.publisher, bed.worlds, FALSE);
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
	ev_timer_stop(bed.loop, &bed.patience);
	publisher_free(bed.publisher);
	tasks_finish(bed.host.files);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path =
		    g_build_filename(bed.config.runtime_directory, files[i], NULL);
		g_assert_cmpint(g_unlink(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(bed.config.runtime_directory), ==, 0);
	g_free(bed.config.runtime_directory);
	g_ptr_array_unref(bed.worlds);
	ev_loop_destroy(bed.loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/publisher/what-waits-for-a-list-does-not-wait-for-the-next",
			test_numbers);
	return g_test_run();
}
