/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page with all guests: what is wrong, figures, a card for each guest, the latest failures. */
#include "service/report/pages.h"

#include <math.h>
#include <string.h>

#include "service/report/strip.h"
#include "service/report/words.h"

/* What the guests have in sum over the long period. */
struct sums {
	guint configured, ready, counted;
	double availability, boots, failures, builds, build_seconds;
};

static double
or_none(double number)
{
	return isnan(number) ? 0 : number;
}

static struct sums
sum_up(const struct records *records)
{
	struct sums sums = {0};
	for (guint i = 0; i < records->guests->len; i++) {
		const struct record_guest *guest = g_ptr_array_index(records->guests, i);
		const struct record_figures *figures = &guest->figures[PERIOD_LONG];
		sums.configured += guest->state != NULL;
		sums.ready += guest->state && !strcmp(guest->state, "ready");
		sums.counted += !isnan(figures->availability);
		sums.availability += or_none(figures->availability);
		sums.boots += or_none(figures->boots);
		sums.failures += or_none(figures->failures);
		sums.builds += or_none(figures->builds);
		sums.build_seconds += or_none(figures->build_seconds);
	}
	return sums;
}

/* A figure: its value, large, and what it is. */
static void
put_tile(struct markup *page, const char *what, const char *value)
{
	markup_open(page, "div");
	markup_element(page, "dt", NULL, what);
	markup_element(page, "dd", NULL, value);
	markup_close(page);
}

static void
put_number(struct markup *page, const char *what, double number)
{
	g_autofree char *text = page_number(number);
	put_tile(page, what, text);
}

static void
put_sums(struct markup *page, const struct records *records)
{
	struct sums sums = sum_up(records);
	g_autofree char *ready = g_strdup_printf("%u of %u", sums.ready, sums.configured);
	g_autofree char *share =
	    sums.counted ? words_share(sums.availability / sums.counted) : g_strdup("–");
	g_autofree char *time = words_duration(sums.build_seconds);
	markup_open_class(page, "dl", "tiles");
	put_tile(page, "ready now", ready);
	put_tile(page, "available", share);
	put_number(page, "builds", sums.builds);
	put_tile(page, "time of builds", time);
	put_number(page, "boots", sums.boots);
	put_number(page, "failures", sums.failures);
	markup_close(page);
	markup_open_class(page, "p", "note");
	markup_textf(page,
		     "Available: the share of the time in which a guest was wanted, and was "
		     "there. All figures but the first are those of the last %s.",
		     period_name(PERIOD_LONG));
	markup_close(page);
}

static void
put_link(struct markup *page, const struct record_guest *guest)
{
	g_autofree char *file = page_file_of_guest(guest->name);
	markup_open(page, "a");
	markup_attribute(page, "href", file);
	markup_text(page, guest->name);
	markup_close(page);
}

/* --- who needs help --- */

static gboolean
in_trouble(const struct record_guest *guest)
{
	return guest->state && kind_of_state(guest->state) == KIND_TROUBLE;
}

static void
put_one_in_trouble(struct markup *page, const struct record_guest *guest)
{
	markup_open(page, "li");
	put_link(page, guest);
	markup_text(page, " ");
	page_state(page, guest->state);
	if (guest->why && *guest->why)
		markup_textf(page, ": %s", guest->why);
	markup_close(page);
}

static void
put_trouble(struct markup *page, const struct records *records)
{
	guint n = 0, shown = 0;
	for (guint i = 0; i < records->guests->len; i++)
		n += in_trouble(g_ptr_array_index(records->guests, i));
	if (!n)
		return;
	markup_open_class(page, "section", "card notice");
	markup_open(page, "h2");
	markup_textf(page, "%u in trouble", n);
	markup_close(page);
	markup_open(page, "ul");
	for (guint i = 0; i < records->guests->len && shown < PAGES_LATEST_MAX; i++)
		if (in_trouble(g_ptr_array_index(records->guests, i))) {
			put_one_in_trouble(page, g_ptr_array_index(records->guests, i));
			shown++;
		}
	if (n > shown) {
		markup_open(page, "li");
		markup_textf(page, "and %u more", n - shown);
		markup_close(page);
	}
	markup_close(page);
	markup_close(page);
}

/* --- a guest --- */

static void
put_figures(struct markup *page, const struct record_guest *guest)
{
	const struct record_figures *figures = &guest->figures[PERIOD_LONG];
	g_autofree char *share = page_share(figures->availability);
	g_autofree char *boot = page_duration(figures->median_boot);
	markup_open_class(page, "dl", "small");
	put_tile(page, "available", share);
	put_tile(page, "median boot", boot);
	put_number(page, "builds", figures->builds);
	put_number(page, "failures", figures->failures);
	markup_close(page);
}

static void
put_strips(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	markup_open_class(page, "div", "strips");
	for (guint i = 0; i < N_PERIODS; i++) {
		markup_element(page, "span", NULL, period_name((enum period)i));
		strip_draw(page, records, guest, (enum period)i, FALSE);
	}
	markup_close(page);
}

static void
put_guest(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	markup_open_class(page, "article", "card guest");
	markup_open(page, "div");
	markup_open_class(page, "div", "who");
	markup_open(page, "h3");
	put_link(page, guest);
	markup_close(page);
	page_state(page, guest->state);
	markup_close(page);
	put_figures(page, guest);
	markup_close(page);
	put_strips(page, records, guest);
	markup_close(page);
}

/* --- failures --- */

struct latest {
	const struct record_guest *guest;
	const struct record_failure *failure;
};

static int
later_first(gconstpointer a, gconstpointer b)
{
	const struct latest *x = a, *y = b;
	return (x->failure->time < y->failure->time) - (x->failure->time > y->failure->time);
}

/* The last failures of all guests. The caller unrefs. */
static GArray *
find_latest(const struct records *records)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct latest));
	for (guint i = 0; i < records->guests->len; i++) {
		const struct record_guest *guest = g_ptr_array_index(records->guests, i);
		guint n = guest->failures->len, least = n - MIN(n, PAGES_LATEST_MAX);
		for (guint j = least; j < n; j++) {
			struct latest latest = {
			    guest, &g_array_index(guest->failures, struct record_failure, j)};
			g_array_append_val(all, latest);
		}
	}
	g_array_sort(all, later_first);
	g_array_set_size(all, MIN(all->len, PAGES_LATEST_MAX));
	return all;
}

static void
put_failures(struct markup *page, const struct records *records)
{
	g_autoptr(GArray) latest = find_latest(records);
	if (!latest->len) {
		markup_element(page, "p", NULL, "None.");
		return;
	}
	markup_open_class(page, "ul", "latest");
	for (guint i = 0; i < latest->len; i++) {
		const struct latest *one = &g_array_index(latest, struct latest, i);
		markup_open(page, "li");
		page_time(page, records, one->failure->time);
		put_link(page, one->guest);
		markup_element(page, "span", "text", one->failure->reason);
		markup_close(page);
	}
	markup_close(page);
}

/* --- the page --- */

GString *
page_all(const struct records *records)
{
	struct markup page;
	g_autofree char *title = g_strdup_printf("The Hurd guests of %s", records->host);
	page_begin(&page, records, title, FALSE);
	page_now(&page, records);
	put_trouble(&page, records);
	put_sums(&page, records);
	markup_element(&page, "h2", NULL, "Guests");
	strip_legend(&page);
	if (!records->guests->len)
		markup_element(&page, "p", NULL, "There are none.");
	for (guint i = 0; i < records->guests->len; i++)
		put_guest(&page, records, g_ptr_array_index(records->guests, i));
	markup_element(&page, "h2", NULL, "Latest failures");
	put_failures(&page, records);
	return page_end(&page);
}
