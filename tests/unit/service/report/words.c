/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers and times as the pages have them. */
#include "service/report/words.h"

#include <math.h>

#include "tests/unit/service/report/made.h"

static void
assert_text(char *text, const char *expected)
{
	g_assert_cmpstr(text, ==, expected);
	g_free(text);
}

static void
test_durations(void)
{
	static const struct {
		double seconds;
		const char *text;
	} all[] = {{0, "0 s"},
		   {0.009, "0.01 s"},
		   {0.44, "0.4 s"},
		   {9.94, "9.9 s"},
		   {9.96, "10 s"},
		   {59.4, "59 s"},
		   {59.6, "1 min"},
		   {200, "3 min 20 s"},
		   {3599.7, "1 h 0 min"},
		   {18720, "5 h 12 min"},
		   {47 * 3600, "47 h 0 min"},
		   {99 * 3600, "4 d 3 h"},
		   {-5, "0 s"},
		   {NAN, "?"},
		   {INFINITY, "?"},
		   {1e300, "?"}};
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
		assert_text(words_duration(all[i].seconds), all[i].text);
}

static void
test_shares(void)
{
	assert_text(words_share(1), "100 %");
	assert_text(words_share(0.99999), "99.9 %");
	assert_text(words_share(0.29), "29.0 %");
	assert_text(words_share(0), "0 %");
	assert_text(words_share(-1), "0 %");
	assert_text(words_share(7), "100 %");
	assert_text(words_share(NAN), "?");
}

static void
test_sizes(void)
{
	assert_text(words_size(0), "0 KiB");
	assert_text(words_size(1536. * 1024 * 1024), "1.5 GiB");
	assert_text(words_size(512. * 1024), "512 KiB");
	assert_text(words_size(-1), "0 KiB");
	assert_text(words_size(1e300), "?");
}

static void
test_times(void)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc(), east = g_time_zone_new_offset(3600);
	assert_text(words_date(utc, NOW), "29 Nov 2026, 13:00");
	assert_text(words_date(east, NOW), "29 Nov 2026, 14:00");
	assert_text(words_moment(utc, NOW), "Sun 29 Nov, 13:00");
	assert_text(words_day(utc, NOW), "29 Nov");
	assert_text(words_machine(east, NOW), "2026-11-29T14:00:00+0100");
	assert_text(words_date(utc, G_MAXINT64), "?");
	assert_text(words_moment(utc, G_MININT64), "?");
}

static void
test_counts(void)
{
	assert_text(words_count(1, "build", "builds"), "1 build");
	assert_text(words_count(0, "build", "builds"), "0 builds");
	assert_text(words_number(12.345, 1), "12.3");
	assert_text(words_number(NAN, 0), "?");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/words/durations", test_durations);
	g_test_add_func("/words/a-share-is-not-rounded-up-to-all", test_shares);
	g_test_add_func("/words/sizes", test_sizes);
	g_test_add_func("/words/times-are-english-and-of-the-zone", test_times);
	g_test_add_func("/words/counts-and-numbers", test_counts);
	return g_test_run();
}
