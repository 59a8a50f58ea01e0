/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/history/json.h"

#include <math.h>

static void
add_string(GString *out, const char *text)
{
	g_autofree char *valid =
	    g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1);
	g_string_append_c(out, '"');
	for (const char *p = valid ? valid : text; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_c(out, '\\');
		if ((guchar)*p < 0x20 || *p == 0x7f)
			g_string_append_printf(out, "\\u%04x", (guint)(guchar)*p);
		else
			g_string_append_c(out, *p);
	}
	g_string_append_c(out, '"');
}

static void
add_name(GString *out, const char *name)
{
	g_string_append_printf(out, ",\"%s\":", name);
}

void
json_text(GString *out, const char *name, const char *text)
{
	add_name(out, name);
	add_string(out, text);
}

void
json_whole(GString *out, const char *name, gint64 value)
{
	add_name(out, name);
	g_string_append_printf(out, "%" G_GINT64_FORMAT, value);
}

void
json_real(GString *out, const char *name, double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	add_name(out, name);
	g_string_append(out, isfinite(value) ? g_ascii_formatd(text, sizeof text, "%.10g", value)
					     : "null");
}

void
json_flag(GString *out, const char *name, gboolean value)
{
	add_name(out, name);
	g_string_append(out, value ? "true" : "false");
}

void
json_phases(GString *out, const char *name, const char *phases)
{
	g_auto(GStrv) words = g_strsplit(phases, " ", -1);
	add_name(out, name);
	g_string_append_c(out, '[');
	for (guint i = 0; words[i] && words[i + 1]; i += 2) {
		g_string_append_printf(out, "%s{\"name\":", i ? "," : "");
		add_string(out, words[i]);
		g_string_append_printf(out, ",\"ms\":%" G_GINT64_FORMAT "}",
				       g_ascii_strtoll(words[i + 1], NULL, 10));
	}
	g_string_append_c(out, ']');
}
