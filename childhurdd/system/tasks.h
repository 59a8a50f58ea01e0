/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs work that blocks (libvirt, large files) in worker threads, and reports its end on the event
 * loop.
 */
#ifndef CHILDHURDD_SYSTEM_TASKS_H
#define CHILDHURDD_SYSTEM_TASKS_H

#include <ev.h>
#include <glib.h>

struct tasks;
struct task;
typedef void (*task_fn)(void *data);

/* workers: how many tasks run at a time; a further task waits for its turn. -1: any number. */
struct tasks *tasks_new(struct ev_loop *loop, int workers);
struct ev_loop *tasks_loop(const struct tasks *tasks);
/* Wait until all queued work is done, and free. */
void tasks_finish(struct tasks *tasks);

/*
 * Run work(data) in a worker, then, on the loop, done(data) unless the task was forgotten before,
 * and destroy(data). The handle is valid until done is called.
 */
struct task *task_run(struct tasks *tasks, task_fn work, task_fn done, GDestroyNotify destroy,
		      void *data);
void task_forget(struct task *task); /* NULL is allowed */

/* From any thread: have fn(data), then destroy(data), called on the loop. Calls from one thread
 * keep their order. */
void tasks_post(struct tasks *tasks, task_fn fn, GDestroyNotify destroy, void *data);

#endif
