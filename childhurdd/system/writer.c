/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thread, a queue to it, and a queue and an ev_async back to the loop. Files and their timers
 * belong to the loop. A job belongs to the thread until it is in the queue back. A file has at most
 * one job at a time, so an older text never replaces a newer one.
 */
#include "childhurdd/system/writer.h"

#include <string.h>

#include "config/base/atomic_file.h"

struct writer {
	struct ev_loop *loop;
	struct writer_setup setup;
	GHashTable *files; /* path → struct file: the unwritten files */
	guint busy, late;  /* the number of busy and of late ones */
	ev_async wake;
	/* shared with the thread; references: one of the loop, one of the thread */
	gatomicrefcount references;
	GThread *thread; /* NULL: not started yet */
	GAsyncQueue *todo, *tried;
};

struct waiter {
	guint64 number; /* of the text that it waits for */
	writer_fn done;
	void *data;
};

struct file {
	struct writer *writer;
	char *path, *text;  /* text: the newest */
	guint64 number;	    /* of that text, counted from 1 */
	gboolean busy;	    /* the thread has a job for it */
	gboolean late;	    /* and has had it for longer than the limit */
	gboolean forgotten; /* its text is no longer wanted */
	char *why;	    /* why it is not written; NULL: no try has failed */
	double delay;	    /* s until the next try, if the present one fails */
	ev_timer timer;	    /* busy: the limit; otherwise: the next try */
	GArray *waiters;    /* of struct waiter */
};

struct job {
	struct file *file; /* the loop's; NULL: tells the thread to end */
	char *path, *text;
	guint64 number;
	GError *error;
};

/* --- the thread --- */

static void
job_free(void *data)
{
	struct job *job = data;
	g_free(job->path);
	g_free(job->text);
	g_clear_error(&job->error);
	g_free(job);
}

static void
writer_unref(struct writer *writer)
{
	if (!g_atomic_ref_count_dec(&writer->references))
		return;
	g_async_queue_unref(writer->todo);
	g_async_queue_unref(writer->tried);
	g_free(writer);
}

static void *
work(void *data)
{
	struct writer *writer = data;
	for (;;) {
		struct job *job = g_async_queue_pop(writer->todo);
		if (!job->file) {
			job_free(job);
			break;
		}
		writer->setup.write(job->path, job->text, &job->error);
		g_async_queue_push(writer->tried, job);
		ev_async_send(writer->loop, &writer->wake);
	}
	writer_unref(writer);
	return NULL;
}

static gboolean
start_thread(struct writer *writer, GError **error)
{
	if (writer->thread)
		return TRUE;
	g_atomic_ref_count_inc(&writer->references);
	writer->thread = g_thread_try_new("writer", work, writer, error);
	if (!writer->thread)
		writer_unref(writer);
	return writer->thread != NULL;
}

/* --- one file --- */

static void
file_free(void *data)
{
	struct file *file = data;
	ev_timer_stop(file->writer->loop, &file->timer);
	g_array_unref(file->waiters);
	g_free(file->path);
	g_free(file->text);
	g_free(file->why);
	g_free(file);
}

static void
set_timer(struct file *file, double after)
{
	ev_timer_stop(file->writer->loop, &file->timer);
	ev_timer_set(&file->timer, after, 0);
	ev_timer_start(file->writer->loop, &file->timer);
}

/* Log what has changed. why NULL: the file is written. */
static void
note(struct file *file, const char *why)
{
	if (!why && file->why)
		g_message("%s: is written again", file->path);
	else if (why && g_strcmp0(file->why, why))
		g_warning("%s; tried again until it can be", why);
	g_free(file->why);
	file->why = g_strdup(why);
}

static char *
late_text(const struct file *file)
{
	return g_strdup_printf("%s: is not written yet: no answer from its file system within %g s",
			       file->path, file->writer->setup.limit);
}

static void
try_later(struct file *file)
{
	set_timer(file, file->delay);
	file->delay = MIN(2 * file->delay, file->writer->setup.longest);
}

/* Take out the waiters for the text of this number or an older one. */
static GArray *
take_waiters(struct file *file, guint64 number)
{
	GArray *taken = g_array_new(FALSE, FALSE, sizeof(struct waiter));
	for (guint i = file->waiters->len; i-- > 0;) {
		struct waiter waiter = g_array_index(file->waiters, struct waiter, i);
		if (waiter.number > number)
			continue;
		g_array_append_val(taken, waiter);
		g_array_remove_index(file->waiters, i);
	}
	return taken;
}

static void
answer(GArray *waiters, const char *why)
{
	for (guint i = 0; i < waiters->len; i++) {
		const struct waiter *waiter = &g_array_index(waiters, struct waiter, i);
		waiter->done(why, waiter->data);
	}
	g_array_unref(waiters);
}

static void
give(struct file *file)
{
	struct writer *writer = file->writer;
	g_autoptr(GError) error = NULL;
	if (!start_thread(writer, &error)) {
		g_autofree char *why =
		    g_strdup_printf("%s: cannot be written: %s", file->path, error->message);
		note(file, why);
		try_later(file);
		return;
	}
	struct job *job = g_new0(struct job, 1);
	job->file = file;
	job->path = g_strdup(file->path);
	job->text = g_strdup(file->text);
	job->number = file->number;
	file->busy = TRUE;
	writer->busy++;
	set_timer(file, writer->setup.limit);
	g_async_queue_push(writer->todo, job);
	/* cppcheck-suppress memleak; the queue has it */
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct file *file = timer->data;
	if (!file->busy) {
		give(file);
		return;
	}
	g_autofree char *why = late_text(file);
	file->late = TRUE;
	file->writer->late++;
	note(file, why);
	answer(take_waiters(file, file->number), why);
}

/* The thread has tried. */
static void
take(struct job *job)
{
	struct file *file = job->file;
	struct writer *writer = file->writer;
	const char *why = job->error ? job->error->message : NULL;
	gboolean newest = job->number == file->number;
	/* a forgotten file gets no newer text */
	GArray *waiters = take_waiters(file, file->forgotten ? file->number : job->number);
	writer->busy--;
	writer->late -= file->late;
	file->busy = file->late = FALSE;
	ev_timer_stop(writer->loop, &file->timer);
	note(file, why);
	if (!why)
		file->delay = writer->setup.retry;
	if (file->forgotten || (newest && !why))
		g_hash_table_remove(writer->files, file->path);
	else if (newest)
		try_later(file);
	else
		give(file);
	answer(waiters, why);
	job_free(job);
}

static void
on_wake(struct ev_loop *loop, ev_async *wake, int revents)
{
	struct writer *writer = wake->data;
	struct job *job;
	while ((job = g_async_queue_try_pop(writer->tried)))
		take(job);
}

/* --- the whole --- */

static gboolean
write_file(const char *path, const char *text, GError **error)
{
	return atomic_file_write(path, text, -1, 0600, error);
}

struct writer *
writer_new(struct ev_loop *loop, const struct writer_setup *setup)
{
	static const struct writer_setup real = {.write = write_file,
						 .retry = WRITER_RETRY,
						 .longest = WRITER_RETRY_LONGEST,
						 .limit = WRITER_LIMIT,
						 .end = WRITER_END_LIMIT};
	struct writer *writer = g_new0(struct writer, 1);
	writer->loop = loop;
	writer->setup = setup ? *setup : real;
	writer->files = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, file_free);
	g_atomic_ref_count_init(&writer->references);
	writer->todo = g_async_queue_new_full(job_free);
	writer->tried = g_async_queue_new_full(job_free);
	ev_async_init(&writer->wake, on_wake);
	writer->wake.data = writer;
	ev_async_start(loop, &writer->wake);
	return writer;
}

static void
wait_for_thread(struct writer *writer)
{
	gint64 until = g_get_monotonic_time() + (gint64)(writer->setup.end * G_USEC_PER_SEC);
	while (writer->busy) {
		gint64 left = MAX(0, until - g_get_monotonic_time());
		struct job *job = g_async_queue_timeout_pop(writer->tried, (guint64)left);
		if (!job)
			return;
		take(job);
	}
}

void
writer_finish(struct writer *writer)
{
	GHashTableIter iter;
	gpointer value;
	g_hash_table_iter_init(&iter, writer->files);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (!((struct file *)value)->busy)
			give(value);
	wait_for_thread(writer);
	g_hash_table_iter_init(&iter, writer->files);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct file *file = value;
		g_autofree char *late = late_text(file);
		g_warning("%s; given up, as the daemon ends", file->why ? file->why : late);
	}
	g_hash_table_unref(writer->files);
	ev_async_stop(writer->loop, &writer->wake);
	if (writer->thread) {
		g_async_queue_push(writer->todo, g_new0(struct job, 1));
		if (writer->busy)
			g_thread_unref(writer->thread);
		else
			g_thread_join(writer->thread);
	}
	writer_unref(writer);
}

void
writer_put(struct writer *writer, const char *path, char *text)
{
	struct file *file = g_hash_table_lookup(writer->files, path);
	if (!file) {
		file = g_new0(struct file, 1);
		file->writer = writer;
		file->path = g_strdup(path);
		file->delay = writer->setup.retry;
		file->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
		ev_init(&file->timer, on_timer);
		file->timer.data = file;
		g_hash_table_insert(writer->files, file->path, file);
	}
	g_free(file->text);
	file->text = text;
	file->number++;
	file->forgotten = FALSE;
	if (!file->busy)
		give(file);
}

void
writer_forget(struct writer *writer, const char *path)
{
	struct file *file = g_hash_table_lookup(writer->files, path);
	if (file && file->busy)
		file->forgotten = TRUE;
	else if (file)
		g_hash_table_remove(writer->files, path);
}

void
writer_wait(struct writer *writer, const char *path, writer_fn done, void *data)
{
	struct file *file = g_hash_table_lookup(writer->files, path);
	if (!file) {
		done(NULL, data);
	} else if (!file->busy) {
		done(file->why, data);
	} else if (writer->late) { /* it is unknown when those behind it will be tried */
		g_autofree char *why = late_text(file);
		done(why, data);
	} else {
		struct waiter waiter = {file->number, done, data};
		g_array_append_val(file->waiters, waiter);
	}
}

const char *
writer_why(const struct writer *writer, const char *path)
{
	const struct file *file = g_hash_table_lookup(writer->files, path);
	return file ? file->why : NULL;
}

char **
writer_all_whys(const struct writer *writer)
{
	g_autoptr(GList) paths =
	    g_list_sort(g_hash_table_get_keys(writer->files), (GCompareFunc)strcmp);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (const GList *l = paths; l; l = l->next) {
		const char *why = writer_why(writer, l->data);
		if (why)
			g_strv_builder_add(builder, why);
	}
	return g_strv_builder_end(builder);
}
