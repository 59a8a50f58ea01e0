/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker writes, as there is an fsync in it; while one is at it, the next time is left out. */
#include "childhurdd/metrics_file.h"

#include <unistd.h>

#include "config/atomic_file.h"

struct metrics_file {
	struct ev_loop *loop;
	struct tasks *tasks;
	double period;
	char *(*text)(void *data);
	void *data;
	char *path; /* NULL: none */
	ev_timer timer;
	struct task *task;   /* NULL: none is writing */
	gboolean complained; /* of this path */
};

struct writing {
	struct metrics_file *file;
	char *path, *text;
	GError *error;
};

static void
writing_work(void *data)
{
	struct writing *w = data;
	atomic_file_write(w->path, w->text, -1, 0644, &w->error);
}

static void
writing_done(void *data)
{
	struct writing *w = data;
	struct metrics_file *file = w->file;
	file->task = NULL;
	if (g_strcmp0(w->path, file->path)) { /* it is to be elsewhere meanwhile */
		unlink(w->path);
		return;
	}
	if (w->error && !file->complained)
		g_warning("metrics-file: %s; tried again every %g s, and not said again",
			  w->error->message, file->period);
	else if (!w->error && file->complained)
		g_message("metrics-file: %s is written again", w->path);
	file->complained = w->error != NULL;
}

static void
writing_free(void *data)
{
	struct writing *w = data;
	g_free(w->path);
	g_free(w->text);
	g_clear_error(&w->error);
	g_free(w);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct metrics_file *file = timer->data;
	if (file->task)
		return;
	struct writing *w = g_new0(struct writing, 1);
	w->file = file;
	w->path = g_strdup(file->path);
	w->text = file->text(file->data);
	file->task = task_run(file->tasks, writing_work, writing_done, writing_free, w);
}

struct metrics_file *
metrics_file_new(struct ev_loop *loop, struct tasks *tasks, double period,
		 char *(*text)(void *data), void *data)
{
	struct metrics_file *file = g_new0(struct metrics_file, 1);
	file->loop = loop;
	file->tasks = tasks;
	file->period = period;
	file->text = text;
	file->data = data;
	ev_init(&file->timer, on_timer);
	file->timer.data = file;
	return file;
}

void
metrics_file_set(struct metrics_file *file, const char *path)
{
	if (g_strcmp0(path, file->path) == 0)
		return;
	if (file->path)
		unlink(file->path);
	ev_timer_stop(file->loop, &file->timer);
	g_free(file->path);
	file->path = g_strdup(path);
	file->complained = FALSE;
	if (!path)
		return;
	atomic_file_tidy(path);
	ev_timer_set(&file->timer, 0, file->period);
	ev_timer_start(file->loop, &file->timer);
}

void
metrics_file_free(struct metrics_file *file)
{
	if (!file)
		return;
	metrics_file_set(file, NULL);
	task_forget(file->task);
	g_free(file);
}
