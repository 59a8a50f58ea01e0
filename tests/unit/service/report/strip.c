/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a strip makes of a guest's states: few parts, and no failure that disappears. */
#include "service/report/strip.h"

#include "tests/unit/service/report/made.h"

#define COLUMNS 24 /* hours of a day */

/* The parts of the last day as text: "ready 0-12, moving 12-13!": first column and end, ! for
 * trouble. */
static void
assert_parts(const struct records *records, const char *expected)
{
	g_autoptr(GArray) parts = strip_parts(made_first(records)->states, NOW - D, NOW, COLUMNS);
	g_autoptr(GString) text = g_string_new(NULL);
	for (guint i = 0; i < parts->len; i++) {
		const struct strip_part *part = &g_array_index(parts, struct strip_part, i);
		g_string_append_printf(text, "%s%s %u-%u%s", i ? ", " : "",
				       kind_look(part->kind)->name, part->first, part->end,
				       part->trouble ? "!" : "");
		g_assert_cmpfloat(part->share, >, 0);
		g_assert_cmpfloat(part->share, <=, 1.0001);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void
test_one(void)
{
	struct records *records = made_new();
	made_state(records, "a", "ready", D, 0);
	assert_parts(records, "ready 0-24");
	records_free(records);
}

static void
test_empty(void)
{
	struct records *records = made_new();
	made_guest(records, "a", "ready");
	assert_parts(records, "");
	records_free(records);
}

static void
test_merges(void)
{
	struct records *records = made_new();
	/* A restart each ten minutes: hours of it look the same. */
	for (gint64 at = D; at > 12 * H; at -= H / 6) {
		made_state(records, "a", "starting", at, at - 10 * S);
		made_state(records, "a", "ready", at - 10 * S, at - H / 6);
	}
	made_state(records, "a", "asleep", 12 * H, 6 * H);
	assert_parts(records, "ready 0-12, asleep 12-18");
	records_free(records);
}

static void
test_trouble(void)
{
	struct records *records = made_new();
	made_state(records, "a", "ready", D, 12 * H + 5 * S);
	made_state(records, "a", "failed", 12 * H + 5 * S, 12 * H);
	made_state(records, "a", "ready", 12 * H, 2 * H);
	made_state(records, "a", "backoff", 2 * H, 0);
	assert_parts(records, "ready 0-11, ready 11-12!, ready 12-22, in trouble 22-24");
	records_free(records);
}

/* A daemon that takes a guest over probes it anew. */
static void
test_taken_over(void)
{
	struct records *records = made_new();
	made_state(records, "a", "ready", D, 12 * H);
	made_state(records, "a", "unknown", 12 * H, 10 * H);
	made_state(records, "a", "probing", 10 * H, 8 * H);
	made_state(records, "a", "ready", 8 * H, 0);
	assert_parts(records, "ready 0-12, unknown 12-14, on its way 14-16, ready 16-24");
	records_free(records);
}

/* What began before the strip, or lasts beyond it, is cut. */
static void
test_cut(void)
{
	struct records *records = made_new();
	made_state(records, "a", "stopped", 9 * D, 20 * H);
	made_state(records, "a", "ready", 20 * H, -9 * D);
	made_state(records, "a", "failed", 30 * D, 20 * D);
	assert_parts(records, "stopped 0-4, ready 4-24");
	records_free(records);
}

/* A clock that was set back gives states that overlap, and some that end before they begin. */
static void
test_nonsense(void)
{
	struct records *records = made_new();
	made_state(records, "a", "ready", D, 0);
	made_state(records, "a", "stopped", D, 12 * H);
	made_state(records, "a", "ready", D, 12 * H);
	made_state(records, "a", "failed", 3 * H, 5 * H);
	made_state(records, "a", "failed", 3 * H, 3 * H);
	made_state(records, "a", "no such state", 2 * H, 2 * H);
	made_add(records,
		 "{'kind':'state','guest':'a','state':'asleep','time':%" G_GINT64_FORMAT "}",
		 NOW + 5 * S);
	assert_parts(records, "ready 0-24");
	records_free(records);
}

/* A state without an end lasts until now, and one of another version is unknown, not left out. */
static void
test_open(void)
{
	struct records *records = made_new();
	made_add(records,
		 "{'kind':'state','guest':'a','state':'ready','time':%" G_GINT64_FORMAT "}",
		 NOW - 6 * H);
	made_state(records, "a", "unknown", 12 * H, 9 * H);
	made_state(records, "a", "dancing", 9 * H, 6 * H);
	assert_parts(records, "unknown 12-18, ready 18-24");
	records_free(records);
}

/* Whatever happened, a strip has so many elements at most. */
static void
test_bounded(void)
{
	static const char *const states[] = {"ready",	"failed",  "asleep",
					     "booting", "stopped", "draining"};
	struct records *records = made_new();
	struct markup page;
	for (guint i = 0; i < 50000; i++)
		made_state(records, "a", states[i * 7 % 6], (i + 1) * 155 * S, i * 155 * S);
	markup_init(&page);
	strip_draw(&page, records, made_first(records), PERIOD_LONG, TRUE);
	g_autoptr(GString) text = markup_finish(&page);
	guint rects = 0;
	for (const char *p = text->str; (p = strstr(p, "<rect")); p++)
		rects++;
	g_assert_cmpuint(rects, >, STRIP_COLUMNS / 2);
	g_assert_cmpuint(rects, <=, 2 * STRIP_COLUMNS + 1);
	g_assert_cmpuint(text->len, <, 200 * 2 * STRIP_COLUMNS);
	records_free(records);
}

static void
test_words(void)
{
	struct records *records = made_new();
	struct markup page;
	made_state(records, "a", "ready", D, 6 * H);
	made_state(records, "a", "asleep", 6 * H, 0);
	markup_init(&page);
	strip_draw(&page, records, made_first(records), PERIOD_DAY, TRUE);
	g_autoptr(GString) text = markup_finish(&page);
	g_assert_nonnull(strstr(text->str, "role=\"img\""));
	g_assert_nonnull(strstr(text->str, ">States of a, the last 24 hours</title>"));
	g_assert_nonnull(strstr(text->str, ">ready 75.0 %, asleep 25.0 %.</desc>"));
	g_assert_nonnull(
	    strstr(text->str, ">ready, Sat 28 Nov, 13:00 to Sun 29 Nov, 07:00</title>"));
	records_free(records);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/strip/one-state-is-one-part", test_one);
	g_test_add_func("/strip/nothing-known-is-nothing", test_empty);
	g_test_add_func("/strip/what-looks-the-same-is-one-part", test_merges);
	g_test_add_func("/strip/a-short-failure-is-marked", test_trouble);
	g_test_add_func("/strip/a-guest-that-is-taken-over-is-in-no-trouble", test_taken_over);
	g_test_add_func("/strip/states-are-cut-to-the-strip", test_cut);
	g_test_add_func("/strip/states-that-overlap-or-are-nonsense", test_nonsense);
	g_test_add_func("/strip/a-state-without-an-end-lasts-until-now", test_open);
	g_test_add_func("/strip/its-size-is-bounded", test_bounded);
	g_test_add_func("/strip/it-says-in-words-what-it-shows", test_words);
	return g_test_run();
}
