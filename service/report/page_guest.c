/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page of one guest: strips, figures, boots, builds, load and store, failures. */
#include "service/report/pages.h"

#include <math.h>
#include <string.h>

#include "service/report/plots.h"
#include "service/report/strip.h"
#include "service/report/words.h"

/* --- figures --- */

static char *
availability(const struct record_figures *figures)
{
	return page_share(figures->availability);
}

static char *
builds(const struct record_figures *figures)
{
	return page_number(figures->builds);
}

static char *
build_time(const struct record_figures *figures)
{
	return page_duration(figures->build_seconds);
}

static char *
boots(const struct record_figures *figures)
{
	return page_number(figures->boots);
}

static char *
median_boot(const struct record_figures *figures)
{
	return page_duration(figures->median_boot);
}

static char *
failures(const struct record_figures *figures)
{
	return page_number(figures->failures);
}

static char *
between_failures(const struct record_figures *figures)
{
	/* One that never was up has failures, but no time between them. */
	return page_duration(figures->mtbf > 0 ? figures->mtbf : NAN);
}

static const struct {
	const char *name;
	char *(*text)(const struct record_figures *figures); /* the caller frees */
} figures[] = {{"available", availability},
	       {"builds", builds},
	       {"time of builds", build_time},
	       {"boots", boots},
	       {"median boot", median_boot},
	       {"failures", failures},
	       {"mean time between failures", between_failures}};

static void
put_figures(struct markup *page, const struct record_guest *guest)
{
	const char *heads[N_PERIODS + 2] = {"The last"};
	for (guint i = 0; i < N_PERIODS; i++)
		heads[i + 1] = period_name((enum period)i);
	g_autofree char *caption = g_strdup_printf("Figures of %s", guest->name);
	markup_element(page, "h2", NULL, "Figures");
	page_table(page, caption, heads);
	for (gsize i = 0; i < G_N_ELEMENTS(figures); i++) {
		markup_open(page, "tr");
		markup_open(page, "th");
		markup_attribute(page, "scope", "row");
		markup_text(page, figures[i].name);
		markup_close(page);
		for (guint j = 0; j < N_PERIODS; j++) {
			g_autofree char *text = figures[i].text(&guest->figures[j]);
			markup_element(page, "td", "number", text);
		}
		markup_close(page);
	}
	page_table_end(page);
	markup_element(
	    page, "p", "note",
	    "A median boot counts from the start of QEMU, without what comes before it.");
}

/* --- boots --- */

static void
put_boot(struct markup *page, const struct records *records, const struct record_boot *boot)
{
	static const char *const how[] = {
	    [BOOT_COLD] = "boot", [BOOT_WARM] = "warm", [BOOT_WAKE] = "woken"};
	g_autofree char *took =
	    boot->ready ? words_duration((double)(boot->ready - boot->time) / G_USEC_PER_SEC)
			: g_strdup("never");
	g_autofree char *ran =
	    boot->end >= boot->time
		? words_duration((double)(boot->end - boot->time) / G_USEC_PER_SEC)
		: g_strdup("–");
	markup_open(page, "tr");
	markup_open_class(page, "td", "when");
	page_time(page, records, boot->time);
	markup_close(page);
	markup_element(page, "td", NULL, how[boot->how]);
	markup_element(page, "td", "number", took);
	markup_element(page, "td", "number", ran);
	markup_element(page, "td", "text", boot->ended ? boot->ended : "");
	markup_close(page);
}

static void
put_boots(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	static const char *const heads[] = {"When", "How", "Ready after", "Ran for", "Ended", NULL};
	guint n = guest->boots->len;
	markup_open(page, "details");
	markup_element(page, "summary", NULL, "Boots as a table");
	page_table(page, n > PAGES_ROWS_MAX ? "The last boots" : "Boots", heads);
	for (guint i = n; i-- > n - MIN(n, PAGES_ROWS_MAX);)
		put_boot(page, records, &g_array_index(guest->boots, struct record_boot, i));
	page_table_end(page);
	markup_element(
	    page, "p", "note",
	    "These times count from the beginning of a start, with what comes before "
	    "QEMU; childhurdctl history and a median boot count from the start of QEMU.");
	markup_close(page);
}

static void
put_boot_plots(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	markup_element(page, "h2", NULL, "Boots");
	gboolean cold = plot_boots(page, records, guest, FALSE);
	gboolean warm = plot_boots(page, records, guest, TRUE);
	if (guest->restores) {
		g_autofree char *mean = words_duration(guest->restore_seconds / guest->restores);
		g_autofree char *times = words_count(guest->restores, "time", "times");
		markup_open_class(page, "p", "note");
		markup_textf(page, "Reset to its warm state while it ran: %s, %s on average.",
			     times, mean);
		markup_close(page);
	}
	if (cold || warm)
		put_boots(page, records, guest);
	else
		markup_element(page, "p", "note", "None is known.");
}

/* --- builds, load, store --- */

static void
put_builds(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	markup_element(page, "h2", NULL, "Builds on each day");
	if (!plot_builds(page, records, guest))
		markup_element(page, "p", "note", "None is known.");
}

/* Whether any sample has that value. */
static gboolean
is_known(const struct record_guest *guest, enum plot_value value)
{
	for (guint i = 0; i < guest->samples->len; i++) {
		const struct record_sample *sample =
		    &g_array_index(guest->samples, struct record_sample, i);
		if (isfinite(value == PLOT_LOAD ? sample->load : sample->store_free))
			return TRUE;
	}
	return FALSE;
}

static void
put_lines(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	gboolean any = FALSE;
	gboolean load = is_known(guest, PLOT_LOAD), store = is_known(guest, PLOT_STORE);
	markup_element(page, "h2", NULL,
		       load == store ? "Load and free store"
		       : load	     ? "Load"
				     : "Free store");
	markup_open_class(page, "div", "pair");
	for (guint i = 0; i < 2; i++) {
		enum period period = i ? PERIOD_LONG : PERIOD_WEEK;
		any |= plot_line(page, records, guest, PLOT_LOAD, period);
		any |= plot_line(page, records, guest, PLOT_STORE, period);
	}
	markup_close(page);
	if (!any)
		markup_element(page, "p", "note", "Nothing is known.");
}

/* --- failures --- */

static void
put_screenshot(struct markup *page, const struct records *records, const struct record_guest *guest,
	       const struct record_failure *failure)
{
	g_autofree char *file = page_file_of_screenshot(failure);
	g_autofree char *when = words_moment(records->zone, failure->time);
	g_autofree char *text =
	    g_strdup_printf("The screen of %s when it failed, %s", guest->name, when);
	markup_open(page, "a");
	markup_attribute(page, "href", file);
	markup_open(page, "img");
	markup_attribute(page, "src", file);
	markup_attribute(page, "alt", text);
	markup_attribute(page, "loading", "lazy");
	markup_close(page);
	markup_close(page);
}

static void
put_failure(struct markup *page, const struct records *records, const struct record_guest *guest,
	    guint i)
{
	const struct record_failure *failure =
	    &g_array_index(guest->failures, struct record_failure, i);
	markup_open_class(page, "article", "card failure");
	markup_open(page, "h3");
	page_time(page, records, failure->time);
	markup_close(page);
	if (*failure->phase)
		markup_element(page, "p", "note", failure->phase);
	markup_element(page, "p", "text",
		       *failure->reason ? failure->reason : "No reason is known.");
	if (page_has_screenshot(guest, i))
		put_screenshot(page, records, guest, failure);
	markup_close(page);
}

static void
put_failures(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	guint n = guest->failures->len;
	markup_element(page, "h2", NULL, "Failures");
	if (!n)
		markup_element(page, "p", "note", "None is known.");
	if (n > PAGES_FAILURES_MAX) {
		markup_open_class(page, "p", "note");
		markup_textf(page, "The last %d of %u.", PAGES_FAILURES_MAX, n);
		markup_close(page);
	}
	for (guint i = n; i-- > n - MIN(n, PAGES_FAILURES_MAX);)
		put_failure(page, records, guest, i);
}

/* --- the page --- */

static void
put_now(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	g_autofree char *since =
	    guest->since ? words_duration((double)(records->now - guest->since) / G_USEC_PER_SEC)
			 : NULL;
	markup_open_class(page, "p", "now");
	page_state(page, guest->state);
	if (since)
		markup_textf(page, " for %s", since);
	if (guest->why && *guest->why)
		markup_textf(page, ": %s", guest->why);
	markup_close(page);
	page_now(page, records);
}

static void
put_strips(struct markup *page, const struct records *records, const struct record_guest *guest)
{
	markup_element(page, "h2", NULL, "States");
	strip_legend(page);
	for (guint i = 0; i < N_PERIODS; i++) {
		markup_open(page, "h3");
		markup_textf(page, "The last %s", period_name((enum period)i));
		markup_close(page);
		strip_draw(page, records, guest, (enum period)i, TRUE);
	}
}

GString *
page_guest(const struct records *records, const struct record_guest *guest)
{
	struct markup page;
	page_begin(&page, records, guest->name, TRUE);
	put_now(&page, records, guest);
	put_strips(&page, records, guest);
	put_figures(&page, guest);
	put_boot_plots(&page, records, guest);
	put_builds(&page, records, guest);
	put_lines(&page, records, guest);
	put_failures(&page, records, guest);
	return page_end(&page);
}
