/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/text.h"

#include <string.h>

char *
text_line(const char *text, char instead)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *line = g_string_new(NULL);
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		g_string_append_unichar(line, g_unichar_iscntrl(c) ? (guchar)instead : c);
	}
	return g_string_free(line, FALSE);
}

char *
text_output(const char *text, gboolean line, gboolean terminal)
{
	const char *plain = text;
	while (plain && *plain >= ' ' && *plain <= '~')
		plain++;
	if (plain && !*plain)
		return g_strdup(text); /* nearly always, and there are many cells in a table */
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
	GString *out = g_string_new(NULL);
	for (const char *p = valid ? valid : ""; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (line && (c == '\n' || c == '\r'))
			g_string_append_c(out, ' ');
		else if (!terminal || c == '\n' || c == '\t' || !g_unichar_iscntrl(c))
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

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

char *
text_shown(const char *bytes, gsize length)
{
	GString *shown = g_string_sized_new(length);
	const char *end = bytes + length;
	for (const char *at = bytes; at < end;) {
		gunichar c = g_utf8_get_char_validated(at, end - at);
		if (*at == '\033') {
			at += escape_length(at);
			continue;
		}
		if (*at && (c == (gunichar)-1 || c == (gunichar)-2)) {
			g_string_append_c(shown, '?');
			at++;
			continue;
		}
		if (*at == '\t')
			g_string_append_c(shown, ' ');
		else if (*at && g_unichar_isprint(c))
			g_string_append_unichar(shown, c);
		at += *at ? g_utf8_next_char(at) - at : 1;
	}
	return g_string_free(shown, FALSE);
}

char *
text_said(const char *output, const char *prefix, const char *between, glong max)
{
	g_autofree char *stripped = g_strstrip(g_strdup(output));
	g_auto(GStrv) lines = g_strsplit(stripped, "\n", -1);
	for (char **line = lines; *line; line++) {
		gboolean named = prefix && g_str_has_prefix(*line, prefix);
		char *clean = text_line(*line + (named ? strlen(prefix) : 0), ' ');
		g_free(*line);
		*line = clean;
	}
	g_autofree char *joined = g_strjoinv(between, lines);
	if (!*joined)
		return g_strdup("it said nothing");
	return g_utf8_substring(joined, 0, MIN(g_utf8_strlen(joined, -1), max));
}
