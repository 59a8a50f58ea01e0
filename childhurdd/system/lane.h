/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work on files that may never answer: a dead file server may hold the thread that opens an image
 * on it for any time.
 *
 * A lane does one job at a time, in a worker, in the order in which the jobs were given. So a guest
 * with a lane of its own keeps one worker busy at most, and two of its jobs never run together.
 * Each job has a limit. When it passes, the lane reports to the loop which file does not answer,
 * and the worker is left alone until the file answers.
 */
#ifndef CHILDHURDD_SYSTEM_LANE_H
#define CHILDHURDD_SYSTEM_LANE_H

#include "childhurdd/system/tasks.h"

#define LANE_SLOW 2000 /* ms that a file may take before lane_waits_for mentions it */

struct lane;
struct lane_job;
/* late NULL: the work is done. Otherwise it still runs and uses data, so done may only read what
 * the work does not change; late names the file that does not answer. */
typedef void (*lane_done_fn)(void *data, const GError *late);

/* tasks is borrowed, and must have a thread for each lane (tasks_new). */
struct lane *lane_new(struct tasks *tasks);
/* Drop the jobs that wait, and report nothing any more. A busy worker ends in its own time. NULL is
 * allowed. */
void lane_free(struct lane *lane);

/*
 * Run work(data) in a worker once all earlier jobs of the lane have ended. Then, unless the job was
 * forgotten, done(data, NULL) is called on the loop. done may be NULL; then there is no limit.
 * destroy(data) follows on the loop when the work has ended or will never begin. limit: ms for each
 * file that the work, or the work before it in the lane, names with lane_touch. The handle is valid
 * until done is called.
 */
struct lane_job *lane_run(struct lane *lane, gint64 limit, task_fn work, lane_done_fn done,
			  GDestroyNotify destroy, void *data);
void lane_forget(struct lane_job *job); /* NULL is allowed */

/* In work: note the file that is touched next, "image /a/b". Elsewhere this does nothing, so a
 * function that touches files can be called from anywhere. */
void lane_touch(const char *what, const char *file);
/* In work: note that the file has answered and is touched again. */
void lane_goes_on(void);
/* In work: is it late or forgotten? Then it must not change anything any more. */
gboolean lane_given_up(void);

/* Is a worker busy, even with a job that was given up? */
gboolean lane_busy(const struct lane *lane);
/* The file that the lane has waited for longer than LANE_SLOW, and for how long: "image /a/b, which
 * has not answered for 7 s"; NULL: none. Caller frees. */
char *lane_waits_for(const struct lane *lane);

#endif
