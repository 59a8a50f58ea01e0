/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pages of a report: one with all guests, and one for each. They load nothing but the
 * screenshots beside them; a policy in each page forbids everything else, scripts above all. */
#ifndef SERVICE_REPORT_PAGES_H
#define SERVICE_REPORT_PAGES_H

#include "service/report/markup.h"
#include "service/report/records.h"

#define PAGES_FAILURES_MAX    50 /* failures on a guest's page: the last ones */
#define PAGES_SCREENSHOTS_MAX 12 /* of these, those that are shown with their screenshot */
#define PAGES_LATEST_MAX      12 /* failures, and guests in trouble, on the page with all guests */
#define PAGES_ROWS_MAX	      60 /* of a table: the last ones */

/* --- page.c: what both kinds of pages have --- */

/* Begin a page with its head; text beneath the title. back: with a way to the page of all guests.
 */
void page_begin(struct markup *page, const struct records *records, const char *title,
		gboolean back);
/* The page's text. The caller frees. */
GString *page_end(struct markup *page);
/* The state's sign and name, in its kind's colour. state NULL: not configured any more. */
void page_state(struct markup *page, const char *state);
/* A figure as words_number (without decimals), words_duration and words_share have it; "–" if it is
 * NAN, as one that is not known. The caller frees. */
char *page_number(double number);
char *page_duration(double seconds);
char *page_share(double share);
/* A time, also for machines. */
void page_time(struct markup *page, const struct records *records, gint64 time);
/* When the report was made, and in which zone its times are. */
void page_now(struct markup *page, const struct records *records);
/* Begin a table, in a box that scrolls by itself if it is too wide, with the heads of its columns
 * (NULL-terminated). Closed with page_table_end. */
void page_table(struct markup *page, const char *caption, const char *const *heads);
void page_table_end(struct markup *page);
/* The file of a guest's page, and of a failure's screenshot. Names of ours, which need no escaping
 * in an address. The caller frees. */
char *page_file_of_guest(const char *name);
char *page_file_of_screenshot(const struct record_failure *failure);
/* Whether that failure of the guest is shown with a screenshot. */
gboolean page_has_screenshot(const struct record_guest *guest, guint failure);

/* --- the pages; the caller frees --- */

GString *page_all(const struct records *records);  /* page_all.c */
GString *page_guest(const struct records *records, /* page_guest.c */
		    const struct record_guest *guest);

#endif
