/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/lane.h"

#include <gio/gio.h>
#include <string.h>

#define LIMIT 60000 /* ms; a limit that even a busy machine keeps */
#define SHORT 20    /* ms; a limit that passes */
#define SLOW  200   /* ms; what a slow file takes */

struct bed {
	struct ev_loop *loop;
	struct tasks *tasks;
	struct lane *lane;
	GMutex lock;
	GCond moved;   /* open, or a job's begun */
	gboolean open; /* the file system answers */
	int ended, destroyed, late, wanted;
	char *message;
};

struct job {
	struct bed *bed;
	const char *file;
	gboolean stuck; /* until the bed is open */
	gboolean begun; /* it has touched its file */
	int ended;	/* its place in the order of ends; 0: none */
};

static void
bed_init(struct bed *bed)
{
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO)};
	g_mutex_init(&bed->lock);
	g_cond_init(&bed->moved);
	bed->tasks = tasks_new(bed->loop, -1);
	bed->lane = lane_new(bed->tasks);
}

static void
bed_open(struct bed *bed)
{
	g_mutex_lock(&bed->lock);
	bed->open = TRUE;
	g_cond_broadcast(&bed->moved);
	g_mutex_unlock(&bed->lock);
}

static void
bed_clear(struct bed *bed)
{
	bed_open(bed);
	lane_free(bed->lane);
	tasks_finish(bed->tasks);
	ev_loop_destroy(bed->loop);
	g_mutex_clear(&bed->lock);
	g_cond_clear(&bed->moved);
	g_free(bed->message);
}

static void
job_work(void *data)
{
	struct job *job = data;
	lane_touch("image", job->file);
	g_mutex_lock(&job->bed->lock);
	job->begun = TRUE;
	g_cond_broadcast(&job->bed->moved);
	while (job->stuck && !job->bed->open)
		g_cond_wait(&job->bed->moved, &job->bed->lock);
	g_mutex_unlock(&job->bed->lock);
}

/* Its limit counts from here on, as the loop does not run yet. */
static void
await_begun(struct job *job)
{
	g_mutex_lock(&job->bed->lock);
	while (!job->begun)
		g_cond_wait(&job->bed->moved, &job->bed->lock);
	g_mutex_unlock(&job->bed->lock);
}

static void
job_done(void *data, const GError *late)
{
	struct job *job = data;
	struct bed *bed = job->bed;
	if (late) {
		g_assert_error(late, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
		g_free(bed->message);
		bed->message = g_strdup(late->message);
		bed->late++;
	} else {
		job->ended = ++bed->ended;
	}
	if (bed->ended + bed->late == bed->wanted)
		ev_break(bed->loop, EVBREAK_ALL);
}

static void
job_destroy(void *data)
{
	struct job *job = data;
	job->bed->destroyed++;
}

static void
test_order(void)
{
	struct bed bed;
	bed_init(&bed);
	struct job jobs[20];
	bed.wanted = G_N_ELEMENTS(jobs);
	for (gsize i = 0; i < G_N_ELEMENTS(jobs); i++) {
		jobs[i] = (struct job){.bed = &bed, .file = "/a"};
		lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &jobs[i]);
	}
	ev_run(bed.loop, 0);
	for (gsize i = 0; i < G_N_ELEMENTS(jobs); i++)
		g_assert_cmpint(jobs[i].ended, ==, (int)i + 1);
	g_assert_cmpint(bed.destroyed, ==, bed.wanted);
	bed_clear(&bed);
}

/* The job that is stuck and the one after it are late, and both name the file of the first. Another
 * lane goes on meanwhile. When the file answers, this lane goes on, too. */
static void
test_late(void)
{
	struct bed bed;
	bed_init(&bed);
	struct lane *other = lane_new(bed.tasks);
	struct job stuck = {.bed = &bed, .file = "/dead/a", .stuck = TRUE};
	struct job behind = {.bed = &bed, .file = "/b"}, beside = {.bed = &bed, .file = "/c"};
	bed.wanted = 3;
	lane_run(bed.lane, SHORT, job_work, job_done, job_destroy, &stuck);
	await_begun(&stuck);
	lane_run(bed.lane, SHORT, job_work, job_done, job_destroy, &behind);
	lane_run(other, LIMIT, job_work, job_done, job_destroy, &beside);
	ev_run(bed.loop, 0);
	g_assert_cmpint(bed.late, ==, 2);
	g_assert_cmpint(beside.ended, ==, 1);
	g_assert_nonnull(strstr(bed.message, "image /dead/a"));
	g_assert_cmpint(bed.destroyed, ==, 2); /* not the one that a worker uses */
	bed_open(&bed);
	struct job later = {.bed = &bed, .file = "/d"};
	bed.wanted = 4;
	lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &later);
	ev_run(bed.loop, 0);
	g_assert_cmpint(later.ended, ==, 2);
	g_assert_cmpint(bed.destroyed, ==, 4);
	lane_free(other);
	bed_clear(&bed);
}

static void
slow_work(void *data)
{
	struct job *job = data;
	lane_touch("image", job->file);
	g_usleep(SLOW * 1000);
}

/* Together the jobs take longer than the limit, but none alone does. */
static void
test_many(void)
{
	struct bed bed;
	bed_init(&bed);
	struct job jobs[10];
	bed.wanted = G_N_ELEMENTS(jobs);
	for (gsize i = 0; i < G_N_ELEMENTS(jobs); i++) {
		jobs[i] = (struct job){.bed = &bed, .file = "/a"};
		lane_run(bed.lane, 7 * SLOW, slow_work, job_done, job_destroy, &jobs[i]);
	}
	ev_run(bed.loop, 0);
	g_assert_cmpint(bed.late, ==, 0);
	g_assert_cmpint(bed.ended, ==, bed.wanted);
	bed_clear(&bed);
}

static void
test_forget(void)
{
	struct bed bed;
	bed_init(&bed);
	struct job stuck = {.bed = &bed, .file = "/a", .stuck = TRUE}, behind = stuck, last = stuck;
	struct lane_job *first = lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &stuck);
	struct lane_job *second =
	    lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &behind);
	lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &last);
	lane_forget(second);
	g_assert_cmpint(bed.destroyed, ==, 1);
	lane_forget(first);
	lane_forget(NULL);
	bed_open(&bed);
	bed.wanted = 1;
	ev_run(bed.loop, 0);
	g_assert_cmpint(stuck.ended + behind.ended, ==, 0);
	g_assert_cmpint(last.ended, ==, 1);
	g_assert_cmpint(bed.destroyed, ==, 3);
	bed_clear(&bed);
}

/* A lane may be freed while a worker is busy, and in its own done. */
static void
free_done(void *data, const GError *late)
{
	struct job *job = data;
	lane_free(job->bed->lane);
	job->bed->lane = NULL;
	ev_break(job->bed->loop, EVBREAK_ALL);
}

static void
test_free(void)
{
	struct bed bed;
	bed_init(&bed);
	struct job job = {.bed = &bed, .file = "/a"}, behind = job;
	lane_run(bed.lane, LIMIT, job_work, free_done, job_destroy, &job);
	lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &behind);
	ev_run(bed.loop, 0);
	g_assert_cmpint(bed.destroyed, ==, 2);
	bed.lane = lane_new(bed.tasks);
	job.stuck = TRUE;
	lane_run(bed.lane, LIMIT, job_work, job_done, job_destroy, &job);
	bed_clear(&bed); /* its end waits for the worker */
	g_assert_cmpint(bed.destroyed, ==, 3);
	g_assert_cmpint(bed.ended, ==, 0);
}

static void
test_waits_for(void)
{
	struct bed bed;
	bed_init(&bed);
	g_assert_null(lane_waits_for(bed.lane));
	struct job stuck = {.bed = &bed, .file = "/dead/a", .stuck = TRUE};
	bed.wanted = 1;
	lane_run(bed.lane, LANE_SLOW, job_work, job_done, job_destroy, &stuck);
	ev_run(bed.loop, 0);
	g_autofree char *text = lane_waits_for(bed.lane);
	g_assert_nonnull(strstr(text, "image /dead/a, which has not answered for 2 s"));
	bed_clear(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lane/order", test_order);
	g_test_add_func("/lane/late", test_late);
	g_test_add_func("/lane/many", test_many);
	g_test_add_func("/lane/forget", test_forget);
	g_test_add_func("/lane/free", test_free);
	g_test_add_func("/lane/waits-for", test_waits_for);
	return g_test_run();
}
