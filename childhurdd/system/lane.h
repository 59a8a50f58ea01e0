/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work on files that may never come back: an image on a file server that is away keeps the thread
 * that opens it for as long as it likes.
 *
 * A lane does one piece of work at a time, in a worker, and in the order in which it was given. So
 * whoever has a lane of its own takes one worker at most, and two pieces of its work never meet.
 * Each piece has a limit: when it passes, the loop is told which file does not answer, and the
 * worker is left to itself until the file does.
 */
#ifndef CHILDHURDD_SYSTEM_LANE_H
#define CHILDHURDD_SYSTEM_LANE_H

#include "childhurdd/system/tasks.h"

#define LANE_SLOW 2000 /* ms that a file may take before lane_waits_for mentions it */

struct lane;
struct lane_job;
/* late NULL: the work is done. Else it is not, may never be, and still uses data: done only reads
 * of data what the work does not change. late names the file that does not answer. */
typedef void (*lane_done_fn)(void *data, const GError *late);

/* tasks is borrowed, and has to have a thread for every lane (tasks_new). */
struct lane *lane_new(struct tasks *tasks);
/* What waits is dropped, and nothing is reported any more; a worker that is busy ends as it may.
 * NULL is allowed. */
void lane_free(struct lane *lane);

/*
 * work(data) in a worker, when all that the lane was given before has ended; then, unless it was
 * forgotten, done(data, NULL) on the loop; done may be NULL, and then there is no limit.
 * destroy(data) follows on the loop when the work has ended or will never begin. limit: ms for each
 * file that the work, or the work before it in the lane, names with lane_touch. The handle is valid
 * until done is called.
 */
struct lane_job *lane_run(struct lane *lane, gint64 limit, task_fn work, lane_done_fn done,
			  GDestroyNotify destroy, void *data);
void lane_forget(struct lane_job *job); /* NULL is allowed */

/* Within work: this file is touched next, "image /a/b". Elsewhere it does nothing, so that what
 * works on files need not know who calls it. */
void lane_touch(const char *what, const char *file);
/* The same file has answered, and is touched again. */
void lane_goes_on(void);
/* Nobody waits for this work any more: it is late, or was forgotten, and changes nothing now. */
gboolean lane_given_up(void);

/* Is a worker at its work, wanted or not? */
gboolean lane_busy(const struct lane *lane);
/* The file that the lane has waited for longer than LANE_SLOW, with the time: "image /a/b, which
 * has not answered for 7 s"; NULL: none. Caller frees. */
char *lane_waits_for(const struct lane *lane);

#endif
