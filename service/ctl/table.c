/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests or nodes as a table, a line each: the columns, and the layout. The last column has the
 * reasons, which is what a person reads first when something is wrong: where the terminal is too
 * narrow, columns that say less leave it their room.
 */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>

#define GAP	   2  /* columns of the terminal between two cells */
#define WHY_ROOM   40 /* columns that the last cell gets before all others are shown */
#define WHY_LEAST  24 /* columns that it gets in any case */
#define WHY_BEGIN  8  /* columns that it gets however narrow the terminal is */
#define NAME_ROOM  24 /* columns to which names are cut before a column that counts is left out */
#define NAME_LEAST 12 /* columns that they get in any case */
#define WORD_ROOM  16 /* columns of a state or a version, whatever a daemon says */

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
word_cell(const char *word)
{
	g_autofree char *clean = ctl_clean(word ? word : "?", TRUE);
	return ctl_fit(clean, WORD_ROOM);
}

static char *
state_cell(const struct ctl_row *row)
{
	return word_cell(ctl_state_word(row->guest));
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

/* "1", or "1/2" where there is more than one slot; "-" where none can run. */
static char *
build_cell(const struct ctl_row *row)
{
	JsonObject *guest = row->guest;
	double builds = ctl_number(guest, "builds", -1), slots = ctl_number(guest, "slots", 1);
	if (builds == 0 && (slots == 0 || ctl_number(guest, "memory", 0) <= 0))
		return g_strdup("-");
	g_autofree char *number = number_cell(builds);
	return slots > 1 ? g_strdup_printf("%s/%.0f", number, slots) : g_strdup(number);
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
	return word_cell(ctl_text(row->guest, "version"));
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

/* Where not all of it has room: of a guest that is on its way, first what it waits for. NULL: it is
 * not on its way. */
static char *
waits_cell(const struct ctl_row *row)
{
	static const char *const moving[] = {"starting",  "booting",  "enrolling",
					     "restoring", "stopping", NULL};
	const char *state = ctl_text(row->guest, "state");
	g_autofree char *why = ctl_clean(ctl_text(row->guest, "why"), TRUE);
	g_autofree char *what = ctl_clean(ctl_text(row->guest, "phase"), TRUE);
	if (!state || !g_strv_contains(moving, state) || !*what || !*why || !strcmp(why, what))
		return NULL;
	return g_strdup_printf("%s; %s", what, why);
}

static const struct {
	const char *title;
	char *(*cell)(const struct ctl_row *row);
	gboolean right;
} columns[] = {
    [CTL_COLUMN_NAME] = {"NAME", name_cell, FALSE},
    [CTL_COLUMN_STATE] = {"STATE", state_cell, FALSE},
    [CTL_COLUMN_SINCE] = {"FOR", since_cell, FALSE},
    [CTL_COLUMN_PORT] = {"PORT", port_cell, TRUE},
    [CTL_COLUMN_PUBLISHED] = {"PUBLISHED", published_cell, FALSE},
    [CTL_COLUMN_BUILD] = {"BUILDS", build_cell, TRUE},
    [CTL_COLUMN_MEMORY] = {"MEMORY", memory_cell, TRUE},
    [CTL_COLUMN_RESTARTS] = {"RESTARTS", restarts_cell, TRUE},
    [CTL_COLUMN_READY] = {"READY", ready_cell, TRUE},
    [CTL_COLUMN_BUILDS] = {"BUILDS", builds_cell, TRUE},
    [CTL_COLUMN_VERSION] = {"VERSION", version_cell, FALSE},
    [CTL_COLUMN_SKEW] = {"SKEW", skew_cell, TRUE},
    [CTL_COLUMN_WHY] = {"WHY", why_cell, FALSE},
};

char *
ctl_cell(enum ctl_column column, const struct ctl_row *row)
{
	return columns[column].cell(row);
}

/*
 * What happens on a terminal that is too narrow, the first first, as long as the last column is cut
 * and has fewer columns than `last`: ssh knows the port, and the memory says little, so they are
 * left out before the rest. A name is cut, to as many columns as `name`. The column that the lines
 * are sorted by stays.
 */
static const struct {
	enum ctl_column column;
	int last, name;
} leaving[] = {
    {CTL_COLUMN_PORT, WHY_ROOM, 0},	      {CTL_COLUMN_MEMORY, WHY_ROOM, 0},
    {CTL_COLUMN_RESTARTS, WHY_ROOM, 0},	      {CTL_COLUMN_NAME, WHY_LEAST, NAME_ROOM},
    {CTL_COLUMN_VERSION, WHY_LEAST, 0},	      {CTL_COLUMN_SKEW, WHY_LEAST, 0},
    {CTL_COLUMN_PUBLISHED, WHY_LEAST, 0},     {CTL_COLUMN_BUILD, WHY_LEAST, 0},
    {CTL_COLUMN_BUILDS, WHY_LEAST, 0},	      {CTL_COLUMN_SINCE, WHY_LEAST, 0},
    {CTL_COLUMN_NAME, WHY_LEAST, NAME_LEAST},
};

struct layout {
	const enum ctl_column *wanted;
	guint n;
	int *widths; /* columns of the terminal for each, without the gap behind it; 0: left out */
	int terminal;
	enum ctl_column kept;
};

/* Columns of the terminal for the last column. */
static int
room(const struct layout *layout)
{
	int left = layout->terminal;
	for (guint i = 0; i + 1 < layout->n; i++)
		left -= layout->widths[i] ? layout->widths[i] + GAP : 0;
	return left;
}

/* Leave columns out and cut the names, until the last column has its room. */
static void
make_room(struct layout *layout)
{
	int longest = layout->widths[layout->n - 1];
	for (gsize i = 0; i < G_N_ELEMENTS(leaving); i++)
		for (guint j = 0; j + 1 < layout->n; j++) {
			int lack = MIN(longest, leaving[i].last) - room(layout),
			    least = MIN(layout->widths[j], leaving[i].name);
			gboolean cut = leaving[i].name || leaving[i].column != layout->kept;
			if (layout->wanted[j] == leaving[i].column && cut && lack > 0)
				layout->widths[j] =
				    MAX(leaving[i].name ? layout->widths[j] - lack : 0, least);
		}
	/* Or else the lines would not fit. */
	for (guint j = 0; room(layout) < WHY_BEGIN && j + 1 < layout->n; j++)
		if (layout->wanted[j] == layout->kept && layout->kept != CTL_COLUMN_NAME &&
		    layout->kept != CTL_COLUMN_STATE)
			layout->widths[j] = 0;
}

/* The cell of column i, padded to its width. */
static void
add_cell(GString *text, const struct layout *layout, guint i, const char *cell, gboolean heading)
{
	enum ctl_column column = layout->wanted[i];
	g_autofree char *fits =
	    column == CTL_COLUMN_NAME ? ctl_fit_name(cell, layout->widths[i]) : g_strdup(cell);
	int pad = MAX(layout->widths[i] - ctl_cells(fits), 0);
	g_autofree char *shown =
	    column == CTL_COLUMN_STATE && !heading ? ctl_coloured(fits, fits) : g_strdup(fits);
	gboolean right = columns[column].right;
	g_string_append_printf(text, "%*s%s%*s", right ? pad : 0, "", shown,
			       (right ? 0 : pad) + GAP, "");
}

/* Columns for the last cell: at least the beginning of the reason is shown, however narrow the
 * terminal is. 0: as many as it needs. */
static int
last_room(const struct layout *layout)
{
	return layout->terminal ? MAX(room(layout), WHY_BEGIN) : 0;
}

/* Reasons that do not fit begin with what is waited for. */
static void
fit_reasons(const struct layout *layout, const GPtrArray *lines, const struct ctl_row *rows)
{
	guint last = layout->n - 1;
	if (!layout->terminal || layout->wanted[last] != CTL_COLUMN_WHY)
		return;
	for (guint r = 1; r < lines->len; r++) {
		char **cells = g_ptr_array_index(lines, r);
		char *other =
		    ctl_cells(cells[last]) > last_room(layout) ? waits_cell(&rows[r - 1]) : NULL;
		if (!other)
			continue;
		g_free(cells[last]);
		cells[last] = g_strdelimit(other, "\t", ' ');
	}
}

/* The cells side by side; the last one gets the rest of the terminal's width. The caller frees. */
static char *
line(const struct layout *layout, char **cells, gboolean heading)
{
	GString *text = g_string_new(NULL);
	for (guint i = 0; i + 1 < layout->n; i++)
		if (layout->widths[i])
			add_cell(text, layout, i, cells[i], heading);
	g_autofree char *last = ctl_cut(cells[layout->n - 1], last_room(layout));
	g_string_append(text, last);
	return g_strchomp(g_string_free(text, FALSE));
}

/* The cells of a row; row NULL: the headings. The caller frees them. */
static char **
cells_of(const struct layout *layout, const struct ctl_row *row)
{
	char **cells = g_new0(char *, layout->n + 1);
	for (guint i = 0; i < layout->n; i++) {
		enum ctl_column column = layout->wanted[i];
		cells[i] = row ? ctl_cell(column, row) : g_strdup(columns[column].title);
		g_strdelimit(cells[i], "\t", ' ');
		layout->widths[i] = MAX(layout->widths[i], ctl_cells(cells[i]));
	}
	return cells;
}

GPtrArray *
ctl_table_within(const enum ctl_column *wanted, guint n, const struct ctl_row *rows, guint n_rows,
		 enum ctl_column kept, int terminal)
{
	g_autofree int *widths = g_new0(int, n);
	struct layout layout = {wanted, n, widths, terminal, kept};
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_ptr_array_add(all, cells_of(&layout, NULL));
	for (guint r = 0; r < n_rows; r++)
		g_ptr_array_add(all, cells_of(&layout, &rows[r]));
	if (terminal)
		make_room(&layout);
	fit_reasons(&layout, all, rows);
	for (guint r = 0; r < all->len; r++)
		g_ptr_array_add(lines, line(&layout, g_ptr_array_index(all, r), r == 0));
	return lines;
}

GPtrArray *
ctl_table(const enum ctl_column *wanted, guint n, const struct ctl_row *rows, guint n_rows)
{
	return ctl_table_within(wanted, n, rows, n_rows, CTL_COLUMN_NAME, ctl_width());
}
