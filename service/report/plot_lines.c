/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A value over time. The line has a fixed number of columns, each with the mean of the samples in
 * it; a lighter band behind it goes from the least to the largest, so that a short peak is seen.
 * The line is broken where there are no samples.
 */
#include "service/report/plots.h"

#include <math.h>

#include "service/report/axis.h"
#include "service/report/words.h"

#define HEIGHT 90.		      /* px of the scale */
#define BRIDGE (2 * G_TIME_SPAN_HOUR) /* without a sample, over which the line goes on */
#define UNITS  1000.		      /* of the width, in paths */

struct column {
	double weight, sum, least, most;
};

struct line {
	const struct records *records;
	enum plot_value value;
	gint64 from, until;
	struct column columns[PLOTS_COLUMNS];
	double least, most, last; /* of all; the last sample */
};

static double
value_of(const struct record_sample *sample, enum plot_value value)
{
	return value == PLOT_LOAD ? sample->load : sample->store_free;
}

static void
put(struct column *column, double value, double weight)
{
	column->least = column->weight > 0 ? MIN(column->least, value) : value;
	column->most = column->weight > 0 ? MAX(column->most, value) : value;
	column->weight += weight;
	column->sum += value * weight;
}

/* Put a sample into the columns that its time is in; one without a length has the weight of a
 * second. */
static void
take(struct line *line, const struct record_sample *sample)
{
	const double width = (double)(line->until - line->from) / PLOTS_COLUMNS;
	double value = value_of(sample, line->value);
	gint64 end = MAX(sample->until, sample->from + G_USEC_PER_SEC);
	if (!isfinite(value) || end <= line->from || sample->from >= line->until)
		return;
	double a = (double)(MAX(sample->from, line->from) - line->from);
	double b = (double)(MIN(end, line->until) - line->from);
	for (guint i = (guint)(a / width); i < PLOTS_COLUMNS && i * width < b; i++)
		put(&line->columns[i], value, MAX(MIN(b, (i + 1) * width) - MAX(a, i * width), 1));
	line->least = MIN(line->least, value);
	line->most = MAX(line->most, value);
	line->last = value;
}

/* The column after first that has a value and is near enough to go on to; 0: none. */
static guint
next_of(const struct line *line, guint first)
{
	const gint64 width = (line->until - line->from) / PLOTS_COLUMNS;
	for (guint i = first + 1; i < PLOTS_COLUMNS; i++) {
		if ((gint64)(i - first - 1) * width > BRIDGE)
			return 0;
		if (line->columns[i].weight > 0)
			return i;
	}
	return 0;
}

static void
point(GString *path, char command, double x, double y)
{
	char a[G_ASCII_DTOSTR_BUF_SIZE], b[G_ASCII_DTOSTR_BUF_SIZE];
	g_string_append_printf(path, "%c%s %s", command, g_ascii_formatd(a, sizeof a, "%.1f", x),
			       g_ascii_formatd(b, sizeof b, "%.1f", y));
}

static double
x_of(double column)
{
	return column * UNITS / PLOTS_COLUMNS;
}

static double
y_of(const struct axis *axis, double value)
{
	return HEIGHT * (1 - value / axis->top);
}

/* The columns that belong together, from first on: the end of them. */
static guint
run_of(const struct line *line, guint first)
{
	guint last = first;
	for (guint next = first; next; next = next_of(line, next))
		last = next;
	return last + 1;
}

/* The line through the means, or the band around it, of the columns from first to end. A single
 * column is as wide as it is. */
static void
draw_run(const struct line *line, const struct axis *axis, guint first, guint end, GString *mean,
	 GString *band)
{
	const struct column *columns = line->columns;
	point(mean, 'M', x_of(first), y_of(axis, columns[first].sum / columns[first].weight));
	point(band, 'M', x_of(first), y_of(axis, columns[first].most));
	for (guint i = first; i < end; i++)
		if (columns[i].weight > 0) {
			point(mean, 'L', x_of(i + 0.5),
			      y_of(axis, columns[i].sum / columns[i].weight));
			point(band, 'L', x_of(i + 0.5), y_of(axis, columns[i].most));
		}
	const struct column *last = &columns[end - 1];
	point(mean, 'L', x_of(end), y_of(axis, last->sum / last->weight));
	point(band, 'L', x_of(end), y_of(axis, last->most));
	point(band, 'L', x_of(end), y_of(axis, last->least));
	for (guint i = end; i-- > first;)
		if (columns[i].weight > 0)
			point(band, 'L', x_of(i + 0.5), y_of(axis, columns[i].least));
	point(band, 'L', x_of(first), y_of(axis, columns[first].least));
	g_string_append_c(band, 'z');
}

/* The paths need numbers without a unit, so they are in an svg of their own, which is stretched. */
static void
draw_paths(struct markup *page, const struct line *line, const struct axis *axis)
{
	g_autoptr(GString) mean = g_string_new(NULL), band = g_string_new(NULL);
	g_autofree char *box = g_strdup_printf("0 0 %d %d", (int)UNITS, (int)HEIGHT);
	for (guint i = 0, end; i < PLOTS_COLUMNS; i = end) {
		end = i + 1;
		if (line->columns[i].weight <= 0)
			continue;
		end = run_of(line, i);
		draw_run(line, axis, i, end, mean, band);
	}
	markup_open(page, "svg");
	markup_number(page, "y", AXIS_TOP, "");
	markup_attribute(page, "width", "100%");
	markup_number(page, "height", HEIGHT, "");
	markup_attribute(page, "viewBox", box);
	markup_attribute(page, "preserveAspectRatio", "none");
	markup_path(page, "lb", band->str);
	markup_path(page, "ll", mean->str);
	markup_close(page);
}

static void
draw(struct markup *page, const struct line *line, const char *title)
{
	struct axis axis =
	    axis_for(line->most, line->value == PLOT_STORE ? AXIS_BYTES : AXIS_NUMBER);
	g_autoptr(GArray) marks = axis_times(line->records->zone, line->from, line->until);
	const struct axis fine = {axis.top, line->value == PLOT_LOAD ? 0.01 : axis.step, axis.unit};
	g_autofree char *least = axis_label(&fine, line->least),
			*most = axis_label(&fine, line->most);
	g_autofree char *last = axis_label(&fine, line->last);
	g_autofree char *text = g_strdup_printf("Between %s and %s; last %s.", least, most, last);
	markup_open_class(page, "div", "cell");
	markup_element(page, "h3", NULL, title);
	axis_open_plot(page, &axis, HEIGHT, title, text);
	draw_paths(page, line, &axis);
	axis_close_plot(page, marks, HEIGHT);
	markup_element(page, "p", "note", text);
	markup_close(page);
}

gboolean
plot_line(struct markup *page, const struct records *records, const struct record_guest *guest,
	  enum plot_value value, enum period period)
{
	g_autofree struct line *line = g_new0(struct line, 1);
	*line = (struct line){.records = records,
			      .value = value,
			      .from = records->now - period_length(period),
			      .until = records->now,
			      .least = INFINITY,
			      .most = -INFINITY};
	for (guint i = 0; i < guest->samples->len; i++)
		take(line, &g_array_index(guest->samples, struct record_sample, i));
	if (line->most < line->least)
		return FALSE;
	g_autofree char *title = g_strdup_printf(
	    "%s, the last %s", value == PLOT_LOAD ? "Load" : "Free store", period_name(period));
	draw(page, line, title);
	return TRUE;
}
