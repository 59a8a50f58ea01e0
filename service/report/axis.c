/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/axis.h"

#include <math.h>

#include "service/report/picture.h"
#include "service/report/words.h"

#define LABELS 18. /* px below a plot, for the marks of its time axis */

/* --- time --- */

/* The distances between marks. Days and months are those of the calendar, with its changes of the
 * clock, so they are no numbers of seconds. */
static const struct step {
	gint64 upto; /* µs: for axes that are no longer */
	int hours, days;
} steps[] = {{2 * G_TIME_SPAN_DAY, 6, 0}, {10 * G_TIME_SPAN_DAY, 0, 1}, {G_MAXINT64, 0, 15}};

/* The first mark, at or before date. */
static GDateTime *
first_mark(GTimeZone *zone, GDateTime *date, const struct step *step)
{
	int day = g_date_time_get_day_of_month(date);
	return g_date_time_new(zone, g_date_time_get_year(date), g_date_time_get_month(date),
			       step->days > 1 ? (day < 15 ? 1 : 15) : day, 0, 0, 0);
}

/* The mark after date. A month has two, on its 1st and 15th. */
static GDateTime *
next_mark(GTimeZone *zone, GDateTime *date, const struct step *step)
{
	int year = g_date_time_get_year(date), month = g_date_time_get_month(date);
	if (step->hours) {
		int hour = g_date_time_get_hour(date) / step->hours * step->hours + step->hours;
		g_autoptr(GDateTime) next = g_date_time_add_days(date, hour >= 24);
		return g_date_time_new(zone, g_date_time_get_year(next),
				       g_date_time_get_month(next),
				       g_date_time_get_day_of_month(next), hour % 24, 0, 0);
	}
	if (step->days == 1)
		return g_date_time_add_days(date, 1);
	if (g_date_time_get_day_of_month(date) < 15)
		return g_date_time_new(zone, year, month, 15, 0, 0, 0);
	return g_date_time_new(zone, year + month / 12, month % 12 + 1, 1, 0, 0, 0);
}

static void
set_label(struct axis_mark *mark, GTimeZone *zone, GDateTime *date, const struct step *step)
{
	gint64 time = g_date_time_to_unix(date) * G_USEC_PER_SEC;
	g_autofree char *text = step->hours && g_date_time_get_hour(date)
				    ? g_strdup_printf("%02d:%02d", g_date_time_get_hour(date),
						      g_date_time_get_minute(date))
				    : words_day(zone, time);
	g_strlcpy(mark->label, text, sizeof mark->label);
}

GArray *
axis_times(GTimeZone *zone, gint64 from, gint64 until)
{
	GArray *marks = g_array_new(FALSE, TRUE, sizeof(struct axis_mark));
	const struct step *step = steps;
	while (step->upto < until - from)
		step++;
	g_autoptr(GDateTime) begin = words_clock(zone, from);
	g_autoptr(GDateTime) date = begin ? first_mark(zone, begin, step) : NULL;
	/* The limit is for axes of a length that no report has. */
	while (date && marks->len < 100) {
		gint64 time = g_date_time_to_unix(date) * G_USEC_PER_SEC;
		struct axis_mark mark = {.at = (double)(time - from) / (double)(until - from)};
		if (time > until)
			break;
		set_label(&mark, zone, date, step);
		if (time >= from)
			g_array_append_val(marks, mark);
		GDateTime *next = next_mark(zone, date, step);
		g_date_time_unref(date);
		date = next;
	}
	return marks;
}

/* The part of an axis that a text has, as a share. On the narrowest screen, an axis that is as wide
 * as the page has 336 px, one beside a scale 280; on one of 64rem, where the style shows all texts,
 * 984 and 423. */
static const struct {
	double narrow, broad;
} text_parts[] = {[AXIS_WIDE] = {0.125, 0.05}, [AXIS_NARROW] = {0.15, 0.09}};

enum side { LEFT, MIDDLE, RIGHT };

/* Near an end a text stays inside, on the narrowest screen, too. */
static enum side
side_of(const struct axis_mark *mark, enum axis_place place)
{
	double half = text_parts[place].narrow / 2;
	return mark->at < half ? LEFT : mark->at > 1 - half ? RIGHT : MIDDLE;
}

/* Whether a text with that part of the axis has room behind the one before it, which ends at *end;
 * if so, *end is where it ends itself. */
static gboolean
has_room(const struct axis_mark *mark, enum side side, double part, double *end)
{
	double begin = mark->at - (side == LEFT ? 0 : side == RIGHT ? part : part / 2);
	if (begin < *end)
		return FALSE;
	*end = begin + part;
	return TRUE;
}

static void
draw_label(struct markup *page, const struct axis_mark *mark, enum side side, gboolean broad,
	   double baseline)
{
	static const char *const classes[][2] = {[LEFT] = {"al", "al broad"},
						 [MIDDLE] = {"am", "am broad"},
						 [RIGHT] = {"ar", "ar broad"}};
	markup_open_class(page, "text", classes[side][broad]);
	markup_number(page, "x", mark->at * 100, "%");
	markup_number(page, "y", baseline, "");
	markup_text(page, mark->label);
	markup_close(page);
}

void
axis_draw_ticks(struct markup *page, const GArray *marks, double y, double height)
{
	for (guint i = 0; i < marks->len; i++) {
		double at = 100 * g_array_index(marks, struct axis_mark, i).at;
		markup_open_class(page, "line", "gx");
		markup_number(page, "x1", at, "%");
		markup_number(page, "x2", at, "%");
		markup_number(page, "y1", y, "");
		markup_number(page, "y2", y + height, "");
		markup_close(page);
	}
}

void
axis_draw_times(struct markup *page, const GArray *marks, double y, double height, double baseline,
		enum axis_place place)
{
	double narrow = 0, broad = 0; /* where the last text ends */
	axis_draw_ticks(page, marks, y, height);
	for (guint i = 0; i < marks->len; i++) {
		const struct axis_mark *mark = &g_array_index(marks, struct axis_mark, i);
		enum side side = side_of(mark, place);
		if (!has_room(mark, side, text_parts[place].broad, &broad))
			continue;
		gboolean everywhere = has_room(mark, side, text_parts[place].narrow, &narrow);
		draw_label(page, mark, side, !everywhere, baseline);
	}
}

/* --- values --- */

/* The steps that people use for that unit, from small to large. */
static double
step_for(double least, enum axis_unit unit)
{
	static const double times[] = {60,   120,  300,	  600,	 900,  1800,
				       3600, 7200, 14400, 43200, 86400};
	if (unit == AXIS_BYTES)
		return pow(2, ceil(log2(least)));
	for (gsize i = 0; unit == AXIS_SECONDS && least > 30 && i < G_N_ELEMENTS(times); i++)
		if (times[i] >= least)
			return times[i];
	double base = unit == AXIS_SECONDS && least > 30 ? 86400 : 1;
	double scale = pow(10, floor(log10(least / base))) * base;
	return scale * (least <= scale ? 1 : least <= 2 * scale ? 2 : least <= 5 * scale ? 5 : 10);
}

struct axis
axis_for(double largest, enum axis_unit unit)
{
	struct axis axis = {.unit = unit};
	double smallest = unit == AXIS_BYTES ? 1024 * 1024 : unit == AXIS_SECONDS ? 0.1 : 0.4;
	if (!isfinite(largest) || largest < smallest)
		largest = smallest;
	axis.step = step_for(MIN(largest, 1e18) / 4, unit);
	axis.top = ceil(MIN(largest, 1e18) / axis.step - 1e-9) * axis.step;
	return axis;
}

/* So many that two steps do not have the same text. */
static guint
decimals_for(double step)
{
	return step < 1 ? (guint)-floor(log10(step) + 1e-9) : 0;
}

char *
axis_label(const struct axis *axis, double value)
{
	if (axis->unit == AXIS_SECONDS && axis->step < 1) {
		g_autofree char *number = words_number(value, decimals_for(axis->step));
		return g_strconcat(number, " s", NULL);
	}
	if (axis->unit == AXIS_SECONDS)
		return value < 60 ? g_strdup_printf("%d s", (int)(value + 0.5))
				  : words_duration(value);
	if (axis->unit == AXIS_BYTES)
		return words_size(value);
	return words_number(value, decimals_for(axis->step));
}

/* A line across an open svg for each step of the scale. */
static void
draw_lines(struct markup *page, const struct axis *axis, double height)
{
	for (guint i = 0; i * axis->step < axis->top * 1.001; i++) {
		double at = AXIS_TOP + height - i * axis->step / axis->top * height;
		markup_open_class(page, "line", i ? "gy" : "g0");
		markup_number(page, "x2", 100, "%");
		markup_number(page, "y1", at, "");
		markup_number(page, "y2", at, "");
		markup_close(page);
	}
}

/* The texts of these steps, as an svg that stands left of the other. */
static void
draw_scale(struct markup *page, const struct axis *axis, double height)
{
	markup_open_class(page, "svg", "scale");
	markup_attribute(page, "aria-hidden", "true");
	markup_attribute(page, "width", "100%");
	markup_number(page, "height", AXIS_TOP + height + 4, "");
	for (guint i = 0; i * axis->step < axis->top * 1.001; i++) {
		double value = i * axis->step;
		g_autofree char *label = axis_label(axis, value);
		markup_open_class(page, "text", "ar");
		markup_attribute(page, "x", "100%");
		markup_number(page, "y", AXIS_TOP + height - value / axis->top * height + 4, "");
		markup_text(page, i ? label : "0");
		markup_close(page);
	}
	markup_close(page);
}

void
axis_open_plot(struct markup *page, const struct axis *axis, double height, const char *title,
	       const char *description)
{
	markup_open_class(page, "div", "plot");
	draw_scale(page, axis, height);
	picture_open(page, "lines", AXIS_TOP + height + LABELS, title, description);
	draw_lines(page, axis, height);
}

void
axis_close_plot(struct markup *page, const GArray *marks, double height)
{
	double end = AXIS_TOP + height;
	axis_draw_times(page, marks, end, 3, end + LABELS - 4, AXIS_NARROW);
	markup_close(page);
	markup_close(page);
}
