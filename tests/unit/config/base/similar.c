/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which word is meant by one that does not exist. */
#include "config/base/similar.h"

#include <string.h>

static const char *const words[] = {"start",	  "stop", "status", "restart",
				    "screenshot", "log",  "top",    "ssh"};

static const char *
meant(const char *word)
{
	struct similar search = similar_to(word);
	for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
		similar_offer(&search, words[i]);
	return search.best;
}

static void
test_mistakes(void)
{
	g_assert_cmpstr(meant("start"), ==, "start");
	g_assert_cmpstr(meant("strat"), ==, "start"); /* exchanged */
	g_assert_cmpstr(meant("sart"), ==, "start");  /* missing */
	g_assert_cmpstr(meant("sttop"), ==, "stop");  /* too much */
	g_assert_cmpstr(meant("staxus"), ==, "status");
	g_assert_cmpstr(meant("STOP"), ==, "stop");
	g_assert_cmpstr(meant("lgo"), ==, "log");
	g_assert_cmpstr(meant("sceenshto"), ==, "screenshot");
}

static void
test_far(void)
{
	g_assert_null(meant("frobnicate"));
	g_assert_null(meant(""));
	g_assert_null(meant("foo")); /* two letters of three are wrong */
	g_assert_null(meant("xyzt"));
}

static void
test_beginning(void)
{
	g_assert_cmpstr(meant("screen"), ==, "screenshot");
	/* Two letters are no beginning. */
	g_assert_null(meant("sc"));
}

static void
test_first(void)
{
	struct similar search = similar_to("guest9");
	similar_offer(&search, "guest1");
	similar_offer(&search, "guest2");
	g_assert_cmpstr(search.best, ==, "guest1");
	similar_offer(&search, "guest9");
	g_assert_cmpstr(search.best, ==, "guest9");
}

static void
test_long(void)
{
	g_autofree char *word = g_strnfill(63, 'a'), *longer = g_strnfill(64, 'a');
	g_autofree char *wrong = g_strdup(word);
	wrong[62] = 'b';
	struct similar search = similar_to(wrong);
	similar_offer(&search, longer);
	g_assert_null(search.best);
	similar_offer(&search, word);
	g_assert_cmpstr(search.best, ==, word);
	search = similar_to(longer);
	similar_offer(&search, wrong);
	g_assert_null(search.best);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/similar/a-mistake-or-two-are-seen-through", test_mistakes);
	g_test_add_func("/similar/what-is-another-word-is-not-guessed-at", test_far);
	g_test_add_func("/similar/the-beginning-of-a-word-stands-for-it", test_beginning);
	g_test_add_func("/similar/the-first-of-the-nearest-stays", test_first);
	g_test_add_func("/similar/words-have-a-limit", test_long);
	return g_test_run();
}
