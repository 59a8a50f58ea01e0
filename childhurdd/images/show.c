/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/images/show.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/base/text.h"

#define RATE_AFTER (G_USEC_PER_SEC) /* before that a rate says nothing */

void
show_init(struct show *show, const char *name)
{
	*show = (struct show){.name = g_strdup(name), .terminal = isatty(STDOUT_FILENO)};
}

void
show_hide(struct show *show)
{
	if (show->drawn)
		fputs("\r\033[K", stdout);
	show->drawn = FALSE;
	fflush(stdout);
}

void
show_clear(struct show *show)
{
	show_hide(show);
	g_free(show->name);
	g_free(show->what);
}

char *
show_size(gint64 bytes)
{
	const double unit = 1024;
	double number = (double)bytes;
	if (number < unit)
		return g_strdup_printf("%.0f bytes", number);
	if (number < unit * unit)
		return g_strdup_printf("%.0fK", number / unit);
	if (number < 10 * unit * unit)
		return g_strdup_printf("%.1fM", number / unit / unit);
	if (number < unit * unit * unit)
		return g_strdup_printf("%.0fM", number / unit / unit);
	if (number < unit * unit * unit * unit)
		return g_strdup_printf("%.1fG", number / unit / unit / unit);
	return g_strdup_printf("%.1fT", number / unit / unit / unit / unit);
}

static char *
duration(double seconds)
{
	int s = (int)CLAMP(seconds + 0.5, 0, 1e8);
	if (s < 120)
		return g_strdup_printf("%ds", s);
	if (s < 120 * 60)
		return g_strdup_printf("%dmin", s / 60);
	return g_strdup_printf("%dh", s / 3600);
}

static void
draw(struct show *show, const char *text)
{
	struct winsize size = {0};
	if (!show->terminal) {
		printf("%s\n", text);
		fflush(stdout);
		return;
	}
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
		size.ws_col = 80;
	/* The last column stays free, as terminals differ in what they do after it. */
	g_autofree char *cut =
	    g_utf8_substring(text, 0, MIN(g_utf8_strlen(text, -1), size.ws_col - 1));
	printf("\r\033[K%s", cut);
	show->drawn = TRUE;
	fflush(stdout);
}

void
show_begin(struct show *show, const char *what)
{
	g_free(show->what);
	show->what = g_strdup(what);
	show->began = show->shown = g_get_monotonic_time();
	show->first = -1;
	g_autofree char *text = g_strdup_printf("%s: %s", show->name, what);
	draw(show, text);
}

/* "fetching 43% of 340M, 11.2M/s, 17s left" */
static char *
words(const struct show *show, gint64 done, gint64 total, gint64 now)
{
	GString *text = g_string_new(NULL);
	g_autofree char *so_far = show_size(done), *all = show_size(total);
	double passed = (double)(now - show->began);
	double rate =
	    passed > RATE_AFTER ? (double)(done - show->first) / passed * G_USEC_PER_SEC : 0;
	g_string_printf(text, "%s: %s ", show->name, show->what);
	if (total > 0)
		g_string_append_printf(text, "%d%% of %s",
				       (int)((double)done * 100 / (double)total), all);
	else
		g_string_append(text, so_far);
	if (rate > 0) {
		g_autofree char *each = show_size((gint64)rate);
		g_string_append_printf(text, ", %s/s", each);
	}
	if (rate > 0 && total > 0) {
		g_autofree char *left = duration((double)(total - done) / rate);
		g_string_append_printf(text, ", %s left", left);
	}
	return g_string_free(text, FALSE);
}

void
show_bytes(struct show *show, gint64 done, gint64 total)
{
	gint64 now = g_get_monotonic_time();
	if (show->first < 0)
		show->first = done;
	if (now - show->shown < (show->terminal ? SHOW_INTERVAL : SHOW_LINES))
		return;
	show->shown = now;
	g_autofree char *text = words(show, done, MAX(total, 0), now);
	draw(show, text);
}

void
show_say(struct show *show, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *clean = text_output(text, TRUE, TRUE);
	show_hide(show);
	printf("%s: %s\n", show->name, clean);
	fflush(stdout);
}
