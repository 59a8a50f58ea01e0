/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guests or nodes as a table, a line each: the columns, and the layout. */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>

static char *
number_cell(double number)
{
	return number < 0 ? g_strdup("?") : g_strdup_printf("%.0f", number);
}

static char *
name_cell(const struct ctl_row *row)
{
	return ctl_clean(ctl_text(row->guest, "name"), TRUE);
}

static char *
state_cell(const struct ctl_row *row)
{
	const char *state = ctl_state_word(row->guest);
	return ctl_clean(state ? state : "?", TRUE);
}

static char *
since_cell(const struct ctl_row *row)
{
	double now = ctl_now();
	return ctl_duration(now - ctl_number(row->guest, "since", now));
}

static char *
port_cell(const struct ctl_row *row)
{
	return number_cell(ctl_number(row->guest, "port", -1));
}

static char *
published_cell(const struct ctl_row *row)
{
	return g_strdup(ctl_flag(row->guest, "published") ? "yes" : "-");
}

static char *
build_cell(const struct ctl_row *row)
{
	double builds = ctl_number(row->guest, "builds", -1);
	if (builds == 0)
		return g_strdup("-");
	return builds == 1 ? g_strdup("yes") : number_cell(builds);
}

static char *
memory_cell(const struct ctl_row *row)
{
	return ctl_size(ctl_number(row->guest, "memory", 0));
}

static char *
restarts_cell(const struct ctl_row *row)
{
	return number_cell(ctl_number(row->guest, "restarts", -1));
}

static char *
cpu_cell(const struct ctl_row *row)
{
	return isnan(row->cpu) ? g_strdup("-") : g_strdup_printf("%.0f%%", row->cpu * 100);
}

static char *
load_cell(const struct ctl_row *row)
{
	double load = row->details ? ctl_number(row->details, "load", NAN) : NAN;
	return isnan(load) ? g_strdup("-") : g_strdup_printf("%.2f", load);
}

/* --- of nodes --- */

static char *
ready_cell(const struct ctl_row *row)
{
	double guests = ctl_number(row->guest, "guests", -1);
	g_autofree char *ready = number_cell(ctl_number(row->guest, "ready", -1));
	return guests < 0 ? g_strdup(ready) : g_strdup_printf("%s of %.0f", ready, guests);
}

static char *
builds_cell(const struct ctl_row *row)
{
	return number_cell(ctl_number(row->guest, "builds", -1));
}

static char *
version_cell(const struct ctl_row *row)
{
	const char *version = ctl_text(row->guest, "version");
	return ctl_clean(version ? version : "?", TRUE);
}

static char *
skew_cell(const struct ctl_row *row)
{
	double skew = ctl_number(row->guest, "skew", NAN);
	return isnan(skew) ? g_strdup("?") : g_strdup_printf("%+.2fs", skew);
}

static char *
why_cell(const struct ctl_row *row)
{
	g_autofree char *why = ctl_clean(ctl_text(row->guest, "why"), TRUE);
	g_autofree char *what = ctl_clean(ctl_text(row->guest, "phase"), TRUE);
	return *what && *why && strcmp(why, what) != 0 ? g_strdup_printf("%s; %s", why, what)
						       : g_strdup(*what ? what : why);
}

static const struct {
	const char *title;
	char *(*cell)(const struct ctl_row *row);
	gboolean right;
} columns[] = {
    [CTL_COLUMN_NAME] = {"NAME", name_cell, FALSE},
    [CTL_COLUMN_STATE] = {"STATE", state_cell, FALSE},
    [CTL_COLUMN_SINCE] = {"SINCE", since_cell, FALSE},
    [CTL_COLUMN_PORT] = {"PORT", port_cell, TRUE},
    [CTL_COLUMN_PUBLISHED] = {"PUBLISHED", published_cell, FALSE},
    [CTL_COLUMN_BUILD] = {"BUILD", build_cell, FALSE},
    [CTL_COLUMN_CPU] = {"CPU", cpu_cell, TRUE},
    [CTL_COLUMN_MEMORY] = {"MEMORY", memory_cell, TRUE},
    [CTL_COLUMN_LOAD] = {"LOAD", load_cell, TRUE},
    [CTL_COLUMN_RESTARTS] = {"RESTARTS", restarts_cell, TRUE},
    [CTL_COLUMN_READY] = {"READY", ready_cell, TRUE},
    [CTL_COLUMN_BUILDS] = {"BUILDS", builds_cell, TRUE},
    [CTL_COLUMN_VERSION] = {"VERSION", version_cell, FALSE},
    [CTL_COLUMN_SKEW] = {"SKEW", skew_cell, TRUE},
    [CTL_COLUMN_WHY] = {"WHY", why_cell, FALSE},
};

/* The cells side by side; the last one gets the rest of the terminal's width. The caller frees. */
static char *
line(const enum ctl_column *wanted, guint n, char **cells, const int *widths, int terminal,
     gboolean heading)
{
	GString *text = g_string_new(NULL);
	int used = 0;
	for (guint i = 0; i + 1 < n; i++) {
		int pad = widths[i] - (int)g_utf8_strlen(cells[i], -1);
		gboolean right = columns[wanted[i]].right;
		g_autofree char *cell = wanted[i] == CTL_COLUMN_STATE && !heading
					    ? ctl_coloured(cells[i], cells[i])
					    : g_strdup(cells[i]);
		g_string_append_printf(text, "%*s%s%*s  ", right ? pad : 0, "", cell,
				       right ? 0 : pad, "");
		used += widths[i] + 2;
	}
	/* On a terminal too narrow for the columns, at least the beginning of the reason is shown.
	 */
	g_autofree char *last = ctl_cut(cells[n - 1], terminal ? MAX(terminal - used, 8) : 0);
	g_string_append(text, last);
	return g_strchomp(g_string_free(text, FALSE));
}

GPtrArray *
ctl_table(const enum ctl_column *wanted, guint n, const struct ctl_row *rows, guint n_rows)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autofree int *widths = g_new0(int, n);
	for (guint r = 0; r <= n_rows; r++) {
		char **cells = g_new0(char *, n + 1);
		for (guint i = 0; i < n; i++) {
			cells[i] = r ? columns[wanted[i]].cell(&rows[r - 1])
				     : g_strdup(columns[wanted[i]].title);
			widths[i] = MAX(widths[i], (int)g_utf8_strlen(cells[i], -1));
		}
		g_ptr_array_add(all, cells);
	}
	int terminal = ctl_width();
	for (guint r = 0; r < all->len; r++)
		g_ptr_array_add(
		    lines, line(wanted, n, g_ptr_array_index(all, r), widths, terminal, r == 0));
	return lines;
}
