/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The findings of a check as lines and as a sum. */
#include "config/base/finding_lines.h"

#include <stdlib.h>

/* What is printed for these results. */
static char *
printed(gboolean quiet, gboolean coloured, const char *const *results)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct finding_lines lines = {.out = out, .quiet = quiet, .coloured = coloured};
	for (; *results; results++)
		finding_lines_add(&lines, *results, "x");
	finding_lines_sum(&lines);
	fclose(out);
	return text;
}

static void
test_sum(void)
{
	const char *const good[] = {"ok", "ok", NULL};
	const char *const all[] = {"ok", "note", "problem", "problem", NULL};
	const char *const many[] = {"note", "note", NULL};
	char *text = printed(FALSE, FALSE, good);
	g_assert_cmpstr(text, ==, "ok       x\nok       x\n2 ok\n");
	free(text);
	text = printed(FALSE, FALSE, all);
	g_assert_cmpstr(
	    text, ==, "ok       x\nnote     x\nproblem  x\nproblem  x\n1 ok, 1 note, 2 problems\n");
	free(text);
	text = printed(FALSE, FALSE, many);
	g_assert_cmpstr(text, ==, "note     x\nnote     x\n0 ok, 2 notes\n");
	free(text);
}

static void
test_quiet(void)
{
	const char *const all[] = {"ok", "note", "problem", NULL};
	char *text = printed(TRUE, FALSE, all);
	g_assert_cmpstr(text, ==, "note     x\nproblem  x\n");
	free(text);
}

static void
test_colours(void)
{
	const char *const all[] = {"ok", "problem", NULL};
	char *text = printed(FALSE, TRUE, all);
	g_assert_cmpstr(text, ==,
			"\033[32mok\033[m       x\n\033[31mproblem\033[m  x\n"
			"\033[32m1 ok\033[m, \033[31m1 problem\033[m\n");
	free(text);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/finding-lines/the-sum-counts-each-kind", test_sum);
	g_test_add_func("/finding-lines/quiet-leaves-out-what-is-good-and-the-sum", test_quiet);
	g_test_add_func("/finding-lines/colours-end-with-the-word", test_colours);
	return g_test_run();
}
