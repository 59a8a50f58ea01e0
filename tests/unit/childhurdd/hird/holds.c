/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What coordinators elsewhere report of guests that are held, in simulated time. */
#include "childhurdd/hird/holds.h"

struct bed {
	struct holds *holds;
	gint64 now;
	int changes;
};

static gint64
bed_now(void *data)
{
	return ((struct bed *)data)->now;
}

static void
bed_changed(void *data)
{
	((struct bed *)data)->changes++;
}

static const struct holds_ops ops = {.now = bed_now, .changed = bed_changed};

static void
bed_init(struct bed *bed)
{
	*bed = (struct bed){.now = 1000};
	bed->holds = holds_new(&ops, bed);
}

/* The number of the only hold, which is of that guest. */
static gint64
number_of(const struct bed *bed, const char *guest)
{
	g_autoptr(GArray) list = holds_list(bed->holds);
	g_assert_cmpuint(list->len, ==, 1);
	const struct control_hold *hold = &g_array_index(list, struct control_hold, 0);
	g_assert_cmpstr(hold->guest, ==, guest);
	g_assert_cmpint(hold->port, ==, 11022);
	g_assert_cmpint(hold->parallel_builds, ==, 2);
	return hold->number;
}

static void
test_nobody(void)
{
	struct bed bed;
	bed_init(&bed);
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	g_assert_cmpint(bed.changes, ==, 1);
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	g_assert_cmpint(bed.changes, ==, 1);
	holds_release(bed.holds, "a");
	holds_release(bed.holds, "a");
	g_assert_cmpint(bed.changes, ==, 2);
	g_autoptr(GArray) list = holds_list(bed.holds);
	g_assert_cmpuint(list->len, ==, 0);
	holds_free(bed.holds);
}

static void
test_report(void)
{
	struct bed bed;
	bed_init(&bed);
	g_assert_true(holds_join(bed.holds, "farm"));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	gint64 number = number_of(&bed, "a");
	g_assert_false(holds_report(bed.holds, "farm", "a", number, 2));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 2);
	bed.now += 10 * HOLDS_LIMIT; /* builds take long, and are still there */
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 2);
	g_assert_true(holds_report(bed.holds, "farm", "a", number, 0));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	g_assert_false(holds_report(bed.holds, "farm", "a", number, 0));
	holds_free(bed.holds);
}

static void
test_silent(void)
{
	struct bed bed;
	bed_init(&bed);
	holds_join(bed.holds, "farm");
	holds_hold(bed.holds, "a", 11022, 2);
	bed.now += HOLDS_LIMIT - 1;
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	bed.now++;
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	holds_free(bed.holds);
}

static void
test_stale(void)
{
	struct bed bed;
	bed_init(&bed);
	holds_join(bed.holds, "farm");
	holds_hold(bed.holds, "a", 11022, 2);
	gint64 first = number_of(&bed, "a");
	holds_release(bed.holds, "a");
	holds_hold(bed.holds, "a", 11022, 2);
	g_assert_cmpint(number_of(&bed, "a"), >, first);
	g_assert_false(holds_report(bed.holds, "farm", "a", first, 0));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	g_assert_false(holds_report(bed.holds, "other", "a", number_of(&bed, "a"), 0));
	g_assert_false(holds_report(bed.holds, "farm", "b", number_of(&bed, "a"), 0));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	holds_free(bed.holds);
}

/* Its locks went with its old process. */
static void
test_again(void)
{
	struct bed bed;
	bed_init(&bed);
	holds_join(bed.holds, "farm");
	holds_hold(bed.holds, "a", 11022, 2);
	gint64 number = number_of(&bed, "a");
	g_assert_true(holds_report(bed.holds, "farm", "a", number, 0));
	bed.now += 2 * HOLDS_LIMIT;
	holds_join(bed.holds, "farm");
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	holds_leave(bed.holds, "farm"); /* the old connection */
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	g_assert_true(holds_report(bed.holds, "farm", "a", number, 0));
	holds_join(bed.holds, "farm");
	holds_leave(bed.holds, "farm");
	holds_leave(bed.holds, "farm");
	holds_leave(bed.holds, "farm");
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	holds_free(bed.holds);
}

static void
test_several(void)
{
	struct bed bed;
	bed_init(&bed);
	holds_join(bed.holds, "farm");
	holds_join(bed.holds, "home");
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 2);
	gint64 number = number_of(&bed, "a");
	g_assert_false(holds_report(bed.holds, "farm", "a", number, 0));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 1);
	g_assert_true(holds_report(bed.holds, "home", "a", number, 0));
	g_assert_cmpint(holds_hold(bed.holds, "a", 11022, 2), ==, 0);
	holds_free(bed.holds);
}

static void
test_too_many(void)
{
	struct bed bed;
	bed_init(&bed);
	for (guint i = 0; i < HOLDS_COORDINATORS_MAX; i++) {
		g_autofree char *name = g_strdup_printf("c%u", i);
		g_assert_true(holds_join(bed.holds, name));
	}
	g_assert_false(holds_join(bed.holds, "another"));
	g_assert_true(holds_join(bed.holds, "c0"));
	holds_leave(bed.holds, "c1");
	g_assert_true(holds_join(bed.holds, "another"));
	holds_free(bed.holds);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/holds/without-coordinators-nothing-is-waited-for", test_nobody);
	g_test_add_func("/holds/what-is-reported-counts-until-it-is-zero", test_report);
	g_test_add_func("/holds/a-coordinator-that-is-silent-counts-for-a-while", test_silent);
	g_test_add_func("/holds/a-report-on-an-earlier-hold-is-ignored", test_stale);
	g_test_add_func("/holds/a-coordinator-that-comes-again-has-to-report-again", test_again);
	g_test_add_func("/holds/each-coordinator-counts", test_several);
	g_test_add_func("/holds/there-are-not-too-many", test_too_many);
	return g_test_run();
}
