/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text as a terminal shows it: a wide character takes two cells, a combining one takes none. Where
 * the locale is not UTF-8, ASCII stands for all else. For screens that are redrawn, where a line
 * that is too long would leave its rest behind.
 */
#include "service/ctl/ctl.h"

#include <string.h>
#include <unistd.h>

#include "config/base/streams.h"

gboolean
ctl_is_utf8(void)
{
	return g_get_charset(NULL);
}

static int
cells_of(gunichar c)
{
	return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

int
ctl_cells(const char *text)
{
	int cells = 0;
	for (; *text; text = g_utf8_next_char(text))
		cells += cells_of(g_utf8_get_char(text));
	return cells;
}

/* The bytes of text that fit into so many cells. */
static gsize
fitting(const char *text, int cells)
{
	const char *at = text;
	for (; *at; at = g_utf8_next_char(at)) {
		cells -= cells_of(g_utf8_get_char(at));
		if (cells < 0)
			break;
	}
	return (gsize)(at - text);
}

static char *
as_ascii(const char *text)
{
	GString *ascii = g_string_new(NULL);
	for (; *text; text = g_utf8_next_char(text))
		g_string_append_c(ascii, (guchar)*text < 0x80 ? *text : '?');
	return g_string_free(ascii, FALSE);
}

char *
ctl_fit(const char *text, int cells)
{
	g_autofree char *shown = ctl_is_utf8() ? g_strdup(text) : as_ascii(text);
	const char *mark = ctl_is_utf8() ? "…" : "...";
	cells = MAX(cells, 0);
	if (ctl_cells(shown) <= cells)
		return g_steal_pointer(&shown);
	if (cells < ctl_cells(mark))
		return g_strndup(shown, fitting(shown, cells));
	gsize kept = fitting(shown, cells - ctl_cells(mark));
	return g_strdup_printf("%.*s%s", (int)kept, shown, mark);
}

/* The end of text that fits into so many cells. */
static const char *
fitting_end(const char *text, int cells)
{
	const char *at = text + strlen(text);
	while (at > text) {
		const char *before = g_utf8_prev_char(at);
		cells -= cells_of(g_utf8_get_char(before));
		if (cells < 0)
			break;
		at = before;
	}
	return at;
}

char *
ctl_fit_name(const char *name, int cells)
{
	if (ctl_cells(name) <= cells)
		return g_strdup(name);
	g_autofree char *shown = ctl_is_utf8() ? g_strdup(name) : as_ascii(name);
	int end = (cells - (ctl_is_utf8() ? 1 : 3)) / 2;
	if (end <= 0)
		return ctl_fit(shown, cells);
	g_autofree char *head = ctl_fit(shown, cells - end);
	return g_strconcat(head, fitting_end(shown, end), NULL);
}

char *
ctl_painted(const char *sgr, const char *text)
{
	return *sgr && streams_colours(STDOUT_FILENO)
		   ? g_strdup_printf("\033[%sm%s\033[m", sgr, text)
		   : g_strdup(text);
}

gboolean
ctl_can_redraw(void)
{
	const char *kind = g_getenv("TERM");
	return ctl_is_terminal() && kind && *kind && g_strcmp0(kind, "dumb") != 0;
}
