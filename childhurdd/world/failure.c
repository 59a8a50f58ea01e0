/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/failure.h"

#include "config/base/text.h"

char *
failure_text(const struct childhurd *c, const char *screen, char **lines)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = g_date_time_format(now, "%F %T %z");
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *why = text_line(c->why ? c->why : "unknown", ' ');
	g_string_append_printf(text, "%s failed at %s\n\nWhy: %s\n", c->config->name, time, why);
	g_string_append_printf(text, "Failures in a row: %d; automatic restarts: %d\n", c->failures,
			       c->restarts);
	if (screen)
		g_string_append_printf(text, "Its screen: %s\n", screen);
	g_string_append(text, "\nThe console's last lines:\n");
	for (; lines && *lines; lines++)
		g_string_append_printf(text, "| %s\n", *lines);
	return g_string_free(g_steal_pointer(&text), FALSE);
}
