/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/use.h"

static int
note(struct use *use, guint64 slots, gboolean sessions, gint64 now)
{
	const struct use_look look = {.slots = slots, .sessions = sessions};
	return use_note(use, &look, now);
}

static int
note_others(struct use *use, int others, gint64 now)
{
	const struct use_look look = {.others = others};
	return use_note(use, &look, now);
}

static void
test_builds(void)
{
	struct use use;
	use_begin(&use, FALSE, 1000);
	g_assert_cmpint(note(&use, 3, TRUE, 1100), ==, 0);
	g_assert_cmpint(note_others(&use, -1, 1200), ==, 0); /* unknown: neither ended */
	g_assert_cmpint(note(&use, 2, TRUE, 1300), ==, 1);
	g_assert_cmpint(note(&use, 7, TRUE, 1400), ==, 0);
	g_assert_cmpint(note(&use, 0, FALSE, 1500), ==, 3);
	g_assert_cmpint(note(&use, 0, FALSE, 1600), ==, 0);
}

static void
test_without_slots(void)
{
	struct use use;
	use_begin(&use, FALSE, 1000);
	g_assert_cmpint(note_others(&use, 2, 2000), ==, 0);
	g_assert_cmpint(note_others(&use, -1, 3000), ==, 0);
	g_assert_cmpint(note_others(&use, 1, 4000), ==, 1);
	g_assert_cmpint(note_others(&use, 3, 5000), ==, 0);
	g_assert_cmpint(note_others(&use, 0, 6000), ==, 3);
}

static void
test_unused(void)
{
	struct use use;
	use_begin(&use, FALSE, 1000);
	g_assert_false(use_wonders(&use, 0));
	g_assert_true(use_wonders(&use, 1));
	g_assert_cmpint(note(&use, 1, FALSE, 1100), ==, 0);
	g_assert_true(use_wonders(&use, 0)); /* its session may just have ended */
	g_assert_cmpint(note(&use, 0, FALSE, 1200), ==, 0);

	g_assert_cmpint(note(&use, 1, FALSE, 1300), ==, 0);
	g_assert_cmpint(note(&use, 1, TRUE, 1400), ==, 0); /* it was chosen in the end */
	g_assert_false(use_wonders(&use, 1));
	g_assert_cmpint(note(&use, 3, FALSE, 1500), ==, 0);
	g_assert_cmpint(note(&use, 0, FALSE, 1600), ==, 1);
	g_assert_cmpint(note(&use, 1, FALSE, 1700), ==, 0); /* and again, another one */
	g_assert_cmpint(note(&use, 0, FALSE, 1800), ==, 0);
}

static void
test_doubt(void)
{
	struct use use;
	use_begin(&use, FALSE, 1000);
	g_assert_cmpint(note(&use, 1, FALSE, 1100), ==, 0);
	g_assert_cmpint(note(&use, 1, FALSE, 1100 + USE_LATE + 1), ==, 0);
	g_assert_cmpint(note(&use, 0, FALSE, 1200 + USE_LATE), ==, 1);

	use_begin(&use, TRUE, 1000); /* it may have been there before */
	g_assert_cmpint(note(&use, 1, FALSE, 1100), ==, 0);
	g_assert_cmpint(note(&use, 0, FALSE, 1200), ==, 1);
	g_assert_cmpint(note(&use, 1, FALSE, 1300), ==, 0);
	g_assert_cmpint(note(&use, 0, FALSE, 1400), ==, 0);
}

static void
test_idle(void)
{
	struct use use;
	use_begin(&use, FALSE, 1000);
	g_assert_cmpint(use_idle(&use, 1500), ==, 500);
	note(&use, 0, TRUE, 2000); /* somebody is logged in */
	g_assert_cmpint(use_idle(&use, 2000), ==, 0);
	note(&use, 1, FALSE, 3000);
	note(&use, 0, FALSE, 9000);
	g_assert_cmpint(use_idle(&use, 9000), ==, 6000);
	note_others(&use, -1, 10000); /* what cannot be seen may be a build */
	g_assert_cmpint(use_idle(&use, 10000), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/use/builds-that-ended-are-counted-once", test_builds);
	g_test_add_func("/use/also-those-without-a-slot", test_without_slots);
	g_test_add_func("/use/a-slot-without-a-session-was-no-build", test_unused);
	g_test_add_func("/use/in-doubt-it-was-one", test_doubt);
	g_test_add_func("/use/idle-is-without-build-and-session", test_idle);
	return g_test_run();
}
