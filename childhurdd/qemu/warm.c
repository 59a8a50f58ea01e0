/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A save goes by these steps, each begun by the end of the one before: look at the files (lane),
 * ask QEMU for its version, save, write the record (lane), drop the snapshot that the record no
 * longer names. Only the last may fail: the next save replaces what it leaves.
 */
#include "childhurdd/qemu/warm.h"

#include <string.h>
#include <unistd.h>

#include "childhurdd/system/process.h"
#include "config/base/free_space.h"
#include "config/base/io_error.h"
#include "config/base/lack.h"

/* The two names of a guest's snapshots. */
#define TAG_A "childhurd-a"
#define TAG_B "childhurd-b"

/* What a piece of work in the lane finds out; the worker's until it has ended. */
struct work {
	struct warm_job *job;
	struct warm_subject *subject; /* shared with other work of its job, which never overlaps */
	char *path;		      /* of the record */
	struct warm_record record;    /* as it was read, or to be written */
	struct warm_record now;
	gint64 changed; /* ns: see warm_record_look */
	pid_t qemu;	/* that runs; 0: none that is known */
	gboolean found;
	gboolean launch; /* QEMU is about to start from it */
	char *why;
	GError *error;
};

struct warm_job {
	struct warm_place place;
	struct warm_subject *subject;
	struct hypervisor_qemu qemu; /* its uuid is the job's */
	struct lane_job *work;
	struct hypervisor_call *call;
	ev_timer limit;
	struct warm_record record; /* to be written, loaded or compared */
	gboolean stay;
	gint64 began, took; /* ms */
	warm_found_fn found;
	warm_fn done;
	void *data;
};

static gint64
now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static struct warm_job *
job_new(const struct warm_place *place, const struct warm_spec *spec,
	const struct hypervisor_qemu *qemu, void *data)
{
	struct warm_job *job = g_new0(struct warm_job, 1);
	job->place = *place;
	job->subject = spec ? warm_subject_new(spec) : NULL;
	if (qemu) {
		job->qemu = *qemu;
		job->qemu.uuid = g_strdup(qemu->uuid);
	}
	job->data = data;
	ev_timer_init(&job->limit, NULL, 0, 0);
	job->limit.data = job;
	return job;
}

static void
subject_unref(struct warm_subject *subject)
{
	if (subject)
		g_rc_box_release_full(subject, warm_subject_clear);
}

void
warm_job_free(struct warm_job *job)
{
	if (!job)
		return;
	ev_timer_stop(job->place.loop, &job->limit);
	lane_forget(job->work);
	hypervisor_forget(job->call);
	subject_unref(job->subject);
	warm_record_clear(&job->record);
	g_free(job->qemu.uuid);
	g_free(job);
}

static void
finish(struct warm_job *job, const GError *error)
{
	ev_timer_stop(job->place.loop, &job->limit);
	job->done(job, error, job->took, job->data);
}

/* A call has ended. FALSE: with an error, and so has the job. */
static gboolean
call_ended(struct warm_job *job, const GError *error)
{
	job->call = NULL;
	if (error)
		finish(job, error);
	return !error;
}

/* --- files --- */

static void
work_free(void *data)
{
	struct work *work = data;
	subject_unref(work->subject);
	g_free(work->path);
	warm_record_clear(&work->record);
	warm_record_clear(&work->now);
	g_free(work->why);
	g_clear_error(&work->error);
	g_free(work);
}

static struct work *
work_new(struct warm_job *job, const char *overlay)
{
	struct work *work = g_new0(struct work, 1);
	work->job = job;
	work->subject = job->subject ? g_rc_box_acquire(job->subject) : NULL;
	work->path = warm_record_path(overlay);
	work->qemu = job->qemu.pid;
	return work;
}

static void
work_run(struct work *work, task_fn run, lane_done_fn done)
{
	work->job->work =
	    lane_run(work->job->place.lane, WARM_FILES_LIMIT, run, done, work_free, work);
}

/* Work has ended. FALSE: with an error, and so has its job. */
static gboolean
work_ended(struct work *work, const GError *late)
{
	const GError *error = late ? late : work->error;
	work->job->work = NULL;
	if (error)
		finish(work->job, error);
	return !error;
}

/* --- is there a state? --- */

static void
find_work(void *data)
{
	struct work *work = data;
	g_autoptr(GError) problem = NULL;
	lane_touch("warm state", work->path);
	gboolean there = warm_record_read(work->path, &work->record);
	if (!there && access(work->path, F_OK) == 0)
		work->why = g_strdup("its record is damaged");
	if (there && access(work->subject->overlay, F_OK) < 0)
		work->why = g_strdup("its disk is gone");
	else if (there && !warm_record_look(work->subject, &work->now, &work->changed, &problem))
		work->why = g_strdup(problem->message);
	else if (there)
		work->found = warm_fits(&work->record, &work->now, &work->why);
	lane_touch("warm state", work->path);
	if (work->why && !lane_given_up())
		warm_record_remove(work->path, &work->error);
}

static void
find_done(void *data, const GError *late)
{
	struct work *work = data;
	struct warm_job *job = work->job;
	job->work = NULL;
	if (late) /* a start that boots touches the same files, and says so */
		job->found(job, NULL, late->message, job->data);
	else
		job->found(job, work->found ? &work->record : NULL, work->why, job->data);
}

struct warm_job *
warm_find(const struct warm_place *place, const struct warm_spec *spec, warm_found_fn done,
	  void *data)
{
	struct warm_job *job = job_new(place, spec, NULL, data);
	job->found = done;
	work_run(work_new(job, spec->domain->disk), find_work, find_done);
	return job;
}

/* --- QEMU --- */

static void
on_limit(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct warm_job *job = watcher->data;
	g_autoptr(GError) error = g_error_new(HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR,
					      "QEMU has not done it within %.0f s",
					      (double)(now_ms() - job->began) / 1000);
	hypervisor_forget(job->call);
	job->call = NULL;
	finish(job, error);
}

static void
limit_start(struct warm_job *job, gint64 limit)
{
	job->began = now_ms();
	ev_timer_init(&job->limit, on_limit, (double)limit / 1000, 0);
	ev_timer_start(job->place.loop, &job->limit);
}

/* "7.2.22Debian 1:7.2+dfsg-7+deb12u18": the package's, too. */
static char *
version_of(const struct hypervisor_result *result)
{
	return g_strstrip(g_strdup(result->text ? result->text : ""));
}

/* --- a save --- */

static void
on_dropped(const struct hypervisor_result *result, void *data)
{
	struct warm_job *job = data;
	job->call = NULL;
	if (result->error)
		g_debug("an old warm state is not dropped: %s", result->error->message);
	finish(job, NULL);
}

static void
record_work(void *data)
{
	struct work *work = data;
	lane_touch("warm state", work->path);
	if (!lane_given_up())
		warm_record_write(work->path, &work->record, &work->error);
}

static void
record_done(void *data, const GError *late)
{
	struct work *work = data;
	struct warm_job *job = work->job;
	if (!work_ended(work, late))
		return;
	const char *old = strcmp(job->record.tag, TAG_A) ? TAG_A : TAG_B;
	job->call = hypervisor_drop(job->place.hypervisor, &job->qemu, old, on_dropped, job);
}

static void
on_saved(const struct hypervisor_result *result, void *data)
{
	struct warm_job *job = data;
	job->took = now_ms() - job->began;
	if (!call_ended(job, result->error))
		return;
	struct work *work = work_new(job, job->subject->overlay);
	job->record.saved = g_get_real_time() / G_USEC_PER_SEC;
	warm_record_copy(&work->record, &job->record);
	work_run(work, record_work, record_done);
}

static void
on_version(const struct hypervisor_result *result, void *data)
{
	struct warm_job *job = data;
	if (!call_ended(job, result->error))
		return;
	job->record.facts[WARM_QEMU] = version_of(result);
	job->began = now_ms();
	job->call = hypervisor_save(job->place.hypervisor, &job->qemu, job->record.tag, job->stay,
				    on_saved, job);
}

static gint64
ns(const struct timespec *time)
{
	return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

/*
 * ns since 1970: a file that was changed after the process started has a later time; 0: unknown.
 * The start is known to a clock tick, rounded down. The kernel gives files the time of its last
 * timer interrupt, and this thread may be held up between the two clocks: both may make the result
 * earlier than the start, never later.
 */
static gint64
started(pid_t pid)
{
	struct process_look look;
	struct timespec now, up, interrupts;
	if (!pid || !process_look(pid, &look) || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &up) < 0 ||
	    clock_getres(CLOCK_REALTIME_COARSE, &interrupts) < 0)
		return 0;
	gint64 tick = G_GINT64_CONSTANT(1000000000) / sysconf(_SC_CLK_TCK);
	return ns(&now) - (ns(&up) - look.start * tick) - ns(&interrupts) - 1;
}

/*
 * A save that fails for want of room leaves the disk as large as the room allowed, until QEMU
 * writes something else there: every guest in that file system would stand still. A state is at
 * most what the guest has touched of its memory; the old one stays until the new one is whole.
 */
static gboolean
has_room(const struct work *work, GError **error)
{
	int statm = work->qemu ? process_statm(work->qemu) : -1;
	gint64 used = statm < 0 ? 0 : process_memory(statm), needed = work->subject->memory;
	if (statm >= 0)
		close(statm);
	if (used > 0)
		needed = MIN(needed, used);
	lane_touch("disk", work->subject->overlay);
	gint64 free = free_space(work->subject->overlay);
	if (free < 0)
		return io_error(error, work->subject->overlay, NULL);
	if (free >= needed)
		return TRUE;
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR,
		    "%s: no room for a warm state: it may take %" G_GINT64_FORMAT
		    " MiB, and %" G_GINT64_FORMAT " are free",
		    work->subject->overlay, needed >> 20, free >> 20);
	return FALSE;
}

static void
look_work(void *data)
{
	struct work *work = data;
	lane_touch("warm state", work->path);
	warm_record_read(work->path, &work->record);
	if (!warm_record_look(work->subject, &work->now, &work->changed, &work->error) ||
	    !has_room(work, &work->error))
		return;
	gint64 since = started(work->qemu);
	if (!since || work->changed > since)
		g_set_error(&work->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR,
			    since ? "its image, kernel or emulator has changed since its QEMU "
				    "started; after the next boot it is saved"
				  : "nobody knows when its QEMU started");
}

static void
look_done(void *data, const GError *late)
{
	struct work *work = data;
	struct warm_job *job = work->job;
	if (!work_ended(work, late))
		return;
	gboolean other = !g_strcmp0(work->record.tag, TAG_A);
	job->record = work->now;
	work->now = (struct warm_record){0};
	job->record.tag = g_strdup(other ? TAG_B : TAG_A);
	limit_start(job, WARM_SAVE_LIMIT);
	job->call =
	    hypervisor_monitor(job->place.hypervisor, &job->qemu, "info version", on_version, job);
}

struct warm_job *
warm_save(const struct warm_place *place, const struct warm_spec *spec,
	  const struct hypervisor_qemu *qemu, gboolean stay, warm_fn done, void *data)
{
	struct warm_job *job = job_new(place, spec, qemu, data);
	job->stay = stay;
	job->done = done;
	work_run(work_new(job, spec->domain->disk), look_work, look_done);
	return job;
}

/* --- a load, and a proof --- */

static void
on_loaded(const struct hypervisor_result *result, void *data)
{
	struct warm_job *job = data;
	job->took = now_ms() - job->began;
	if (call_ended(job, result->error))
		finish(job, NULL);
}

struct warm_job *
warm_load(const struct warm_place *place, const struct hypervisor_qemu *qemu,
	  const struct warm_record *record, warm_fn done, void *data)
{
	struct warm_job *job = job_new(place, NULL, qemu, data);
	job->done = done;
	limit_start(job, WARM_LOAD_LIMIT);
	job->call = hypervisor_load(place->hypervisor, &job->qemu, record->tag, on_loaded, job);
	return job;
}

static void
on_proven(const struct hypervisor_result *result, void *data)
{
	struct warm_job *job = data;
	struct warm_record now = {0};
	g_autofree char *why = NULL;
	g_autoptr(GError) error = NULL;
	if (!call_ended(job, result->error))
		return;
	now.facts[WARM_QEMU] = version_of(result);
	if (!warm_fits(&job->record, &now, &why))
		g_set_error_literal(&error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR, why);
	warm_record_clear(&now);
	finish(job, error);
}

struct warm_job *
warm_prove(const struct warm_place *place, const struct hypervisor_qemu *qemu,
	   const struct warm_record *record, warm_fn done, void *data)
{
	struct warm_job *job = job_new(place, NULL, qemu, data);
	job->done = done;
	job->record.facts[WARM_QEMU] = g_strdup(record->facts[WARM_QEMU]);
	limit_start(job, WARM_LOAD_LIMIT);
	job->call =
	    hypervisor_monitor(place->hypervisor, &job->qemu, "info version", on_proven, job);
	return job;
}

/* --- no state any more --- */

static void
consume_work(void *data)
{
	struct work *work = data;
	lane_touch("warm state", work->path);
	g_autofree char *folder = g_path_get_dirname(work->path);
	g_autofree char *lack = work->launch ? lack_now(folder) : NULL;
	if (lack)
		g_set_error_literal(&work->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR, lack);
	else if (!lane_given_up())
		warm_record_remove(work->path, &work->error);
}

static void
consume_done(void *data, const GError *late)
{
	struct work *work = data;
	struct warm_job *job = work->job;
	if (work_ended(work, late))
		finish(job, NULL);
}

struct warm_job *
warm_consume(const struct warm_place *place, const char *overlay, gboolean launch, warm_fn done,
	     void *data)
{
	struct warm_job *job = job_new(place, NULL, NULL, data);
	struct work *work = work_new(job, overlay);
	job->done = done;
	work->launch = launch;
	work_run(work, consume_work, consume_done);
	return job;
}
