/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bar for each day of the calendar, so that a day with a change of the clock is one, too. A build
 * counts on the day it began; its time counts there, too. */
#include "service/report/plots.h"

#include "service/report/axis.h"
#include "service/report/picture.h"
#include "service/report/words.h"

#define HEIGHT 90. /* px of the bars */
#define DAYS   91  /* today, and the days of the long period */

struct days {
	gint64 begin[DAYS + 1]; /* µs; the last is the end of today */
	guint builds[DAYS];
	double seconds[DAYS];
	guint all, most;
	double whole;
};

/* The midnights; FALSE: this is no time that a calendar has. */
static gboolean
find_midnights(const struct records *records, struct days *days)
{
	g_autoptr(GDateTime) now = words_clock(records->zone, records->now);
	g_autoptr(GDateTime) today =
	    now ? g_date_time_new(records->zone, g_date_time_get_year(now),
				  g_date_time_get_month(now), g_date_time_get_day_of_month(now), 0,
				  0, 0)
		: NULL;
	for (int i = 0; today && i <= DAYS; i++) {
		g_autoptr(GDateTime) day = g_date_time_add_days(today, i - DAYS + 1);
		if (!day)
			return FALSE;
		days->begin[i] = g_date_time_to_unix(day) * G_USEC_PER_SEC;
	}
	return today != NULL;
}

static void
count(struct days *days, const GArray *builds)
{
	guint day = 0;
	for (guint i = 0; i < builds->len; i++) {
		const struct record_build *build = &g_array_index(builds, struct record_build, i);
		while (day < DAYS && days->begin[day + 1] <= build->from)
			day++;
		if (build->from < days->begin[0] || day == DAYS)
			continue;
		double seconds = (double)(build->until - build->from) / G_USEC_PER_SEC;
		days->builds[day]++;
		days->seconds[day] += seconds;
		days->all++;
		days->whole += seconds;
		days->most = MAX(days->most, days->builds[day]);
	}
}

static void
draw_day(struct markup *page, const struct records *records, const struct days *days, guint i,
	 double scale)
{
	g_autofree char *day = words_day(records->zone, days->begin[i]);
	g_autofree char *builds = words_count(days->builds[i], "build", "builds");
	g_autofree char *time = words_duration(days->seconds[i]);
	double height = days->builds[i] * scale;
	picture_rect(page, "bd", (i + 0.1) / DAYS, 0.8 / DAYS, AXIS_TOP + HEIGHT - height, height);
	markup_open(page, "title");
	markup_textf(page, "%s: %s, %s", day, builds, time);
	markup_close(page);
	markup_close(page);
}

gboolean
plot_builds(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	struct days days = {.all = 0};
	if (!find_midnights(records, &days))
		return FALSE;
	count(&days, guest->builds);
	if (!days.all)
		return FALSE;
	struct axis axis = axis_for(MAX(days.most, 4), AXIS_NUMBER);
	g_autoptr(GArray) marks = axis_times(records->zone, days.begin[0], days.begin[DAYS]);
	g_autofree char *builds = words_count(days.all, "build", "builds");
	g_autofree char *time = words_duration(days.whole);
	g_autofree char *text = g_strdup_printf("%s, which took %s in sum; at most %u on one day.",
						builds, time, days.most);
	axis_open_plot(page, &axis, HEIGHT, "Builds on each day", text);
	for (guint i = 0; i < DAYS; i++)
		if (days.builds[i])
			draw_day(page, records, &days, i, HEIGHT / axis.top);
	axis_close_plot(page, marks, HEIGHT);
	markup_element(page, "p", "note", text);
	return TRUE;
}
