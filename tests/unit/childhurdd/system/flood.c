/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often one thing is reported, by a clock that is a number. */
#include "childhurdd/system/flood.h"

static void
test_few(void)
{
	struct flood flood = {0};
	for (gint64 now = 1000; now < 1000 + 100 * FLOOD_PERIOD; now += FLOOD_PERIOD / FLOOD_BURST)
		g_assert_true(flood_pass(&flood, now));
	g_assert_cmpint(flood_wait(&flood, 0), ==, -1);
	g_assert_cmpuint(flood_missed(&flood, G_MAXINT64), ==, 0);
}

static void
test_many(void)
{
	struct flood flood = {0};
	guint told = 0;
	for (int i = 0; i < 22000; i++) /* in 8 s */
		told += flood_pass(&flood, 5000 + i * 8 / 22);
	g_assert_cmpuint(told, ==, FLOOD_BURST);
	g_assert_cmpint(flood_wait(&flood, 13000), ==, FLOOD_PERIOD - 8000);
	g_assert_cmpuint(flood_missed(&flood, 5000 + FLOOD_PERIOD - 1), ==, 0);
	g_assert_cmpint(flood_wait(&flood, 5000 + FLOOD_PERIOD), ==, 0);
	g_assert_cmpuint(flood_missed(&flood, 5000 + FLOOD_PERIOD), ==, 22000 - FLOOD_BURST);
	/* reported once; then the period begins anew */
	g_assert_cmpuint(flood_missed(&flood, 5000 + FLOOD_PERIOD), ==, 0);
	g_assert_cmpint(flood_wait(&flood, 5000 + FLOOD_PERIOD), ==, -1);
	g_assert_true(flood_pass(&flood, 5000 + FLOOD_PERIOD));
}

/* A flood of a year is (FLOOD_BURST + 1) lines in each period. */
static void
test_year(void)
{
	struct flood flood = {0};
	const gint64 year = G_GINT64_CONSTANT(365) * 24 * 3600 * 1000;
	guint64 lines = 0, told = 0, made = 0;
	for (gint64 now = 0; now < year; now += 1000, made++) {
		guint missed = flood_missed(&flood, now);
		lines += missed > 0;
		told += missed;
		gboolean pass = flood_pass(&flood, now);
		lines += pass;
		told += pass;
	}
	g_assert_cmpuint(lines, ==, (guint64)(year / FLOOD_PERIOD) * (FLOOD_BURST + 1) - 1);
	g_assert_cmpuint(made - told, ==, FLOOD_PERIOD / 1000 - FLOOD_BURST); /* of the last one */
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/flood/a-few-are-all-told", test_few);
	g_test_add_func("/flood/many-are-counted-and-told-once", test_many);
	g_test_add_func("/flood/a-year-of-it-has-a-limit", test_year);
	return g_test_run();
}
