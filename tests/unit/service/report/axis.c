/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where axes have marks. */
#include "service/report/axis.h"

#include <math.h>

#include "tests/unit/service/report/made.h"

static void
assert_times(const char *zone_name, gint64 from, gint64 until, const char *expected)
{
	g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(zone_name);
	g_autoptr(GString) text = g_string_new(NULL);
	g_assert_nonnull(zone);
	g_autoptr(GArray) marks = axis_times(zone, from, until);
	for (guint i = 0; i < marks->len; i++) {
		const struct axis_mark *mark = &g_array_index(marks, struct axis_mark, i);
		g_string_append_printf(text, "%s%s", i ? ", " : "", mark->label);
		g_assert_cmpfloat(mark->at, >=, 0);
		g_assert_cmpfloat(mark->at, <=, 1);
		g_assert_true(!i || mark->at > mark[-1].at);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void
test_times(void)
{
	assert_times("UTC", NOW - D, NOW, "18:00, 29 Nov, 06:00, 12:00");
	assert_times("UTC", NOW - 7 * D, NOW,
		     "23 Nov, 24 Nov, 25 Nov, 26 Nov, 27 Nov, 28 Nov, 29 Nov");
	assert_times("UTC", NOW - 90 * D, NOW, "1 Sep, 15 Sep, 1 Oct, 15 Oct, 1 Nov, 15 Nov");
	assert_times("+05:00", NOW - D, NOW, "18:00, 29 Nov, 06:00, 12:00, 18:00");
	assert_times("UTC", NOW + 22 * D, NOW + 52 * D, "1 Jan, 15 Jan");
}

/* The night of 25 October 2026 has an hour more there: 24 hours from 13:00 end at 12:00. */
static void
test_changed_clock(void)
{
	g_autoptr(GTimeZone) zone = g_time_zone_new_identifier("Europe/Berlin");
	if (!zone) {
		g_test_skip("the time zones are not installed");
		return;
	}
	const gint64 end = 1792926000 * S; /* 25 Oct 2026, 11:00 UTC */
	assert_times("Europe/Berlin", end - D, end, "18:00, 25 Oct, 06:00, 12:00");
	assert_times("Europe/Berlin", end - 2 * D, end,
		     "18:00, 24 Oct, 06:00, 12:00, 18:00, 25 Oct, 06:00, 12:00");
}

static void
test_nonsense(void)
{
	assert_times("UTC", G_MININT64 / 2, G_MININT64 / 2 + D, "");
	assert_times("UTC", G_MAXINT64 - D, G_MAXINT64, "");
}

static void
test_scales(void)
{
	static const struct {
		double largest;
		enum axis_unit unit;
		const char *top; /* its label */
	} all[] = {{14.2, AXIS_SECONDS, "15 s"},      {3.1, AXIS_SECONDS, "4 s"},
		   {0.3, AXIS_SECONDS, "0.3 s"},      {200, AXIS_SECONDS, "4 min"},
		   {3600, AXIS_SECONDS, "1 h 0 min"}, {1e6, AXIS_SECONDS, "15 d 0 h"},
		   {3.5e9, AXIS_BYTES, "4.0 GiB"},    {9e8, AXIS_BYTES, "1.0 GiB"},
		   {20, AXIS_NUMBER, "20"},	      {2.3, AXIS_NUMBER, "3"},
		   {0, AXIS_NUMBER, "0.4"},	      {NAN, AXIS_SECONDS, "0.10 s"}};
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
		struct axis axis = axis_for(all[i].largest, all[i].unit);
		g_autofree char *top = axis_label(&axis, axis.top);
		g_test_message("%g", all[i].largest);
		g_assert_cmpstr(top, ==, all[i].top);
		g_assert_true(!(axis.top < all[i].largest));
		g_assert_cmpfloat(axis.top / axis.step, >=, 1);
		g_assert_cmpfloat(axis.top / axis.step, <, 6);
	}
}

/* Whatever the scale, no two of its steps say the same. */
static void
test_labels_differ(void)
{
	for (double largest = 0.001; largest < 1e12; largest *= 1.3)
		for (int unit = AXIS_NUMBER; unit <= AXIS_BYTES; unit++) {
			struct axis axis = axis_for(largest, (enum axis_unit)unit);
			g_autofree char *before = NULL;
			for (guint i = 0; i * axis.step < axis.top * 1.001; i++) {
				char *label = axis_label(&axis, i * axis.step);
				g_assert_cmpstr(label, !=, before);
				g_free(before);
				before = label;
			}
		}
}

/* The texts of a time axis, those that only a broad screen shows in brackets. */
static void
assert_texts(gint64 length, enum axis_place place, const char *expected)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GArray) marks = axis_times(utc, NOW - length, NOW);
	g_autoptr(GString) shown = g_string_new(NULL);
	struct markup page;
	markup_init(&page);
	markup_open(&page, "svg");
	axis_draw_times(&page, marks, 0, 3, 10, place);
	markup_close(&page);
	g_autoptr(GString) text = markup_finish(&page);
	g_auto(GStrv) parts = g_strsplit(text->str, "<text ", -1);
	for (char **part = parts + 1; *part; part++) {
		char *label = strchr(*part, '>') + 1;
		*strchr(label, '<') = '\0';
		gboolean broad = strstr(*part, " broad\"") != NULL;
		g_string_append_printf(shown, "%s%s%s%s", shown->len ? ", " : "", broad ? "(" : "",
				       label, broad ? ")" : "");
	}
	g_assert_cmpstr(shown->str, ==, expected);
}

/* Where there is room, no text is missing. */
static void
test_texts(void)
{
	assert_texts(7 * D, AXIS_WIDE, "23 Nov, 24 Nov, 25 Nov, 26 Nov, 27 Nov, 28 Nov, 29 Nov");
	assert_texts(90 * D, AXIS_WIDE, "1 Sep, (15 Sep), 1 Oct, 15 Oct, 1 Nov, 15 Nov");
	assert_texts(7 * D, AXIS_NARROW,
		     "23 Nov, (24 Nov), 25 Nov, (26 Nov), 27 Nov, (28 Nov), 29 Nov");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/axis/times-that-people-use", test_times);
	g_test_add_func("/axis/a-day-with-a-changed-clock", test_changed_clock);
	g_test_add_func("/axis/times-that-no-calendar-has", test_nonsense);
	g_test_add_func("/axis/scales", test_scales);
	g_test_add_func("/axis/no-two-steps-say-the-same", test_labels_differ);
	g_test_add_func("/axis/texts-that-have-room-are-shown", test_texts);
	return g_test_run();
}
