/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bar for each boot, in their order: they come in bunches, so on an axis of time most would lie
 * on one another. A boot that never became ready has no height of its own, and is drawn as high as
 * the plot.
 */
#include "service/report/plots.h"

#include <math.h>

#include "service/report/axis.h"
#include "service/report/picture.h"
#include "service/report/words.h"

#define HEIGHT 130.  /* px of the bars */
#define LEAST  0.005 /* s; shorter phases are not worth a word */
#define PLACES 24    /* bars that the plot has room for at least, so that few are not broad */

struct bars {
	const struct records *records;
	GPtrArray *boots; /* of struct record_boot, borrowed */
	guint all;	  /* boots, also those that are not drawn */
	guint places;
	struct axis axis;
};

static gboolean
is_warm(const struct record_boot *boot)
{
	return boot->how != BOOT_COLD;
}

static double
seconds_of(const struct record_boot *boot)
{
	return boot->ready ? (double)(boot->ready - boot->time) / G_USEC_PER_SEC : NAN;
}

static double
sum_of(const struct record_boot *boot)
{
	double sum = 0;
	for (guint i = 0; i <= RECORDS_PHASES_MAX; i++)
		sum += boot->seconds[i];
	return sum;
}

static const char *
phase_name(const struct records *records, guint phase)
{
	return phase < records->phases->len ? g_ptr_array_index(records->phases, phase) : "other";
}

static const char *
phase_class(guint phase)
{
	static const char *const classes[RECORDS_PHASES_MAX + 1] = {"p0", "p1", "p2", "p3", "p4",
								    "p5", "p6", "p7", "p8"};
	return classes[phase];
}

static int
compare(gconstpointer a, gconstpointer b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median of those that became ready, and the largest; NAN: none did. */
static void
measure(const struct bars *bars, double *median, double *largest, guint *never)
{
	g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(double));
	for (guint i = 0; i < bars->boots->len; i++) {
		double seconds = seconds_of(g_ptr_array_index(bars->boots, i));
		if (!isnan(seconds))
			g_array_append_val(times, seconds);
	}
	g_array_sort(times, compare);
	*never = bars->boots->len - times->len;
	*median = NAN;
	if (times->len)
		*median = (g_array_index(times, double, (times->len - 1) / 2) +
			   g_array_index(times, double, times->len / 2)) /
			  2;
	*largest = times->len ? g_array_index(times, double, times->len - 1) : NAN;
}

static void
find(struct bars *bars, const struct record_guest *guest, gboolean warm)
{
	for (guint i = guest->boots->len; i-- > 0;) {
		struct record_boot *boot = &g_array_index(guest->boots, struct record_boot, i);
		if (is_warm(boot) != warm || boot->time > bars->records->now)
			continue;
		if (bars->all++ < PLOTS_BOOTS_MAX)
			g_ptr_array_insert(bars->boots, 0, boot);
	}
	bars->places = MAX(bars->boots->len, PLACES);
}

/* "Sat 28 Nov, 13:05: ready after 14 s (start 0.5 s, boot 9.1 s, keys 4.4 s)". */
static void
say(struct markup *page, const struct records *records, const struct record_boot *boot)
{
	g_autofree char *when = words_moment(records->zone, boot->time);
	g_autofree char *took = words_duration(seconds_of(boot));
	const char *between = " (";
	markup_open(page, "title");
	if (boot->ready)
		markup_textf(page, "%s: ready after %s", when, took);
	else
		markup_textf(page, "%s: was not ready", when);
	for (guint i = 0; i <= RECORDS_PHASES_MAX; i++) {
		g_autofree char *part = words_duration(boot->seconds[i]);
		if (boot->seconds[i] < LEAST)
			continue;
		markup_textf(page, "%s%s %s", between, phase_name(records, i), part);
		between = ", ";
	}
	if (*between == ',')
		markup_text(page, ")");
	if (boot->ended && *boot->ended)
		markup_textf(page, "; ended: %s", boot->ended);
	markup_close(page);
}

static void
draw_stack(struct markup *page, const struct bars *bars, const struct record_boot *boot, double x,
	   double width)
{
	double whole = seconds_of(boot), sum = sum_of(boot), at = AXIS_TOP + HEIGHT;
	/* Phases that are longer together than the boot are nonsense of some kind: as shares. */
	double scale = HEIGHT / bars->axis.top * (sum > whole ? whole / sum : 1);
	for (guint i = 0; i <= RECORDS_PHASES_MAX; i++) {
		double height = boot->seconds[i] * scale;
		if (height <= 0)
			continue;
		at -= height;
		picture_rect(page, phase_class(i), x, width, at, height);
		markup_close(page);
	}
	double rest = at - (AXIS_TOP + HEIGHT - whole / bars->axis.top * HEIGHT);
	if (rest > 0.5) {
		picture_rect(page, phase_class(RECORDS_PHASES_MAX), x, width, at - rest, rest);
		markup_close(page);
	}
}

static void
draw_bar(struct markup *page, const struct bars *bars, guint i)
{
	const struct record_boot *boot = g_ptr_array_index(bars->boots, i);
	double place = 1. / bars->places;
	markup_open(page, "g");
	say(page, bars->records, boot);
	if (boot->ready)
		draw_stack(page, bars, boot, (i + 0.1) * place, 0.8 * place);
	else {
		picture_rect(page, "pn", (i + 0.1) * place, 0.8 * place, AXIS_TOP, HEIGHT);
		markup_close(page);
	}
	markup_close(page);
}

static void
add_mark(GArray *marks, const struct bars *bars, guint i)
{
	const struct record_boot *boot = g_ptr_array_index(bars->boots, i);
	struct axis_mark mark = {.at = (i + 0.5) / bars->places};
	g_autofree char *day = words_day(bars->records->zone, boot->time);
	g_strlcpy(mark.label, day, sizeof mark.label);
	g_array_append_val(marks, mark);
}

/* Marks with the days of the first bar, the last, and two between. The caller unrefs. */
static GArray *
days_of(const struct bars *bars)
{
	GArray *marks = g_array_new(FALSE, FALSE, sizeof(struct axis_mark));
	guint last = bars->boots->len - 1, n = last >= 12 ? 3 : last ? 1 : 0;
	for (guint i = 0; i <= n; i++)
		add_mark(marks, bars, n ? last * i / n : 0);
	return marks;
}

static void
draw_legend(struct markup *page, const struct bars *bars, gboolean never)
{
	gboolean used[RECORDS_PHASES_MAX + 1] = {FALSE};
	for (guint i = 0; i < bars->boots->len; i++) {
		const struct record_boot *boot = g_ptr_array_index(bars->boots, i);
		double rest = seconds_of(boot) - sum_of(boot);
		for (guint j = 0; j <= RECORDS_PHASES_MAX; j++)
			used[j] |= boot->ready && boot->seconds[j] >= LEAST;
		used[RECORDS_PHASES_MAX] |= rest > 0.005 * bars->axis.top;
	}
	markup_open_class(page, "ul", "legend");
	for (guint i = 0; i <= RECORDS_PHASES_MAX; i++)
		if (used[i])
			picture_legend(page, phase_class(i), 1, phase_name(bars->records, i), NULL);
	if (never)
		picture_legend(page, "pn", 1, "was not ready", NULL);
	markup_close(page);
}

static char *
description(const struct bars *bars, double median, double largest, guint never)
{
	g_autofree char *middle = words_duration(median), *longest = words_duration(largest);
	g_autofree char *boots = words_count(bars->boots->len, "boot", "boots");
	if (isnan(median))
		return g_strdup_printf("%s, none of which became ready.", boots);
	if (bars->boots->len == 1)
		return g_strdup_printf("%s, ready after %s.", boots, longest);
	return g_strdup_printf("%s, half of them ready within %s, the slowest after %s; %u did not "
			       "become ready.",
			       boots, middle, longest, never);
}

static void
draw(struct markup *page, struct bars *bars, const char *title)
{
	double median, largest;
	guint never;
	measure(bars, &median, &largest, &never);
	bars->axis = axis_for(largest, AXIS_SECONDS);
	g_autofree char *text = description(bars, median, largest, never);
	g_autoptr(GArray) days = days_of(bars);
	draw_legend(page, bars, never > 0);
	axis_open_plot(page, &bars->axis, HEIGHT, title, text);
	for (guint i = 0; i < bars->boots->len; i++)
		draw_bar(page, bars, i);
	axis_close_plot(page, days, HEIGHT);
}

gboolean
plot_boots(struct markup *page, const struct records *records, const struct record_guest *guest,
	   gboolean warm)
{
	struct bars bars = {.records = records, .boots = g_ptr_array_new()};
	find(&bars, guest, warm);
	g_autofree char *title =
	    g_strdup_printf(bars.all > bars.boots->len ? "%s: the last %u of %u" : "%s: %u",
			    warm ? "Wakes and starts from the warm state" : "Boots from the disk",
			    bars.boots->len, bars.all);
	gboolean any = bars.boots->len > 0;
	if (any) {
		markup_element(page, "h3", NULL, title);
		draw(page, &bars, title);
	}
	g_ptr_array_unref(bars.boots);
	return any;
}
