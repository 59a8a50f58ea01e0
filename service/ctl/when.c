/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A moment as people write it: "10min", for so long ago, "12:30", "2026-11-29 12:30". */
#include "service/ctl/ctl.h"

#include <string.h>
#include <time.h>

#define DAY 86400.

/* "10min", "36h", "7d", "2w" in seconds. */
static gboolean
parse_age(const char *text, double *seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"d", DAY}, {"w", 7 * DAY}};
	gsize length = strlen(text);
	for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
		g_autofree char *number =
		    g_str_has_suffix(text, units[i].name) ? g_strndup(text, length - 1) : NULL;
		if (!number || !ctl_parse_time(number, seconds))
			continue;
		*seconds *= units[i].seconds;
		return g_ascii_isdigit(number[length - 2]);
	}
	return length && g_ascii_isalpha(text[length - 1]) && ctl_parse_time(text, seconds);
}

/* Set what format has of tm; FALSE: text has another form, or is no date. */
static gboolean
takes(const char *text, const char *format, struct tm *tm)
{
	struct tm read = *tm;
	const char *end = strptime(text, format, &read);
	struct tm same = read;
	same.tm_isdst = -1; /* the time zone knows */
	if (!end || *end || mktime(&same) == (time_t)-1 || same.tm_mday != read.tm_mday)
		return FALSE;
	*tm = same;
	return TRUE;
}

static gboolean
parse(const char *text, double now, double *at)
{
	static const char *const dates[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
	static const char *const times[] = {"%H:%M", "%H:%M:%S"};
	double age;
	time_t seconds = (time_t)now;
	struct tm today;
	if (parse_age(text, &age)) {
		*at = now - age;
		return TRUE;
	}
	if (!localtime_r(&seconds, &today))
		return FALSE;
	today.tm_hour = today.tm_min = today.tm_sec = 0;
	gboolean yesterday = !strcmp(text, "yesterday");
	today.tm_mday -= yesterday;
	gboolean found = yesterday || !strcmp(text, "today");
	for (gsize i = 0; !found && i < G_N_ELEMENTS(dates); i++)
		found = takes(text, dates[i], &today);
	for (gsize i = 0; !found && i < G_N_ELEMENTS(times); i++)
		found = takes(text, times[i], &today);
	today.tm_isdst = -1;
	*at = (double)mktime(&today);
	return found;
}

gboolean
ctl_parse_moment(const char *option, const char *text, const char *also, double *at, GError **error)
{
	if (parse(text, ctl_now(), at))
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_USAGE,
		    "%s %s: not a time; write 10min, 36h, 7d or 2w (ago), 14:50, 2026-11-29, "
		    "'2026-11-29 14:50', today or yesterday%s",
		    option, text, also ? also : "");
	return FALSE;
}

gboolean
ctl_parse_since(const char *text, const char *also, double *at, GError **error)
{
	if (!ctl_parse_moment("--since", text, also, at, error))
		return FALSE;
	if (*at <= ctl_now())
		return TRUE;
	g_autofree char *date = ctl_date(*at);
	g_set_error(error, CTL_ERROR, CTL_USAGE,
		    "--since %s: %s is in the future; a time without a date is one of today", text,
		    date);
	return FALSE;
}
