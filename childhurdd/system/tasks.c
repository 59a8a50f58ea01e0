/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A GThreadPool does the work, a queue and an ev_async report its end. A task belongs to a worker
 * until it is in the queue, then to the loop. Only `forgotten` always belongs to the loop.
 */
#include "childhurdd/system/tasks.h"

#define TASKS_RETRY 1.0 /* s between two tries to start a thread */

struct tasks {
	struct ev_loop *loop;
	ev_async wake;
	GThreadPool *pool;
	int workers;
	ev_timer lack; /* no thread could be started: the next try */
	GAsyncQueue *ended;
};

struct task {
	struct tasks *tasks;
	task_fn work, done;
	GDestroyNotify destroy;
	void *data;
	gboolean forgotten;
};

static void
push_ended(struct tasks *tasks, struct task *task)
{
	g_async_queue_push(tasks->ended, task);
	ev_async_send(tasks->loop, &tasks->wake);
}

static void
work(void *data, void *pool_data)
{
	struct task *task = data;
	task->work(task->data);
	push_ended(task->tasks, task);
}

static void
on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
	struct tasks *tasks = w->data;
	struct task *task;
	while ((task = g_async_queue_try_pop(tasks->ended))) {
		if (!task->forgotten)
			task->done(task->data);
		if (task->destroy)
			task->destroy(task->data);
		g_free(task);
	}
}

/* Start a thread for each task that waits, up to the number of workers. */
static void
on_lack(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct tasks *tasks = w->data;
	if (g_thread_pool_unprocessed(tasks->pool) &&
	    !g_thread_pool_set_max_threads(tasks->pool, tasks->workers, NULL))
		return;
	ev_timer_stop(loop, w);
}

struct tasks *
tasks_new(struct ev_loop *loop, int workers)
{
	struct tasks *tasks = g_new0(struct tasks, 1);
	tasks->loop = loop;
	tasks->ended = g_async_queue_new();
	tasks->workers = workers;
	tasks->pool = g_thread_pool_new(work, NULL, workers, FALSE, NULL);
	ev_timer_init(&tasks->lack, on_lack, 0, TASKS_RETRY);
	tasks->lack.data = tasks;
	ev_async_init(&tasks->wake, on_wake);
	tasks->wake.data = tasks;
	ev_async_start(loop, &tasks->wake);
	return tasks;
}

struct ev_loop *
tasks_loop(const struct tasks *tasks)
{
	return tasks->loop;
}

void
tasks_finish(struct tasks *tasks)
{
	ev_timer_stop(tasks->loop, &tasks->lack);
	g_thread_pool_free(tasks->pool, FALSE, TRUE);
	on_wake(tasks->loop, &tasks->wake, 0);
	ev_async_stop(tasks->loop, &tasks->wake);
	g_async_queue_unref(tasks->ended);
	g_free(tasks);
}

static struct task *
task_new(struct tasks *tasks, task_fn fn, task_fn done, GDestroyNotify destroy, void *data)
{
	struct task *task = g_new0(struct task, 1);
	task->tasks = tasks;
	task->work = fn;
	task->done = done;
	task->destroy = destroy;
	task->data = data;
	return task;
}

struct task *
task_run(struct tasks *tasks, task_fn fn, task_fn done, GDestroyNotify destroy, void *data)
{
	struct task *task = task_new(tasks, fn, done, destroy, data);
	if (!g_thread_pool_push(tasks->pool, task, NULL))
		ev_timer_again(tasks->loop, &tasks->lack);
	return task;
}

void
task_forget(struct task *task)
{
	if (task)
		task->forgotten = TRUE;
}

void
tasks_post(struct tasks *tasks, task_fn fn, GDestroyNotify destroy, void *data)
{
	push_ended(tasks, task_new(tasks, NULL, fn, destroy, data));
}
