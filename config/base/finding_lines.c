/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/finding_lines.h"

#include <string.h>

/* Attributes of ECMA-48 (SGR). */
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define RED    "\033[31m"
#define PLAIN  "\033[m"

void
finding_lines_add(struct finding_lines *lines, const char *result, const char *text)
{
	gboolean ok = !strcmp(result, "ok"), note = !strcmp(result, "note");
	const char *colour = ok ? GREEN : note ? YELLOW : RED;
	lines->ok += ok;
	lines->notes += note;
	lines->problems += !ok && !note;
	if (ok && lines->quiet)
		return;
	/* The result has a column of its own, so that the colour ends with the word. */
	fprintf(lines->out, "%s%s%s%*s %s\n", lines->coloured ? colour : "", result,
		lines->coloured ? PLAIN : "", MAX(8 - (int)strlen(result), 0), "", text);
}

/* name: for one; plural: for more. */
static void
add_number(GString *text, const struct finding_lines *lines, const char *colour, guint n,
	   const char *name, const char *plural)
{
	g_string_append_printf(text, "%s%s%u %s%s", text->len ? ", " : "",
			       lines->coloured ? colour : "", n, n == 1 ? name : plural,
			       lines->coloured ? PLAIN : "");
}

void
finding_lines_sum(const struct finding_lines *lines)
{
	g_autoptr(GString) text = g_string_new(NULL);
	if (lines->quiet)
		return;
	add_number(text, lines, GREEN, lines->ok, "ok", "ok");
	if (lines->notes)
		add_number(text, lines, YELLOW, lines->notes, "note", "notes");
	if (lines->problems)
		add_number(text, lines, RED, lines->problems, "problem", "problems");
	fprintf(lines->out, "%s\n", text->str);
}
