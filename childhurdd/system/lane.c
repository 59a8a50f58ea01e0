/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A job belongs to the loop, except what the worker changes: its data and, under the lock, the name
 * of the file that it touches. A forgotten or late job stays until its worker has ended.
 */
#include "childhurdd/system/lane.h"

#include <gio/gio.h>

struct lane {
	struct tasks *tasks;
	GQueue waiting; /* of struct lane_job */
	struct lane_job *running;
	gboolean closed; /* to be freed when the running job has ended */
};

struct lane_job {
	struct lane *lane;
	struct ev_loop *loop;
	task_fn work;
	lane_done_fn done; /* NULL: its end is not reported */
	int given_up;	   /* the job was forgotten or is late; atomic */
	GDestroyNotify destroy;
	void *data;
	gint64 limit; /* ms */
	ev_timer timer;
	GMutex lock;
	char *file;   /* the file that it touches; NULL: none yet */
	gint64 since; /* monotonic µs: when the file was touched, or the wait began */
};

static _Thread_local struct lane_job *current;

void
lane_touch(const char *what, const char *file)
{
	if (!current)
		return;
	g_mutex_lock(&current->lock);
	g_free(current->file);
	current->file = g_strdup_printf("%s %s", what, file);
	current->since = g_get_monotonic_time();
	g_mutex_unlock(&current->lock);
}

void
lane_goes_on(void)
{
	if (!current)
		return;
	g_mutex_lock(&current->lock);
	current->since = g_get_monotonic_time();
	g_mutex_unlock(&current->lock);
}

gboolean
lane_given_up(void)
{
	return current && g_atomic_int_get(&current->given_up);
}

/* Report nothing of it any more. */
static void
give_up(struct lane_job *job)
{
	job->done = NULL;
	g_atomic_int_set(&job->given_up, TRUE);
	ev_timer_stop(job->loop, &job->timer);
}

/* The file that it waits for; NULL: it has named none. *ms: for how long. Caller frees. */
static char *
file_of(struct lane_job *job, gint64 *ms)
{
	g_mutex_lock(&job->lock);
	char *file = g_strdup(job->file);
	*ms = (g_get_monotonic_time() - job->since) / 1000;
	g_mutex_unlock(&job->lock);
	return file;
}

static void
job_free(struct lane_job *job)
{
	ev_timer_stop(job->loop, &job->timer);
	if (job->destroy)
		job->destroy(job->data);
	g_mutex_clear(&job->lock);
	g_free(job->file);
	g_free(job);
}

static void
work(void *data)
{
	struct lane_job *job = data;
	current = job;
	job->work(job->data);
	current = NULL;
}

static void start_next(struct lane *lane);

/* The lane is busy until done returns. done may free the lane. */
static void
work_ended(void *data)
{
	struct lane_job *job = data;
	struct lane *lane = job->lane;
	if (job->done)
		job->done(job->data, NULL);
	job_free(job);
	lane->running = NULL;
	if (lane->closed)
		g_free(lane);
	else
		start_next(lane);
}

static void
start_next(struct lane *lane)
{
	if (lane->running || !(lane->running = g_queue_pop_head(&lane->waiting)))
		return;
	struct lane_job *job = lane->running;
	job->since = g_get_monotonic_time();
	task_run(lane->tasks, work, work_ended, NULL, job);
}

static void
timer_set(struct lane_job *job, gint64 ms)
{
	ev_timer_stop(job->loop, &job->timer);
	ev_timer_set(&job->timer, (double)ms / 1000, 0);
	ev_timer_start(job->loop, &job->timer);
}

static GError *
late_error(const struct lane *lane, gint64 waited)
{
	gint64 ms = 0;
	g_autofree char *file = file_of(lane->running, &ms);
	return g_error_new(G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
			   "%s has not answered for %" G_GINT64_FORMAT
			   " s; is the file system there?",
			   file ? file : "a file", MAX(waited, ms) / 1000);
}

/*
 * For how many ms this job has waited for one file, its own or that of the running job. The jobs of
 * a shared lane may wait long in all although each file answers. The file of a given-up job does
 * not answer, so its whole time counts for this job.
 */
static gint64
waited_for(struct lane_job *job)
{
	struct lane_job *running = job->lane->running;
	gint64 own, before;
	g_free(file_of(job, &own));
	if (!running || running == job)
		return own;
	g_free(file_of(running, &before));
	return g_atomic_int_get(&running->given_up) ? before : MIN(own, before);
}

/* The work may have gone on to another file, which has its own limit. */
static void
on_limit(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct lane_job *job = watcher->data;
	gint64 waited = waited_for(job);
	if (waited < job->limit) {
		timer_set(job, job->limit - waited);
		return;
	}
	gboolean runs = job == job->lane->running;
	g_autoptr(GError) late = late_error(job->lane, waited);
	lane_done_fn done = job->done;
	give_up(job);
	if (!runs)
		g_queue_remove(&job->lane->waiting, job);
	done(job->data, late);
	if (!runs)
		job_free(job);
}

struct lane *
lane_new(struct tasks *tasks)
{
	struct lane *lane = g_new0(struct lane, 1);
	lane->tasks = tasks;
	g_queue_init(&lane->waiting);
	return lane;
}

void
lane_free(struct lane *lane)
{
	if (!lane)
		return;
	g_queue_clear_full(&lane->waiting, (GDestroyNotify)job_free);
	if (!lane->running) {
		g_free(lane);
		return;
	}
	lane->closed = TRUE;
	lane_forget(lane->running);
}

struct lane_job *
lane_run(struct lane *lane, gint64 limit, task_fn fn, lane_done_fn done, GDestroyNotify destroy,
	 void *data)
{
	struct lane_job *job = g_new0(struct lane_job, 1);
	*job = (struct lane_job){.lane = lane,
				 .loop = tasks_loop(lane->tasks),
				 .work = fn,
				 .done = done,
				 .destroy = destroy,
				 .data = data,
				 .limit = limit,
				 .since = g_get_monotonic_time()};
	g_mutex_init(&job->lock);
	ev_timer_init(&job->timer, on_limit, 0, 0);
	job->timer.data = job;
	g_queue_push_tail(&lane->waiting, job);
	start_next(lane);
	if (done)
		timer_set(job, MAX(0, limit - waited_for(job)));
	return job;
}

void
lane_forget(struct lane_job *job)
{
	if (!job)
		return;
	give_up(job);
	if (job != job->lane->running && g_queue_remove(&job->lane->waiting, job))
		job_free(job);
}

gboolean
lane_busy(const struct lane *lane)
{
	return lane->running != NULL;
}

char *
lane_waits_for(const struct lane *lane)
{
	gint64 ms = 0;
	g_autofree char *file = lane->running ? file_of(lane->running, &ms) : NULL;
	return file && ms >= LANE_SLOW
		   ? g_strdup_printf("%s, which has not answered for %" G_GINT64_FORMAT " s", file,
				     ms / 1000)
		   : NULL;
}
