/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes all that a guest may write to its serial console.
 *
 * Input: a byte that says in how large pieces QEMU writes the rest, a byte that says at which of
 * them the log is truncated and how long a log may be, and the console's bytes. A struct console
 * reads them. Its events have to be those of a simple model, whatever the pieces are; what it
 * reports can be shown on a terminal, and is no longer than promised. The same bytes go through the
 * cleaners of text, the rotation of logs, and the limit of repeated lines.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/console.h"
#include "childhurdd/system/flood.h"
#include "childhurdd/system/log_rotate.h"
#include "config/base/text.h"
#include "tests/fuzz/lib/fuzz.h"

#define PIECES_MAX 24
#define AT_ONCE	   0xff
#define COPIES	   2
#define SAID_MAX   50

static struct ev_loop *loop;
static char *path, *rotated;

/* Can text be shown as one line on a terminal, in the order of its characters? */
static void
require_shown(const char *text, const char *what)
{
	static const gunichar turning[] = {0x200e, 0x200f, 0x61c, 0};
	require(g_utf8_validate(text, -1, NULL), what, NULL);
	for (; *text; text = g_utf8_next_char(text)) {
		gunichar c = g_utf8_get_char(text);
		require(g_unichar_type(c) != G_UNICODE_CONTROL, what, NULL);
		require(!(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069), what, NULL);
		for (gsize i = 0; turning[i]; i++)
			require(c != turning[i], what, NULL);
	}
}

/* --- a console, and the model of one --- */

struct model {
	GString *line, *events;
	GPtrArray *tail;
	enum console_meaning told;
};

static void
model_init(struct model *m)
{
	m->line = g_string_new(NULL);
	m->events = g_string_new(NULL);
	m->tail = g_ptr_array_new_with_free_func(g_free);
	m->told = CONSOLE_NOTHING;
}

static void
model_clear(struct model *m)
{
	g_string_free(m->line, TRUE);
	g_string_free(m->events, TRUE);
	g_ptr_array_unref(m->tail);
}

/* The line, as far as it goes, has been quiet for a while or is complete. */
static void
model_judge(struct model *m)
{
	const char *why;
	g_autofree char *text = text_shown(m->line->str, m->line->len);
	enum console_meaning meaning = console_meaning(text, &why);
	if (meaning != CONSOLE_NOTHING && meaning != m->told)
		g_string_append_printf(m->events, "%d %s\n", (int)meaning, text);
	if (meaning != CONSOLE_NOTHING)
		m->told = meaning;
}

static void
model_end_line(struct model *m)
{
	model_judge(m);
	g_ptr_array_add(m->tail, text_shown(m->line->str, m->line->len));
	g_string_truncate(m->line, 0);
	m->told = CONSOLE_NOTHING;
}

static void
model_take(struct model *m, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] == '\n')
			model_end_line(m);
		else if (m->line->len < CONSOLE_LINE_MAX)
			g_string_append_c(m->line, (char)bytes[i]);
	if (m->line->len)
		model_judge(m);
}

static void
on_line(struct console *console, enum console_meaning meaning, const char *line,
	const char *explanation, void *data)
{
	GString *events = data;
	const char *why;
	require((meaning == CONSOLE_NOTHING) == (line == NULL), "a meaning is of a line", NULL);
	if (!line)
		return;
	require_shown(line, "a line with a meaning can be shown");
	require(strlen(line) <= CONSOLE_LINE_MAX, "a line with a meaning has a limit", NULL);
	require(console_meaning(line, &why) == meaning && explanation && why == explanation,
		"a line has its meaning", NULL);
	g_string_append_printf(events, "%d %s\n", (int)meaning, line);
}

static void
check_tail(const struct console *console, const struct model *m, guint n)
{
	g_auto(GStrv) tail = console_tail(console, n);
	guint got = g_strv_length(tail), partial = m->line->len > 0;
	guint complete = MIN(m->tail->len, CONSOLE_TAIL_LINES);
	require(got == MIN(n, complete + partial), "as many last lines as there are", NULL);
	for (guint i = 0; i < got; i++) {
		guint back = got - i; /* 1: the last */
		g_autofree char *unfinished = text_shown(m->line->str, m->line->len);
		const char *same = partial && back == 1
				       ? unfinished
				       : m->tail->pdata[m->tail->len + partial - back];
		require_shown(tail[i], "a last line can be shown");
		require(strlen(tail[i]) <= CONSOLE_LINE_MAX, "a last line has a limit", NULL);
		require(!strcmp(tail[i], same), "the last lines are the last lines", NULL);
	}
}

static void
check_stall(const struct console *console)
{
	g_autofree char *line = NULL;
	const char *why = console_stalled(console, G_MAXINT64 / 2, &line);
	require((why != NULL) == (line != NULL), "a line that has stopped is there", NULL);
	if (line)
		require_shown(line, "a line that has stopped can be shown");
}

/* A daemon that takes a guest over reports nothing again but what the console has stopped at. */
static void
check_recall(const struct model *m, size_t written)
{
	g_autoptr(GString) events = g_string_new(NULL);
	struct model last;
	struct console *console = console_new(loop, path, FALSE, on_line, events);
	console_recall(console);
	require(!events->len, "what is old is not reported", NULL);
	console_drain(console);
	model_init(&last);
	model_take(&last, (const uint8_t *)m->line->str, m->line->len);
	if (written <= CONSOLE_RECALL) {
		require(!strcmp(events->str, last.events->str),
			"where a console stopped is seen again", NULL);
		check_tail(console, m, CONSOLE_TAIL_LINES);
	}
	model_clear(&last);
	console_free(console);
}

static void
fuzz_console(uint8_t pieces, uint8_t cut, const uint8_t *bytes, size_t size)
{
	size_t piece = MAX((size_t)pieces + 1, size / PIECES_MAX + 1), written = 0;
	g_autoptr(GString) events = g_string_new(NULL);
	struct model m;
	int qemu = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	struct console *console = console_new(loop, path, TRUE, on_line, events);
	if (pieces == AT_ONCE)
		piece = size + 1;
	model_init(&m);
	for (size_t at = 0, i = 0; at < size; at += piece, i++) {
		size_t n = MIN(piece, size - at);
		if (i && i == cut) { /* somebody empties the log */
			require(ftruncate(qemu, 0) == 0, "the log can be truncated", NULL);
			console_drain(console);
			written = 0;
			if (m.line->len)
				model_end_line(&m);
		}
		require(write(qemu, bytes + at, n) == (ssize_t)n, "the log can be written", NULL);
		console_drain(console);
		written += n;
		model_take(&m, bytes + at, n);
	}
	require(!strcmp(events->str, m.events->str), "the events are those of the model", NULL);
	check_tail(console, &m, CONSOLE_TAIL_LINES);
	check_tail(console, &m, cut);
	check_stall(console);
	if (written == size)
		check_recall(&m, written);
	model_clear(&m);
	console_free(console);
	close(qemu);
}

/* --- the cleaners of text --- */

static void
check_line(const char *text)
{
	g_autofree char *line = text_line(text, ' '), *again = text_line(line, ' ');
	require_shown(line, "a line can be shown");
	require(!strcmp(line, again), "a clean line stays as it is", NULL);
	require(g_utf8_strlen(line, -1) <= (glong)strlen(text), "a line gets no longer", NULL);
}

static void
check_output(const char *text)
{
	for (int way = 0; way < 4; way++) {
		gboolean line = way & 1, terminal = way & 2;
		g_autofree char *out = text_output(text, line, terminal);
		g_autofree char *again = text_output(out, line, terminal);
		require(!strcmp(out, again), "clean output stays as it is", NULL);
		require(g_utf8_validate(out, -1, NULL), "output is UTF-8", NULL);
		require(!line || !strpbrk(out, "\n\r"), "a line is one line", NULL);
		if (!terminal)
			continue;
		g_strdelimit(out, "\n\t", ' ');
		require_shown(out, "output can be shown");
	}
}

static void
check_text(const uint8_t *bytes, size_t size)
{
	g_autofree char *text = g_strndup((const char *)bytes, size);
	g_autofree char *whole = g_malloc(size + 1);
	memcpy(whole, bytes, size);
	whole[size] = '\0';
	g_autofree char *shown = text_shown(whole, size);
	g_autofree char *again = text_shown(shown, strlen(shown));
	g_autofree char *said = text_said(text, "ext2fs: ", "; ", SAID_MAX);
	g_autoptr(GString) scheme = g_string_new(NULL);
	require_shown(shown, "what is shown can be shown");
	require(strlen(shown) <= size && !strcmp(shown, again), "what is shown stays as it is",
		NULL);
	require_shown(said, "what was said can be shown");
	require(*said && g_utf8_strlen(said, -1) <= SAID_MAX, "what was said has a limit", NULL);
	check_line(text);
	check_output(text);
	text_scheme(scheme, text);
	for (gsize i = 0; i < scheme->len; i++)
		require((guchar)scheme->str[i] >= ' ' && scheme->str[i] != 0x7f,
			"Scheme's strings have no raw control characters", NULL);
}

/* --- logs that grow, lines that repeat --- */

static void
check_copy(const uint8_t *bytes, size_t size, gint64 limit, gint64 ahead)
{
	g_autofree char *copied = g_strconcat(rotated, ".1", NULL), *text = NULL, *rest = NULL;
	gsize n = 0, left = 0;
	require(g_file_get_contents(copied, &text, &n, NULL) &&
		    g_file_get_contents(rotated, &rest, &left, NULL),
		"a rotated log has a copy", NULL);
	gint64 longest = limit + limit / 4;
	gsize note = (gint64)size > longest ? strcspn(text, "\n") + 1 : 0;
	require(left == 0 && (gint64)n == (gint64)size - ahead, "a rotated log is empty", NULL);
	require((gint64)n <= longest + (gint64)note, "a copy has a limit", NULL);
	require(!memcmp(text + note, bytes + (gint64)note + ahead, n - note),
		"a copy has the last bytes", NULL);
}

static void
fuzz_rotation(gint64 limit, const uint8_t *bytes, size_t size)
{
	g_autoptr(GError) error = NULL;
	struct stat now;
	gint64 ahead = 0;
	int fd = open(rotated, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(write(fd, bytes, size) == (ssize_t)size, "a log can be written", NULL);
	close(fd);
	require(log_rotate(rotated, limit, COPIES, &ahead, &error), "a log can be rotated", NULL);
	if ((gint64)size > limit)
		check_copy(bytes, size, limit, ahead);
	else
		require(stat(rotated, &now) == 0 && (size_t)now.st_size == size,
			"a short log stays", NULL);
}

/* In no minute are there more lines than promised, and all are counted. */
static void
fuzz_flood(const uint8_t *bytes, size_t size)
{
	struct flood flood = {0};
	gint64 now = 0, began = 0;
	guint told = 0, missed = 0, lines = 0;
	for (size_t i = 0; i < size; i++) {
		now += bytes[i] < ' ' ? bytes[i] * (FLOOD_PERIOD / 16) : bytes[i];
		guint more = flood_missed(&flood, now);
		guint pass = flood_pass(&flood, now);
		missed += more;
		told += pass;
		gint64 wait = flood_wait(&flood, now);
		require(wait >= -1 && wait <= FLOOD_PERIOD, "a wait has a limit", NULL);
		if (now - began >= FLOOD_PERIOD) {
			began = now;
			lines = 0;
		}
		lines += pass + (more > 0);
		require(lines <= 2 * (FLOOD_BURST + 1), "lines that repeat have a limit", NULL);
	}
	require(told + missed + flood.held == size, "each line is told or counted", NULL);
}

/* --- */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	path = g_build_filename(fuzz_folder(), "console.log", NULL);
	rotated = g_build_filename(fuzz_folder(), "rotated.log", NULL);
	loop = ev_loop_new(EVFLAG_AUTO);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	fuzz_console(data[0], data[1], data + 2, size - 2);
	check_text(data + 2, size - 2);
	fuzz_rotation(data[1], data + 2, size - 2);
	fuzz_flood(data + 2, size - 2);
	return 0;
}
