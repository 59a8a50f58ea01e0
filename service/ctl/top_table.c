/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of childhurdctl top. It is not that of list: it has histories, and it has to fit into
 * any window, as its lines are not wrapped. Columns are left out, the least important first, and
 * names are cut, until the reason has some room.
 */
#include <math.h>

#include "service/ctl/top.h"

#define WHY_CELLS  24 /* of the reason, for which other columns are left out, ... */
#define WHY_FEW	   16 /* ... the number of builds, ... */
#define WHY_LEAST  10 /* ... and the last of them */
#define NAME_CELLS 24 /* to which names are cut before the histories are left out, ... */
#define NAME_LEAST 12 /* ... and at last */
#define GAP	   2  /* cells between two columns */
#define SPARK_PART 13 /* a history gets that part of the terminal's width, ... */
#define SPARK_MIN  6  /* ... at least so many cells */
#define SPARK_MAX  TOP_CELLS

#define CPU_COLOUR    "36" /* SGR: cyan */
#define BUILDS_COLOUR "35" /* magenta */

enum column {
	NAME,
	STATE,
	FOR,
	PUBLISHED,
	BUILDS,
	BUILDS_PAST,
	CPU,
	CPU_PAST,
	MEMORY,
	LOAD,
	RESTARTS,
	WHY,
	N_COLUMNS
};

/* What all rows have in common. */
struct table {
	const struct top_sort *sort;
	int spark;		      /* cells of a history */
	double most_cpu, most_builds; /* that its highest character stands for */
	gboolean shown[N_COLUMNS];
	int widths[N_COLUMNS];
};

/* --- cells; the caller frees --- */

static char *
cpu_cell(const struct table *table, const struct top_row *row)
{
	double share = row->past->share;
	return isnan(share) ? g_strdup("-") : g_strdup_printf("%.0f%%", share * 100);
}

static char *
load_cell(const struct table *table, const struct top_row *row)
{
	double load = ctl_number(row->details, "load", NAN);
	return isnan(load) ? g_strdup("-") : g_strdup_printf("%.2f", load);
}

/* The last values, a character each, of which the highest stands for most. */
static char *
spark(const double *values, int cells, double most)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
				 *const ascii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
	const char *const *levels = ctl_is_utf8() ? blocks : ascii;
	const int n = G_N_ELEMENTS(blocks);
	GString *text = g_string_new(NULL);
	for (int i = TOP_CELLS - cells; i < TOP_CELLS; i++) {
		double level = values[i] / most * (n - 1) + 0.5; /* NAN: there is none */
		int whole = level > 0 ? (int)MIN(level, n - 1) : 0;
		g_string_append(text, isnan(level) ? " " : levels[whole]);
	}
	return g_string_free(text, FALSE);
}

static char *
cpu_past_cell(const struct table *table, const struct top_row *row)
{
	return spark(row->past->cpu, table->spark, table->most_cpu);
}

static char *
builds_past_cell(const struct table *table, const struct top_row *row)
{
	return spark(row->past->builds, table->spark, table->most_builds);
}

/* cell: NULL: what the column `list` of the verb list has. order: the one that the column's title
 * is marked for; -1: none. */
static const struct {
	const char *title;
	char *(*cell)(const struct table *table, const struct top_row *row);
	enum ctl_column list;
	gboolean right;
	int order;
} columns[] = {
    [NAME] = {"NAME", NULL, CTL_COLUMN_NAME, FALSE, TOP_BY_NAME},
    [STATE] = {"STATE", NULL, CTL_COLUMN_STATE, FALSE, TOP_BY_STATE},
    [FOR] = {"FOR", NULL, CTL_COLUMN_SINCE, TRUE, TOP_BY_TIME},
    [PUBLISHED] = {"PUBLISHED", NULL, CTL_COLUMN_PUBLISHED, FALSE, -1},
    [BUILDS] = {"BUILDS", NULL, CTL_COLUMN_BUILD, TRUE, TOP_BY_BUILDS},
    [BUILDS_PAST] = {"", builds_past_cell, 0, FALSE, -1},
    [CPU] = {"CPU", cpu_cell, 0, TRUE, TOP_BY_CPU},
    [CPU_PAST] = {"", cpu_past_cell, 0, FALSE, -1},
    [MEMORY] = {"MEMORY", NULL, CTL_COLUMN_MEMORY, TRUE, TOP_BY_MEMORY},
    [LOAD] = {"LOAD", load_cell, 0, TRUE, TOP_BY_LOAD},
    [RESTARTS] = {"RESTARTS", NULL, CTL_COLUMN_RESTARTS, TRUE, TOP_BY_RESTARTS},
    [WHY] = {"WHY", NULL, CTL_COLUMN_WHY, FALSE, -1},
};

static char *
cell_of(const struct table *table, enum column column, const struct top_row *row)
{
	const struct ctl_row in_list = {row->guest};
	return columns[column].cell ? columns[column].cell(table, row)
				    : ctl_cell(columns[column].list, &in_list);
}

/* The title of a column, with an arrow where the rows are sorted by it. The caller frees. */
static char *
title(const struct table *table, enum column column)
{
	const char *arrow = ctl_is_utf8() ? (table->sort->reversed ? "▲" : "▼")
					  : (table->sort->reversed ? "^" : "v");
	gboolean sorted = columns[column].order == (int)table->sort->by;
	return g_strconcat(columns[column].title, sorted ? arrow : "", NULL);
}

/* --- layout --- */

static int
total(const struct table *table)
{
	int width = 0;
	for (guint c = 0; c < WHY; c++)
		width += table->shown[c] ? table->widths[c] + GAP : 0;
	return width;
}

/*
 * What happens in a window that is too narrow, the first first, as long as the reason is cut and
 * has fewer cells than `why`: a column is left out, unless the rows are sorted by it; the names are
 * cut, to as many cells as `name`.
 */
static const struct {
	enum column column;
	int why, name;
} leaving[] = {{RESTARTS, WHY_CELLS, 0},
	       {PUBLISHED, WHY_CELLS, 0},
	       {LOAD, WHY_CELLS, 0},
	       {MEMORY, WHY_CELLS, 0},
	       {NAME, WHY_CELLS, NAME_CELLS},
	       {BUILDS_PAST, WHY_CELLS, 0},
	       {CPU_PAST, WHY_CELLS, 0},
	       {NAME, WHY_CELLS, NAME_LEAST},
	       {BUILDS, WHY_FEW, 0},
	       {CPU, WHY_LEAST, 0},
	       {FOR, WHY_LEAST, 0}};

static void
choose(struct table *table, int width)
{
	for (guint i = 0; width && i < G_N_ELEMENTS(leaving); i++) {
		enum column c = leaving[i].column;
		int lack = total(table) + MIN(table->widths[WHY], leaving[i].why) - width;
		int *cells = &table->widths[c];
		if (lack > 0 && leaving[i].name)
			*cells = MAX(*cells - lack, MIN(*cells, leaving[i].name));
		else if (lack > 0 && columns[c].order != (int)table->sort->by)
			table->shown[c] = FALSE;
	}
}

static const char *
colour_of(enum column column)
{
	return column == CPU_PAST ? CPU_COLOUR : column == BUILDS_PAST ? BUILDS_COLOUR : "";
}

/* The caller frees. */
static char *
padded_cell(const struct table *table, enum column c, const char *cell)
{
	if (c == WHY)
		return g_strdup(cell);
	g_autofree char *fits = c == NAME ? ctl_fit_name(cell, table->widths[c]) : g_strdup(cell);
	int pad = table->widths[c] - ctl_cells(fits);
	return g_strdup_printf("%*s%s%*s", columns[c].right ? pad : 0, "", fits,
			       columns[c].right ? 0 : pad, "");
}

/* The cells side by side, as far as they fit; the caller frees. */
static char *
line(const struct table *table, char **cells, int width, gboolean heading)
{
	GString *text = g_string_new(NULL);
	int left = width ? width : G_MAXINT;
	for (guint c = 0; c < N_COLUMNS && left > 0; c++) {
		if (!table->shown[c])
			continue;
		g_autofree char *padded = padded_cell(table, c, cells[c]);
		g_autofree char *cut = width ? ctl_fit(padded, left) : g_strdup(padded);
		g_autofree char *shown = c == STATE && !heading
					     ? ctl_coloured(cells[c], cut)
					     : ctl_painted(heading ? "1" : colour_of(c), cut);
		g_string_append_printf(text, "%s%*s", shown,
				       c == WHY ? 0 : MIN(GAP, left - ctl_cells(cut)), "");
		left -= ctl_cells(cut) + GAP;
	}
	return g_strchomp(g_string_free(text, FALSE));
}

static double
most(const struct top_row *rows, guint n, gboolean builds)
{
	double most = 1; /* a core, or a build */
	for (guint r = 0; r < n; r++)
		for (guint i = 0; i < TOP_CELLS; i++) {
			double value = builds ? rows[r].past->builds[i] : rows[r].past->cpu[i];
			most = value > most ? value : most; /* which NAN is not */
		}
	return most;
}

GPtrArray *
top_table(const struct top_row *rows, guint n, const struct top_sort *sort, int width)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	struct table table = {.sort = sort,
			      .spark = CLAMP(width / SPARK_PART, SPARK_MIN, SPARK_MAX),
			      .most_cpu = most(rows, n, FALSE),
			      .most_builds = most(rows, n, TRUE)};
	for (guint r = 0; r <= n; r++) {
		char **cells = g_new0(char *, N_COLUMNS + 1);
		for (guint c = 0; c < N_COLUMNS; c++) {
			cells[c] = r ? cell_of(&table, c, &rows[r - 1]) : title(&table, c);
			table.widths[c] = MAX(table.widths[c], ctl_cells(cells[c]));
			table.shown[c] = width || (c != CPU_PAST && c != BUILDS_PAST);
		}
		g_ptr_array_add(all, cells);
	}
	choose(&table, width);
	for (guint r = 0; r < all->len; r++)
		g_ptr_array_add(lines, line(&table, g_ptr_array_index(all, r), width, r == 0));
	return lines;
}
