/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A lane of its own does everything that touches the file, in order: a disk that hangs delays only
 * the daemon's end, METRICS_FILE_LIMIT at most, and a removal follows the write before it. The key
 * may name any file by mistake, so only a file that is empty or begins like ours is replaced or
 * removed.
 */
#include "childhurdd/hird/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/system/lane.h"
#include "config/base/atomic_file.h"
#include "config/base/guarded.h"

struct metrics_file {
	struct ev_loop *loop;
	struct tasks *tasks;
	struct lane *lane;
	double period;
	char *(*text)(void *data);
	void *data;
	char *path; /* NULL: none */
	ev_timer timer;
	struct lane_job *job; /* NULL: no write is under way */
	guint removing;	      /* files that are being removed */
	gboolean late;	      /* the last write did not end in time */
	char *complaint;      /* the last error reported for this path; NULL: none */
};

struct writing {
	struct metrics_file *file;
	char *path, *text;
	GError *error;
};

/* Does the file begin like ours, or is it empty? */
static gboolean
is_ours(const char *path)
{
	char start[sizeof METRICS_FILE_MARK - 1];
	struct stat st;
	g_autofree char *above = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	g_auto(guarded) folder = {.fd = -1};
	if (!guarded_open(above, &folder, NULL))
		return FALSE;
	guarded_enter(&folder);
	int fd = openat(folder.fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	guarded_leave(&folder);
	if (fd < 0)
		return FALSE;
	gboolean ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t n = ours ? read(fd, start, sizeof start) : -1;
	close(fd);
	return n == 0 || (n == sizeof start && !memcmp(start, METRICS_FILE_MARK, sizeof start));
}

gboolean
metrics_file_possible(const char *path, GError **error)
{
	struct stat st;
	g_autofree char *folder = g_path_get_dirname(path);
	if (access(folder, W_OK | X_OK) < 0) {
		int why = errno;
		g_set_error(
		    error, G_IO_ERROR, (gint)g_io_error_from_errno(why), "%s: its folder: %s; %s",
		    path, g_strerror(why),
		    why == ENOENT ? "create it, and let the daemon's user write there"
		    : why == EROFS
			? "if that is systemd's sandbox, ReadWritePaths= in a drop-in opens it"
			: "let the daemon's user write there");
		return FALSE;
	}
	if (lstat(path, &st) < 0 || is_ours(path))
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
		    "%s: exists and does not have childhurd's metrics; name another file, or "
		    "remove this one",
		    path);
	return FALSE;
}

static void
writing_work(void *data)
{
	struct writing *w = data;
	lane_touch("metrics-file", w->path);
	if (metrics_file_possible(w->path, &w->error))
		atomic_file_write(w->path, w->text, -1, 0644, &w->error);
}

static void
writing_done(void *data, const GError *late)
{
	const struct writing *w = data;
	struct metrics_file *file = w->file;
	const GError *error = late ? late : w->error;
	/* the message of a late file has a new number each time, so it cannot be compared */
	gboolean again = late ? file->late : error && !g_strcmp0(error->message, file->complaint);
	file->job = NULL;
	file->late = late != NULL;
	if (error && !again)
		g_warning("metrics-file: %s (tried again every %g s, and not reported again)",
			  error->message, file->period);
	else if (!error && file->complaint)
		g_message("metrics-file: %s is written again", w->path);
	g_free(file->complaint);
	file->complaint = error ? g_strdup(error->message) : NULL;
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
	if (file->job)
		return;
	struct writing *w = g_new0(struct writing, 1);
	w->file = file;
	w->path = g_strdup(file->path);
	w->text = file->text(file->data);
	file->job =
	    lane_run(file->lane, METRICS_FILE_LIMIT, writing_work, writing_done, writing_free, w);
}

static void
removing_work(void *data)
{
	const struct writing *w = data;
	lane_touch("metrics-file", w->path);
	if (is_ours(w->path))
		guarded_unlink(w->path);
	atomic_file_tidy(w->path);
}

static void
removing_done(void *data, const GError *late)
{
	const struct writing *w = data;
	w->file->removing--;
	if (late)
		g_warning("metrics-file: %s; it is not removed", late->message);
}

/* Takes over path. */
static void
remove_file(struct metrics_file *file, char *path)
{
	struct writing *w = g_new0(struct writing, 1);
	w->file = file;
	w->path = path;
	file->removing++;
	lane_run(file->lane, METRICS_FILE_LIMIT, removing_work, removing_done, writing_free, w);
}

struct metrics_file *
metrics_file_new(struct ev_loop *loop, double period, char *(*text)(void *data), void *data)
{
	struct metrics_file *file = g_new0(struct metrics_file, 1);
	file->loop = loop;
	file->tasks = tasks_new(loop, 1);
	file->lane = lane_new(file->tasks);
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
	ev_timer_stop(file->loop, &file->timer);
	g_clear_pointer(&file->job, lane_forget);
	if (file->path)
		remove_file(file, file->path);
	file->path = g_strdup(path);
	g_clear_pointer(&file->complaint, g_free);
	file->late = FALSE;
	if (!path)
		return;
	ev_timer_set(&file->timer, 0, file->period);
	ev_timer_start(file->loop, &file->timer);
}

const char *
metrics_file_complaint(const struct metrics_file *file)
{
	return file->complaint;
}

void
metrics_file_free(struct metrics_file *file)
{
	if (!file)
		return;
	metrics_file_set(file, NULL);
	while (file->removing)
		ev_run(file->loop, EVRUN_ONCE);
	gboolean stuck = lane_busy(file->lane);
	lane_free(file->lane);
	if (!stuck) /* else its worker runs until the process ends */
		tasks_finish(file->tasks);
	g_free(file);
}
