/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work that blocks (libvirt, large files) in worker threads, and its end on the event loop.
 */
#ifndef CHILDHURDD_SYSTEM_TASKS_H
#define CHILDHURDD_SYSTEM_TASKS_H

#include <ev.h>
#include <glib.h>

struct tasks;
struct task;
typedef void (*task_fn)(void *data);

/* workers: how many run at a time; a further one waits for its turn. -1: any number. */
struct tasks *tasks_new(struct ev_loop *loop, int workers);
struct ev_loop *tasks_loop(const struct tasks *tasks);
/* Do the work that is queued, wait for it, and free. */
void tasks_finish(struct tasks *tasks);

/*
 * work(data) in a worker, then done(data) on the loop unless forgotten before, then destroy(data)
 * on the loop. The handle is valid until done is called.
 */
struct task *task_run(struct tasks *tasks, task_fn work, task_fn done, GDestroyNotify destroy,
		      void *data);
void task_forget(struct task *task); /* NULL is allowed */

/* From any thread: call fn(data), then destroy(data), on the loop. Calls of one thread keep their
 * order. */
void tasks_post(struct tasks *tasks, task_fn fn, GDestroyNotify destroy, void *data);

#endif
