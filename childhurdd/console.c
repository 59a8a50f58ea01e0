/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading along with a guest's console.
 *
 * QEMU writes the serial port byte by byte, so the file changes thousands of times while a guest
 * boots. ev_stat (inotify) only wakes us from rest; then it is stopped and the file read every
 * SETTLE ms until nothing comes any more. An idle guest costs nothing, one that floods its console
 * costs a bounded number of reads.
 *
 * A line without its end is looked at when it has been quiet for CONSOLE_POLL ms: Mach's debugger
 * waits at its prompt, and a panic may stop in the middle of a line.
 *
 * Rotation copies the file and then truncates it, because a running QEMU holds it open. QEMU opens
 * it with O_APPEND (libvirt's <source append='on'>), so its next byte goes to the new start. What
 * it writes between our last read and the truncation, some microseconds, is lost. The file is
 * opened anew for each look: no descriptor is held.
 *
 * A QEMU that was broken out of can make the file as long as it likes, a hole of 64 GiB for
 * instance: nothing here does work by the file's size alone.
 *
 * What a guest writes never reaches anybody's terminal as it is: see text_clean.
 */
#include "childhurdd/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE	     0.05 /* s between two reads while something comes */
#define QUIET_ROUNDS ((int)(CONSOLE_POLL / 1000.0 / SETTLE))
#define READ_SIZE    (16 * 1024)
#define ROUND_MAX                                                                                  \
	(256 * 1024) /* bytes read in one round, so that no guest keeps the loop to itself */
#define COPY_SIZE     (64 * 1024)
#define MS_PER_SECOND 1000.0

struct console {
	struct ev_loop *loop;
	char *path;
	gint64 offset;
	dev_t device; /* of the file that offset belongs to; inode 0: none yet */
	ino_t inode;
	GString *line; /* what came since the last line end, at most CONSOLE_LINE_MAX bytes */
	enum console_meaning told; /* what was reported of the unfinished line */
	GQueue tail;		   /* of char *, clean */
	gint64 rotate_at;
	int quiet;	/* rounds without a byte */
	gboolean muted; /* what is read is old */
	struct ev_stat changed;
	struct ev_timer settle;
	console_fn fn;
	void *data;
};

/* The length of the escape sequence at text (which begins with ESC), by ECMA-48: CSI, strings, and
 * short ones. */
static gsize
escape_length(const char *text)
{
	const char *at = text + 1;

	if (*at == '[') {
		at++;
		while (*at >= 0x20 && *at <= 0x3f)
			at++;
		return (gsize)(at - text) + (*at >= 0x40 && *at <= 0x7e);
	}
	if (*at && strchr("]PX^_", *at)) { /* ends with BEL or ESC \ */
		while (*at && *at != '\a' && *at != '\033')
			at++;
		if (at[0] == '\033' && at[1] == '\\')
			at++;
		return (gsize)(at - text) + (*at == '\a' || *at == '\\');
	}
	while (*at >= 0x20 && *at <= 0x2f)
		at++;
	return (gsize)(at - text) + (*at >= 0x30 && *at <= 0x7e);
}

/* Valid UTF-8 of printable characters only: no escapes, no controls, nothing that turns the
 * direction of text. */
static char *
text_clean(const GString *line)
{
	g_autoptr(GString) clean = g_string_sized_new(line->len);
	const char *end = line->str + line->len;

	for (const char *at = line->str; at < end;) {
		gunichar c = g_utf8_get_char_validated(at, end - at);

		if (*at == '\033') {
			at += escape_length(at);
			continue;
		}
		if (*at && (c == (gunichar)-1 || c == (gunichar)-2)) {
			g_string_append_c(clean, '?');
			at++;
			continue;
		}
		if (*at == '\t')
			g_string_append_c(clean, ' ');
		else if (*at && g_unichar_isprint(c))
			g_string_append_unichar(clean, c);
		at += *at ? g_utf8_next_char(at) - at : 1;
	}
	return g_string_free(g_steal_pointer(&clean), FALSE);
}

/* Report the line that is in console->line, unless that was done when it was unfinished. */
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
	g_autofree char *text = text_clean(console->line);

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

/* Read a file on from console->offset, at most max bytes. Returns how many. */
static gint64
fd_read(struct console *console, int fd, gint64 max)
{
	gint64 total = 0;

	while (total < max) {
		char buffer[READ_SIZE];
		ssize_t got = pread(fd, buffer, sizeof(buffer), console->offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (total == 0 && !console->muted)
			console->fn(console, CONSOLE_NOTHING, NULL, NULL, console->data);
		console->offset += got;
		total += got;
		bytes_take(console, buffer, (gsize)got);
	}
	return total;
}

/* Open the file if it is there, and begin at its start if it is another one or was truncated. -1:
 * not there. */
static int
file_open(struct console *console)
{
	int fd = open(console->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0)
		return -1;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return -1;
	}
	if (console->inode &&
	    (status.st_ino != console->inode || status.st_dev != console->device ||
	     status.st_size < console->offset)) {
		if (console->line->len > 0)
			line_end(console);
		console->offset = 0;
		console->rotate_at = CONSOLE_ROTATE_SIZE;
	}
	console->inode = status.st_ino;
	console->device = status.st_dev;
	return fd;
}

static gint64
file_read(struct console *console, gint64 max)
{
	int fd = file_open(console);
	gint64 total;

	if (fd < 0)
		return 0;
	total = fd_read(console, fd, max);
	close(fd);
	return total;
}

static gboolean rotate_path(const char *path, gint64 *ahead, GError **error);

/* The file has grown too large. What came between our last read and the rotation is read from the
 * copy. */
static void
rotate(struct console *console)
{
	g_autofree char *copy = g_strconcat(console->path, ".1", NULL);
	g_autoptr(GError) error = NULL;
	gint64 ahead;
	int fd;

	console->rotate_at =
	    console->offset + CONSOLE_ROTATE_SIZE; /* if it does not work, not at once again */
	if (!rotate_path(console->path, &ahead, &error)) {
		g_warning("%s; the console is not rotated", error->message);
		return;
	}
	fd = open(copy, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		console->offset = MAX(console->offset - ahead, 0);
		fd_read(console, fd, CONSOLE_COPY_MAX);
		close(fd);
	}
	console->offset = 0;
	console->rotate_at = CONSOLE_ROTATE_SIZE;
}

static gint64
round_read(struct console *console)
{
	gint64 got = file_read(console, ROUND_MAX);

	if (console->offset > console->rotate_at)
		rotate(console);
	return got;
}

static void
partial_tell(struct console *console)
{
	g_autofree char *text = text_clean(console->line);

	line_tell(console, text);
}

static void
settle_start(struct console *console, double after)
{
	ev_timer_stop(console->loop, &console->settle);
	ev_timer_set(&console->settle, after, SETTLE);
	ev_timer_start(console->loop, &console->settle);
}

/* While awake: read until it is quiet, then go to rest. */
static void
console_settle(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	struct console *console = watcher->data;

	if (round_read(console) > 0) {
		console->quiet = 0;
		return;
	}
	if (console->line->len > 0 && ++console->quiet < QUIET_ROUNDS)
		return;
	if (console->line->len > 0)
		partial_tell(console);
	ev_timer_stop(loop, watcher);
	ev_stat_start(loop, &console->changed);
	if (round_read(console) > 0) { /* came just before we watched again */
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
	struct stat status;

	console->loop = loop;
	console->path = g_strdup(path);
	console->line = g_string_new(NULL);
	console->fn = fn;
	console->data = data;
	console->rotate_at = CONSOLE_ROTATE_SIZE;
	g_queue_init(&console->tail);
	if (!from_start && stat(path, &status) == 0) {
		console->offset = status.st_size;
		console->inode = status.st_ino;
		console->device = status.st_dev;
	}
	console->changed.data = console->settle.data = console;
	ev_stat_init(&console->changed, console_changed, console->path,
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
	g_free(console->path);
	g_free(console);
}

void
console_drain(struct console *console)
{
	/* a round at a time: rotation belongs between them; the limit is for a QEMU that writes as
	 * fast as we read */
	for (gint64 total = 0, got = 1; got > 0 && total <= CONSOLE_ROTATE_SIZE; total += got)
		got = round_read(console);
	if (console->line->len > 0)
		partial_tell(console);
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
		g_ptr_array_add(lines, text_clean(console->line));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&lines), FALSE);
}

void
console_recall(struct console *console)
{
	int fd = open(console->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	gint64 size = MIN(console->offset, CONSOLE_RECALL);

	if (fd < 0)
		return;
	console->muted = TRUE;
	console->offset -= size;
	fd_read(console, fd, size);
	console->muted = FALSE;
	close(fd);
}

static gboolean
put_all(int to, const char *bytes, gsize length)
{
	while (length > 0) {
		ssize_t put = write(to, bytes, length);

		if (put < 0 && errno != EINTR)
			return FALSE;
		bytes += MAX(put, 0);
		length -= (gsize)MAX(put, 0);
	}
	return TRUE;
}

/* From's bytes from there on into a new file to, at most CONSOLE_COPY_MAX of them. */
static gboolean
copy_rest(int from, gint64 offset, int to)
{
	g_autofree char *buffer = g_malloc(COPY_SIZE);
	const gint64 end = offset + CONSOLE_COPY_MAX;

	while (offset < end) {
		ssize_t got = pread(from, buffer, (gsize)MIN(COPY_SIZE, end - offset), offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0;
		if (!put_all(to, buffer, (gsize)got))
			return FALSE;
		offset += got;
	}
	return TRUE;
}

/* All of from, of size bytes, into a new file to; of one that is far too long its end, behind a
 * line that says so. *ahead: how much further back a byte stands in the copy. */
static gboolean
copy_end(int from, gint64 size, int to, gint64 *ahead)
{
	gint64 left_out = size > CONSOLE_COPY_MAX ? size - CONSOLE_ROTATE_SIZE : 0;
	g_autofree char *note = left_out ? g_strdup_printf("[childhurdd: %" G_GINT64_FORMAT
							   " bytes before this were left out]\n",
							   left_out)
					 : g_strdup("");

	*ahead = left_out - (gint64)strlen(note);
	return put_all(to, note, strlen(note)) && copy_rest(from, left_out, to);
}

/* path.1 becomes path.2 and so on; the oldest is replaced. Errors do not matter: a copy less is no
 * loss. */
static void
copies_shift(const char *path)
{
	for (int i = CONSOLE_ROTATED; i > 1; i--) {
		g_autofree char *newer = g_strdup_printf("%s.%d", path, i - 1);
		g_autofree char *older = g_strdup_printf("%s.%d", path, i);

		rename(newer, older);
	}
}

/* The order is: copy, move the copies, put the new one in its place, truncate. Killed anywhere,
 * nothing is lost. */
static gboolean
rotate_fd(int fd, gint64 size, const char *path, gint64 *ahead)
{
	g_autofree char *temporary = g_strconcat(path, ".1.new", NULL);
	g_autofree char *copy = g_strconcat(path, ".1", NULL);
	int to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	gboolean good = FALSE;

	if (to < 0)
		return FALSE;
	if (copy_end(fd, size, to, ahead)) {
		copies_shift(path);
		good = rename(temporary, copy) == 0 && ftruncate(fd, 0) == 0;
	}
	if (!good) {
		int number = errno;

		unlink(temporary);
		errno = number;
	}
	close(to);
	return good;
}

/* *ahead: see copy_end. */
static gboolean
rotate_path(const char *path, gint64 *ahead, GError **error)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	gboolean good = FALSE;

	*ahead = 0;
	if (fd < 0 && errno == ENOENT)
		return TRUE;
	if (fd >= 0 && fstat(fd, &status) == 0)
		good = status.st_size <= CONSOLE_ROTATE_SIZE ||
		       rotate_fd(fd, status.st_size, path, ahead);
	if (!good)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "%s: cannot rotate: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

gboolean
console_rotate(const char *path, GError **error)
{
	gint64 ahead;

	return rotate_path(path, &ahead, error);
}
