/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * unlucky: a C test in which all goes wrong that can, for the test of tests/run-one.
 */
#include <glib.h>
#include <signal.h>
#include <stdlib.h>

static void
passes(void)
{
}

static void
skips(void)
{
	g_test_skip("there is no moon");
}

static void
asserts(void)
{
	g_assert_cmpint(1, ==, 2);
}

static void
fails(void)
{
	g_test_fail();
}

static void
crashes(void)
{
	raise(SIGSEGV);
}

static void
leaves(void)
{
	exit(0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/first/passes", passes);
	g_test_add_func("/first/asserts", asserts);
	g_test_add_func("/first/passes/again", passes);
	g_test_add_func("/second/skips", skips);
	g_test_add_func("/second/fails", fails);
	g_test_add_func("/second/crashes", crashes);
	g_test_add_func("/second/leaves", leaves);
	g_test_add_func("/second/passes", passes);
	return g_test_run();
}
