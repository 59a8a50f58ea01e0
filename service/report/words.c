/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pages are in English, so the C library's names of months and its decimal comma in other
 * locales would be wrong here.
 */
#include "service/report/words.h"

#include <math.h>

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

char *
words_number(double value, guint decimals)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE], format[8];
	if (!isfinite(value) || fabs(value) > 1e18)
		return g_strdup("?");
	g_snprintf(format, sizeof format, "%%.%uf", MIN(decimals, 6));
	return g_strdup(g_ascii_formatd(text, sizeof text, format, value));
}

char *
words_duration(double seconds)
{
	if (!isfinite(seconds) || seconds > 1e12)
		return g_strdup("?");
	seconds = MAX(seconds, 0);
	if (seconds < 59.5) {
		guint decimals = seconds >= 9.95 || seconds <= 0 ? 0 : seconds < 0.095 ? 2 : 1;
		g_autofree char *number = words_number(seconds, decimals);
		return g_strconcat(number, " s", NULL);
	}
	guint64 s = (guint64)(seconds + 0.5), minutes = s / 60, hours = minutes / 60;
	if (hours >= 48)
		return g_strdup_printf("%" G_GUINT64_FORMAT " d %u h", hours / 24,
				       (guint)(hours % 24));
	if (hours)
		return g_strdup_printf("%" G_GUINT64_FORMAT " h %u min", hours,
				       (guint)(minutes % 60));
	return s % 60 ? g_strdup_printf("%u min %u s", (guint)minutes, (guint)(s % 60))
		      : g_strdup_printf("%u min", (guint)minutes);
}

char *
words_size(double bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	double number = MAX(bytes, 0) / 1024;
	guint unit = 0;
	if (!isfinite(bytes) || bytes > 1e18)
		return g_strdup("?");
	while (number >= 1024 && unit < G_N_ELEMENTS(units) - 1) {
		number /= 1024;
		unit++;
	}
	g_autofree char *text = words_number(number, number < 9.95 && unit ? 1 : 0);
	return g_strdup_printf("%s %s", text, units[unit]);
}

char *
words_share(double share)
{
	if (!isfinite(share))
		return g_strdup("?");
	/* The small number is for what floating point loses: 0.29 * 1000 is less than 290. */
	double percent = floor(CLAMP(share, 0, 1) * 1000 + 1e-6) / 10;
	g_autofree char *text = words_number(percent, percent > 0 && percent < 100);
	return g_strconcat(text, " %", NULL);
}

char *
words_count(guint64 n, const char *one, const char *many)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT " %s", n, n == 1 ? one : many);
}

GDateTime *
words_clock(GTimeZone *zone, gint64 time)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time / G_USEC_PER_SEC);
	return utc ? g_date_time_to_timezone(utc, zone) : NULL;
}

char *
words_date(GTimeZone *zone, gint64 time)
{
	g_autoptr(GDateTime) date = words_clock(zone, time);
	if (!date)
		return g_strdup("?");
	return g_strdup_printf("%d %s %d, %02d:%02d", g_date_time_get_day_of_month(date),
			       months[g_date_time_get_month(date) - 1], g_date_time_get_year(date),
			       g_date_time_get_hour(date), g_date_time_get_minute(date));
}

char *
words_moment(GTimeZone *zone, gint64 time)
{
	g_autoptr(GDateTime) date = words_clock(zone, time);
	if (!date)
		return g_strdup("?");
	return g_strdup_printf("%s %d %s, %02d:%02d", days[g_date_time_get_day_of_week(date) - 1],
			       g_date_time_get_day_of_month(date),
			       months[g_date_time_get_month(date) - 1], g_date_time_get_hour(date),
			       g_date_time_get_minute(date));
}

char *
words_day(GTimeZone *zone, gint64 time)
{
	g_autoptr(GDateTime) date = words_clock(zone, time);
	return date ? g_strdup_printf("%d %s", g_date_time_get_day_of_month(date),
				      months[g_date_time_get_month(date) - 1])
		    : g_strdup("?");
}

char *
words_machine(GTimeZone *zone, gint64 time)
{
	g_autoptr(GDateTime) date = words_clock(zone, time);
	return date ? g_date_time_format(date, "%Y-%m-%dT%H:%M:%S%z") : g_strdup("?");
}
