/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers, times and texts for people. Text from a guest or a log must not control the terminal. */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "config/base/streams.h"
#include "config/base/text.h"

double
ctl_now(void)
{
	return (double)g_get_real_time() / G_USEC_PER_SEC;
}

char *
ctl_duration(double seconds)
{
	/* A clock that was set back must not give a negative time. */
	gint64 s = seconds > 0 && seconds < 1e12 ? (gint64)seconds : 0;
	if (s < 120)
		return g_strdup_printf("%" G_GINT64_FORMAT "s", s);
	if (s < 120 * 60)
		return g_strdup_printf("%" G_GINT64_FORMAT "min", s / 60);
	if (s < 48 * 3600)
		return g_strdup_printf("%" G_GINT64_FORMAT "h", s / 3600);
	return g_strdup_printf("%" G_GINT64_FORMAT "d", s / 86400);
}

char *
ctl_size(double bytes)
{
	if (bytes <= 0)
		return g_strdup("-");
	if (bytes < 1024 * 1024)
		return g_strdup_printf("%.0fK", bytes / 1024);
	if (bytes < 1024. * 1024 * 1024)
		return g_strdup_printf("%.0fM", bytes / (1024 * 1024));
	return g_strdup_printf("%.1fG", bytes / (1024. * 1024 * 1024));
}

char *
ctl_date(double at)
{
	time_t seconds = at > 0 ? (time_t)MIN(at, 1e11) : 0;
	struct tm tm;
	char text[32] = "?";
	if (!isnan(at) && localtime_r(&seconds, &tm))
		text[strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm)] = '\0';
	return g_strdup(text);
}

char *
ctl_time(double at, double now)
{
	g_autofree char *date = ctl_date(at), *today = ctl_date(now);
	const gsize day = strlen("2026-11-21 ");
	return g_strdup(strncmp(date, today, day) ? date : date + day);
}

gboolean
ctl_is_terminal(void)
{
	static int answer = -1; /* kept, because each cell of a table asks */
	if (answer < 0)
		answer = isatty(STDOUT_FILENO);
	return answer;
}

static struct winsize
window(void)
{
	struct winsize size = {0};
	if (ctl_is_terminal())
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return size;
}

int
ctl_width(void)
{
	int columns = window().ws_col;
	return columns || !ctl_is_terminal() ? columns : 80;
}

int
ctl_height(void)
{
	int rows = window().ws_row;
	return rows || !ctl_is_terminal() ? rows : 24;
}

char *
ctl_clean(const char *text, gboolean line)
{
	return text_output(text, line, ctl_is_terminal());
}

void
ctl_say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_strdelimit(text, "\n", ' ');
	streams_complain("childhurdctl", text);
}

char *
ctl_coloured(const char *state, const char *text)
{
	static const char *const green[] = {"ready", NULL};
	static const char *const red[] = {"failed", "unresponsive", NULL};
	if (!streams_colours(STDOUT_FILENO) || !strcmp(state, "stopped") ||
	    !strcmp(state, "asleep"))
		return g_strdup(text);
	return g_strdup_printf("\033[%dm%s\033[m",
			       g_strv_contains(green, state) ? 32
			       : g_strv_contains(red, state) ? 31
							     : 33,
			       text);
}

char *
ctl_cut(const char *text, int width)
{
	return width > 0 ? ctl_fit(text, width) : g_strdup(text);
}

gboolean
ctl_parse_time(const char *text, double *seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"min", 60}, {"h", 3600}};
	char *end;
	/* strtod alone would also take signs, hexadecimal numbers, "inf" and leading spaces. */
	gsize digits = strspn(text, "0123456789.");
	double number = g_ascii_strtod(text, &end);
	if (!g_ascii_isdigit(text[0]) || end != text + digits)
		return FALSE;
	while (*end == ' ')
		end++;
	for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
		if (!strcmp(units[i].name, end) && number * units[i].seconds <= 366 * 86400.) {
			*seconds = number * units[i].seconds;
			return TRUE;
		}
	return FALSE;
}
