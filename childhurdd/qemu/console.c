/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Follows a guest's console.
 *
 * QEMU writes the serial port's output byte by byte, so the file changes thousands of times while a
 * guest boots. ev_stat (inotify) only ends a rest. Then it is stopped, and the file is read every
 * SETTLE seconds until nothing comes any more. So an idle guest costs nothing, and one that floods
 * its console a limited number of reads.
 *
 * An unfinished line is judged when the console has been quiet for CONSOLE_POLL ms: Mach's debugger
 * waits at its prompt, and a panic may stop in the middle of a line.
 *
 * The file is rotated while QEMU holds it open (log_rotate.c), and opened anew for each read: the
 * daemon holds no descriptor of it.
 *
 * What a guest writes never reaches a terminal as it is: see text_shown.
 */
#include "childhurdd/qemu/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/system/log_rotate.h"
#include "config/base/growing_file.h"
#include "config/base/lack.h"
#include "config/base/text.h"

#define SETTLE	      0.05 /* s between two reads while output comes */
#define QUIET_ROUNDS  ((int)(CONSOLE_POLL / 1000.0 / SETTLE))
#define READ_SIZE     (16 * 1024)
#define ROUND_MAX     (256 * 1024) /* bytes read in one round, so that no guest keeps the loop busy */
#define MS_PER_SECOND 1000.0

struct console {
	struct ev_loop *loop;
	struct growing_file file;
	GString *line;		   /* the unfinished line, at most CONSOLE_LINE_MAX bytes */
	enum console_meaning told; /* what was reported of the unfinished line */
	GQueue tail;		   /* of char *, through text_shown */
	gint64 rotate_at;
	gint64 heard;	 /* monotonic ms of the last byte */
	int quiet;	 /* rounds without a byte */
	gboolean muted;	 /* report nothing: what is read is old */
	gboolean missed; /* the file could not be opened, because the host lacks something */
	struct ev_stat changed;
	struct ev_timer settle;
	console_fn fn;
	void *data;
};

/* Report the line in console->line, unless it was reported while it was unfinished. */
static void
line_tell(struct console *console, const char *text)
{
	const char *explanation;
	enum console_meaning meaning = console_meaning(text, &explanation);

	if (meaning == CONSOLE_NOTHING || meaning == console->told || console->muted)
		return;
	console->told = meaning;
	console->fn(console, meaning, text, explanation, console->data);
}

static void
line_end(struct console *console)
{
	g_autofree char *text = text_shown(console->line->str, console->line->len);

	line_tell(console, text);
	g_queue_push_tail(&console->tail, g_steal_pointer(&text));
	if (console->tail.length > CONSOLE_TAIL_LINES)
		g_free(g_queue_pop_head(&console->tail));
	g_string_truncate(console->line, 0);
	console->told = CONSOLE_NOTHING;
}

static void
bytes_take(struct console *console, const char *bytes, gsize length)
{
	const char *end = bytes + length;

	while (bytes < end) {
		const char *stop = memchr(bytes, '\n', (gsize)(end - bytes));
		gsize part = (gsize)((stop ? stop : end) - bytes);
		gsize room = CONSOLE_LINE_MAX - console->line->len;

		g_string_append_len(console->line, bytes, (gssize)MIN(part, room));
		if (stop)
			line_end(console);
		bytes += part + (stop != NULL);
	}
}

/* The file is another one, or was truncated: begin at its start. */
static void
begin_anew(struct console *console)
{
	if (console->line->len > 0)
		line_end(console);
	console->rotate_at = CONSOLE_ROTATE_SIZE;
}

/* Read on in the file, at most max bytes. Returns how many. */
static gint64
file_read(struct console *console, struct growing_file *file, gint64 max)
{
	char buffer[READ_SIZE];
	gint64 total = 0;

	while (total < max) {
		gboolean anew;
		gsize want = (gsize)MIN(max - total, READ_SIZE);
		gsize got = growing_file_read(file, buffer, want, &anew);

		if (anew)
			begin_anew(console);
		if (got == 0)
			break;
		if (total == 0 && !console->muted)
			console->fn(console, CONSOLE_NOTHING, NULL, NULL, console->data);
		console->heard = g_get_monotonic_time() / 1000;
		total += (gint64)got;
		bytes_take(console, buffer, got);
	}
	return total;
}

/* Rotate the file, which has grown too large. What came between the last read and the rotation is
 * read from the copy. */
static void
rotate(struct console *console)
{
	g_autofree char *path = g_strconcat(console->file.path, ".1", NULL);
	g_autoptr(GError) error = NULL;
	struct growing_file copy;
	gint64 ahead;

	console->rotate_at =
	    console->file.offset + CONSOLE_ROTATE_SIZE; /* not at once again if this fails */
	if (!log_rotate(console->file.path, CONSOLE_ROTATE_SIZE, CONSOLE_ROTATED, &ahead, &error)) {
		g_warning("%s; the console is not rotated", error->message);
		return;
	}
	growing_file_init(&copy, path, FALSE, FALSE);
	copy.offset = MAX(console->file.offset - ahead, 0);
	file_read(console, &copy, CONSOLE_COPY_MAX);
	growing_file_clear(&copy);
	console->file.offset = 0;
	console->rotate_at = CONSOLE_ROTATE_SIZE;
}

static gint64
round_read(struct console *console)
{
	gint64 got = file_read(console, &console->file, ROUND_MAX);

	console->missed = lack_is(console->file.problem);
	if (console->file.offset > console->rotate_at)
		rotate(console);
	return got;
}

static void
partial_tell(struct console *console)
{
	g_autofree char *text = text_shown(console->line->str, console->line->len);

	line_tell(console, text);
}

static void
settle_start(struct console *console, double after)
{
	ev_timer_stop(console->loop, &console->settle);
	ev_timer_set(&console->settle, after, SETTLE);
	ev_timer_start(console->loop, &console->settle);
}

/* While awake: read until the console is quiet, then rest. */
static void
console_settle(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	struct console *console = watcher->data;

	if (round_read(console) > 0) {
		console->quiet = 0;
		return;
	}
	if (console->missed) {
		settle_start(console, CONSOLE_POLL / MS_PER_SECOND);
		return;
	}
	if (console->line->len > 0 && ++console->quiet < QUIET_ROUNDS)
		return;
	if (console->line->len > 0)
		partial_tell(console);
	ev_timer_stop(loop, watcher);
	ev_stat_start(loop, &console->changed);
	if (round_read(console) > 0) { /* it came just before the file was watched again */
		ev_stat_stop(loop, &console->changed);
		console->quiet = 0;
		settle_start(console, SETTLE);
	}
}

static void
console_changed(struct ev_loop *loop, struct ev_stat *watcher, int revents)
{
	struct console *console = watcher->data;

	ev_stat_stop(loop, watcher);
	console->quiet = 0;
	settle_start(console, SETTLE);
}

struct console *
console_new(struct ev_loop *loop, const char *path, gboolean from_start, console_fn fn, void *data)
{
	struct console *console = g_new0(struct console, 1);

	console->loop = loop;
	growing_file_init(&console->file, path, !from_start, FALSE);
	console->line = g_string_new(NULL);
	console->fn = fn;
	console->data = data;
	console->rotate_at = CONSOLE_ROTATE_SIZE;
	g_queue_init(&console->tail);
	console->changed.data = console->settle.data = console;
	ev_stat_init(&console->changed, console_changed, console->file.path,
		     CONSOLE_POLL / MS_PER_SECOND);
	ev_timer_init(&console->settle, console_settle, 0., SETTLE);
	ev_timer_start(loop, &console->settle);
	return console;
}

void
console_free(struct console *console)
{
	if (!console)
		return;
	ev_stat_stop(console->loop, &console->changed);
	ev_timer_stop(console->loop, &console->settle);
	g_queue_clear_full(&console->tail, g_free);
	g_string_free(console->line, TRUE);
	growing_file_clear(&console->file);
	g_free(console);
}

void
console_drain(struct console *console)
{
	/* read by rounds, because the file may be rotated between two of them; the limit is for a
	 * QEMU that writes as fast as the daemon reads */
	for (gint64 total = 0, got = 1; got > 0 && total <= CONSOLE_ROTATE_SIZE; total += got)
		got = round_read(console);
	if (console->line->len > 0)
		partial_tell(console);
}

const char *
console_stalled(const struct console *console, gint64 now, char **line)
{
	g_autofree char *text = NULL;
	const char *explanation;

	if (console->line->len == 0 || now - console->heard < CONSOLE_SILENCE)
		return NULL;
	text = text_shown(console->line->str, console->line->len);
	explanation = console_stall(text);
	if (explanation)
		*line = g_steal_pointer(&text);
	return explanation;
}

char **
console_tail(const struct console *console, guint n)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	gboolean partial = console->line->len > 0;
	guint wanted = MIN(n, console->tail.length + partial);
	guint complete = wanted - (partial && wanted > 0);

	for (guint i = console->tail.length - complete; i < console->tail.length; i++)
		g_ptr_array_add(lines, g_strdup(g_queue_peek_nth((GQueue *)&console->tail, i)));
	if (partial && wanted > 0)
		g_ptr_array_add(lines, text_shown(console->line->str, console->line->len));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&lines), FALSE);
}

void
console_recall(struct console *console)
{
	gint64 size = MIN(console->file.offset, CONSOLE_RECALL);

	console->muted = TRUE;
	console->file.offset -= size;
	file_read(console, &console->file, size);
	console->muted = FALSE;
}

gboolean
console_rotate(const char *path, GError **error)
{
	return log_rotate(path, CONSOLE_ROTATE_SIZE, CONSOLE_ROTATED, NULL, error);
}
