/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/pages.h"

#include <math.h>
#include <string.h>

#include "service/report/picture.h"
#include "service/report/words.h"

/* style.S */
extern const char report_style[];

/* Pictures of the report's own folder, this very style, and nothing else. A file has no origin, so
 * "self" does not hold for one that is opened without a server. */
static void
put_policy(struct markup *page)
{
	guint8 digest[32];
	gsize length = sizeof digest;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_checksum_update(sum, (const guchar *)report_style, -1);
	g_checksum_get_digest(sum, digest, &length);
	g_autofree char *base64 = g_base64_encode(digest, length);
	/* What is in single quotes must stay so: no text of others is in it. */
	markup_constant(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
			      "'none'; img-src 'self' file: data:; style-src 'sha256-");
	markup_constant(page, base64);
	markup_constant(page, "'; base-uri 'none'; form-action 'none'\">");
}

static void
put_meta(struct markup *page, const char *name, const char *content)
{
	markup_open(page, "meta");
	markup_attribute(page, "name", name);
	markup_attribute(page, "content", content);
	markup_close(page);
}

/* Without an icon of its own, a browser asks the server for one. */
static void
put_icon(struct markup *page)
{
	markup_open(page, "link");
	markup_attribute(page, "rel", "icon");
	markup_attribute(page, "href",
			 "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 "
			 "0 8 8'%3E%3Cpath fill='%232a9d63' d='M0 1h2v7H0zM3 3h2v5H3zM6 "
			 "0h2v8H6z'/%3E%3C/svg%3E");
	markup_close(page);
}

static void
put_head(struct markup *page, const char *title)
{
	markup_open(page, "head");
	markup_constant(page, "<meta charset=\"utf-8\">");
	put_policy(page);
	put_meta(page, "viewport", "width=device-width, initial-scale=1");
	put_meta(page, "color-scheme", "light dark");
	put_meta(page, "referrer", "no-referrer");
	put_meta(page, "generator", "childhurdctl report " CHILDHURD_VERSION);
	markup_element(page, "title", NULL, title);
	put_icon(page);
	markup_open(page, "style");
	markup_constant(page, report_style);
	markup_close(page);
	markup_close(page);
}

void
page_begin(struct markup *page, const struct records *records, const char *title, gboolean back)
{
	g_autofree char *whole = g_strdup_printf("%s – %s", title, records->host);
	markup_init(page);
	markup_constant(page, "<!DOCTYPE html>\n");
	markup_open(page, "html");
	markup_attribute(page, "lang", "en");
	put_head(page, back ? whole : title);
	markup_open(page, "body");
	picture_patterns(page);
	markup_open(page, "header");
	if (back) {
		markup_open(page, "nav");
		markup_open(page, "a");
		markup_attribute(page, "href", "index.html");
		markup_textf(page, "← All guests of %s", records->host);
		markup_close(page);
		markup_close(page);
	}
	markup_element(page, "h1", NULL, title);
	markup_close(page);
	markup_open(page, "main");
}

static void
put_foot(struct markup *page)
{
	markup_open(page, "footer");
	markup_open(page, "p");
	markup_text(page, "Made by ");
	markup_element(page, "code", NULL, "childhurdctl report");
	markup_text(page, " " CHILDHURD_VERSION ". Point at a strip or a bar to read what it is.");
	markup_close(page);
	markup_close(page);
}

GString *
page_end(struct markup *page)
{
	markup_close(page); /* main */
	put_foot(page);
	markup_close(page);
	markup_close(page);
	markup_constant(page, "\n");
	return markup_finish(page);
}

void
page_state(struct markup *page, const char *state)
{
	enum kind kind = kind_of_state(state);
	markup_open(page, "span");
	g_autofree char *class = g_strdup_printf("state s%d", (int)kind);
	markup_attribute(page, "class", class);
	markup_open(page, "span");
	markup_attribute(page, "aria-hidden", "true");
	markup_textf(page, "%s ", state ? kind_look(kind)->sign : "–");
	markup_close(page);
	markup_text(page, state ? state : "not configured any more");
	markup_close(page);
}

char *
page_number(double number)
{
	return isnan(number) ? g_strdup("–") : words_number(number, 0);
}

char *
page_duration(double seconds)
{
	return isnan(seconds) ? g_strdup("–") : words_duration(seconds);
}

char *
page_share(double share)
{
	return isnan(share) ? g_strdup("–") : words_share(share);
}

void
page_time(struct markup *page, const struct records *records, gint64 time)
{
	g_autofree char *machine = words_machine(records->zone, time);
	g_autofree char *date = words_date(records->zone, time);
	markup_open(page, "time");
	markup_attribute(page, "datetime", machine);
	markup_text(page, date);
	markup_close(page);
}

void
page_now(struct markup *page, const struct records *records)
{
	g_autoptr(GDateTime) now = words_clock(records->zone, records->now);
	markup_open_class(page, "p", "note");
	markup_text(page, "As of ");
	page_time(page, records, records->now);
	markup_textf(page, "; all times are %s.",
		     now ? g_date_time_get_timezone_abbreviation(now) : "?");
	markup_close(page);
}

/* A box that scrolls must be reached by keys, and have a name. */
void
page_table(struct markup *page, const char *caption, const char *const *heads)
{
	markup_open_class(page, "div", "wide");
	markup_attribute(page, "tabindex", "0");
	markup_attribute(page, "role", "region");
	markup_attribute(page, "aria-label", caption);
	markup_open(page, "table");
	markup_element(page, "caption", NULL, caption);
	markup_open(page, "thead");
	markup_open(page, "tr");
	for (; *heads; heads++) {
		markup_open(page, "th");
		markup_attribute(page, "scope", "col");
		markup_text(page, *heads);
		markup_close(page);
	}
	markup_close(page);
	markup_close(page);
	markup_open(page, "tbody");
}

void
page_table_end(struct markup *page)
{
	markup_close(page);
	markup_close(page);
	markup_close(page);
}

/* --- files --- */

char *
page_file_of_guest(const char *name)
{
	GString *file = g_string_new("guest-");
	for (const char *p = name; *p; p++)
		if (g_ascii_isalnum(*p) || *p == '-' || (*p == '.' && p > name))
			g_string_append_c(file, *p);
		else
			g_string_append_printf(file, "_%02x", (guchar)*p);
	g_string_append(file, ".html");
	return g_string_free(file, FALSE);
}

/* With the time, as a history that begins anew gives the same numbers to others. */
char *
page_file_of_screenshot(const struct record_failure *failure)
{
	return g_strdup_printf("failure-%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT ".png",
			       failure->screenshot, failure->time / G_USEC_PER_SEC);
}

gboolean
page_has_screenshot(const struct record_guest *guest, guint failure)
{
	guint later = 0;
	if (guest->failures->len - failure > PAGES_FAILURES_MAX)
		return FALSE;
	for (guint i = failure + 1; i < guest->failures->len; i++)
		later += g_array_index(guest->failures, struct record_failure, i).screenshot >= 0;
	return g_array_index(guest->failures, struct record_failure, failure).screenshot >= 0 &&
	       later < PAGES_SCREENSHOTS_MAX;
}
