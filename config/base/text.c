/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/text.h"

#include <string.h>

gboolean
text_acts(gunichar c)
{
	return g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x61c;
}

char *
text_line(const char *text, char instead)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *line = g_string_new(NULL);
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		g_string_append_unichar(line, text_acts(c) ? (guchar)instead : c);
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
		return g_strdup(text); /* the usual case, made fast for the many cells of a table */
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
	GString *out = g_string_new(NULL);
	for (const char *p = valid ? valid : ""; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (line && (c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029))
			g_string_append_c(out, ' ');
		else if (!terminal || c == '\n' || c == '\t' || !text_acts(c))
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

/* The length of the escape sequence at text, which begins with ESC. By ECMA-48: CSI, strings, and
 * short sequences. */
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
		else if (*at && g_unichar_isprint(c) && !text_acts(c))
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

static gboolean
is_graphic(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_FORMAT:
	case G_UNICODE_UNASSIGNED:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return FALSE;
	case G_UNICODE_SPACE_SEPARATOR:
		return c == ' ';
	default:
		return TRUE;
	}
}

/*
 * Measured with Guile 3.0.8 for each code point: a quotation mark and a backslash get a backslash;
 * \a \b \t \n \v \f \r are written with their letter; every other character without a glyph
 * (controls, format characters, spaces other than U+0020, line and paragraph separators, private
 * use, unassigned) becomes \xHH, \uHHHH or \UHHHHHH, without a semicolon; all others stay as they
 * are.
 */
static void
append_scheme(GString *out, gunichar c)
{
	static const char letters[] = "abtnvfr"; /* U+0007 to U+000D */
	if (c == '"' || c == '\\')
		g_string_append_printf(out, "\\%c", (char)c);
	else if (c >= 7 && c <= 13)
		g_string_append_printf(out, "\\%c", letters[c - 7]);
	else if (is_graphic(c))
		g_string_append_unichar(out, c);
	else if (c <= 0xff)
		g_string_append_printf(out, "\\x%02x", c);
	else if (c <= 0xffff)
		g_string_append_printf(out, "\\u%04x", c);
	else
		g_string_append_printf(out, "\\U%06x", c);
}

void
text_scheme(GString *out, const char *text)
{
	g_string_append_c(out, '"');
	while (*text) {
		gunichar c = g_utf8_get_char_validated(text, -1);
		gboolean valid = c != (gunichar)-1 && c != (gunichar)-2;
		if (valid)
			append_scheme(out, c);
		else
			g_string_append_c(out, *text);
		text = valid ? g_utf8_next_char(text) : text + 1;
	}
	g_string_append_c(out, '"');
}
