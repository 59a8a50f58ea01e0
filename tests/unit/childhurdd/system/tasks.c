/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/tasks.h"

struct job {
	struct ev_loop *loop;
	GThread *worked_in, *ended_in;
	int done, destroyed;
	int *order, *next, number;
};

static void
job_work(void *data)
{
	struct job *job = data;
	job->worked_in = g_thread_self();
}

static void
job_done(void *data)
{
	struct job *job = data;
	job->ended_in = g_thread_self();
	job->done++;
	if (job->order)
		job->order[(*job->next)++] = job->number;
}

static void
job_destroy(void *data)
{
	struct job *job = data;
	job->destroyed++;
	ev_break(job->loop, EVBREAK_ALL);
}

static void
test_run(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(loop, 4);
	struct job job = {.loop = loop};
	task_run(tasks, job_work, job_done, job_destroy, &job);
	ev_run(loop, 0);
	g_assert_cmpint(job.done, ==, 1);
	g_assert_cmpint(job.destroyed, ==, 1);
	g_assert_true(job.worked_in != g_thread_self());
	g_assert_true(job.ended_in == g_thread_self());
	tasks_finish(tasks);
	ev_loop_destroy(loop);
}

static void
test_forget(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(loop, 1);
	struct job job = {.loop = loop};
	task_forget(task_run(tasks, job_work, job_done, job_destroy, &job));
	task_forget(NULL);
	ev_run(loop, 0);
	g_assert_cmpint(job.done, ==, 0);
	g_assert_cmpint(job.destroyed, ==, 1);
	tasks_finish(tasks);
	ev_loop_destroy(loop);
}

static void *
post_all(void *data)
{
	struct job *jobs = data;
	for (int i = 0; i < 100; i++)
		tasks_post((struct tasks *)jobs[i].worked_in, job_done, NULL, &jobs[i]);
	return NULL;
}

static void
test_post(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(loop, 1);
	int order[100], next = 0;
	struct job jobs[100];
	for (int i = 0; i < 100; i++)
		jobs[i] = (struct job){.loop = loop,
				       .order = order,
				       .next = &next,
				       .number = i,
				       .worked_in = (GThread *)tasks};
	g_thread_join(g_thread_new("poster", post_all, jobs));
	tasks_finish(tasks);
	g_assert_cmpint(next, ==, 100);
	for (int i = 0; i < 100; i++)
		g_assert_cmpint(order[i], ==, i);
	ev_loop_destroy(loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tasks/work-is-done-in-a-worker-and-ends-on-the-loop", test_run);
	g_test_add_func("/tasks/a-forgotten-task-is-only-destroyed", test_forget);
	g_test_add_func("/tasks/posts-of-a-thread-keep-their-order", test_post);
	return g_test_run();
}
