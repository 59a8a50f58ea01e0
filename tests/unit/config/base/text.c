/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text of guests and tools, as it is shown: the hard cases. */
#include "config/base/text.h"

#include <string.h>

#define REPLACED "\xef\xbf\xbd" /* U+FFFD */
#define BIDI	 "\xe2\x80\xae" /* U+202E, right-to-left override */
#define LINE_END "\xe2\x80\xa8" /* U+2028, line separator */
#define C1_CSI	 "\xc2\x9b"	/* U+009B, which some terminals take for ESC [ */
#define LONG	 (1 << 20)

static void
assert_line(const char *text, char instead, const char *expected)
{
	g_autofree char *line = text_line(text, instead);
	g_assert_cmpstr(line, ==, expected);
}

static void
test_line(void)
{
	assert_line("", ' ', "");
	assert_line("plain, gr\xc3\xbc\xc3\x9f"
		    "e",
		    ' ',
		    "plain, gr\xc3\xbc\xc3\x9f"
		    "e");
	assert_line("two\r\nlines\tand\x7f", ' ', "two  lines and ");
	assert_line("\033[31mred", ' ', " [31mred");
	assert_line("a" C1_CSI "31mb", ' ', "a 31mb");
	assert_line("new\nline\033", '?', "new?line?");
	assert_line("\xff"
		    "a\xc3",
		    ' ', REPLACED "a" REPLACED);
	/* Others that act on a terminal: they turn what is around them, or end the line. */
	assert_line("a" BIDI "b\xe2\x81\xa6"
		    "c" LINE_END "d\xd8\x9c",
		    ' ', "a b c d ");
	/* An overlong slash, half of a surrogate, and what is beyond Unicode. */
	assert_line("\xc0\xaf", ' ', REPLACED REPLACED);
	assert_line("\xed\xa0\x80", ' ', REPLACED REPLACED REPLACED);
	assert_line("\xf4\x90\x80\x80", ' ', REPLACED REPLACED REPLACED REPLACED);
}

static void
assert_output(const char *text, gboolean line, gboolean terminal, const char *expected)
{
	g_autofree char *out = text_output(text, line, terminal);
	g_assert_cmpstr(out, ==, expected);
}

static void
test_terminal(void)
{
	static const char text[] = "a\033[2J\tb\r\nc" C1_CSI "d\x7f";
	assert_output(text, FALSE, TRUE, "a[2J\tb\ncd");
	assert_output(text, TRUE, TRUE, "a[2J\tb  cd");
	assert_output(NULL, TRUE, TRUE, "");
	assert_output("plain ~", FALSE, TRUE, "plain ~");
	assert_output("\xff\033", TRUE, TRUE, REPLACED);
	assert_output("a" BIDI "b" LINE_END "c", FALSE, TRUE, "abc");
	assert_output("a" BIDI "b" LINE_END "c", TRUE, TRUE, "ab c");
}

static void
test_no_terminal(void)
{
	static const char text[] = "a\033[2J\tb\r\nc" C1_CSI "d\x7f";
	assert_output(text, FALSE, FALSE, text);
	assert_output(text, TRUE, FALSE, "a\033[2J\tb  c" C1_CSI "d\x7f");
	assert_output(NULL, FALSE, FALSE, "");
	assert_output("\xff", FALSE, FALSE, REPLACED);
	assert_output("a" BIDI "b" LINE_END "c", TRUE, FALSE, "a" BIDI "b c");
}

static void
assert_shown(const char *bytes, gsize length, const char *expected)
{
	/* A block of its own, so that a reader beyond its end is found. */
	g_autofree char *copy = g_malloc(length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	g_autofree char *shown = text_shown(copy, length);
	g_assert_cmpstr(shown, ==, expected);
	g_assert_true(g_utf8_validate(shown, -1, NULL));
}
#define shown(literal, expected) assert_shown(literal, sizeof literal - 1, expected)

static void
test_shown(void)
{
	shown("", "");
	shown("a\tb\r", "a b");
	shown("a\0b", "ab");
	shown("a\x7f"
	      "b\x01"
	      "c",
	      "abc");
	shown("a" C1_CSI "31mb", "a31mb");
	shown("a" BIDI "b\xe2\x80\x8b", "ab");		   /* U+200B has no width */
	shown("\xe2\x81\xa6nested\xe2\x81\xa9", "nested"); /* isolates, U+2066 and U+2069 */
	shown("a" LINE_END "b", "ab");
	shown("\xff\xc3", "??");
	shown("\xed\xa0\x80", "???");
	shown("a\xe2\x80", "a??");
	shown("a\xe2\x80\0b", "a??b");
}

static void
test_escapes(void)
{
	shown("\033[31mred\033[0m", "red");
	shown("\033[?25;1 qa", "a");
	shown("\033]0;title\ab", "b");
	shown("\033]52;c;AAAA\033\\b", "b");
	shown("\033P1$r\033\\\033Xa\ab\033^c\033\\\033_d\033\\", "b");
	shown("\033(B\033cplain", "plain");
	shown("\033[\xc3\xbc", "\xc3\xbc");
	/* Cut short, at each place. */
	shown("a\033", "a");
	shown("a\033[", "a");
	shown("a\033[12", "a");
	shown("a\033]0;never ended", "a");
	shown("a\033]0;b\033", "a");
	shown("a\033(", "a");
	shown("\033P\033[H", "");
	shown("a\033[3\0b", "ab");
	/* What is left of one must not make another. */
	shown("\033\033[31m[31ma", "[31ma");
}

static void
test_long(void)
{
	g_autofree char *text = g_malloc(LONG + 1);
	memset(text, '\033', LONG);
	text[LONG] = '\0';
	assert_shown(text, LONG, "");
	g_autofree char *line = text_line(text, ' '), *out = text_output(text, FALSE, TRUE);
	g_assert_cmpuint(strspn(line, " "), ==, LONG);
	g_assert_cmpstr(out, ==, "");
	memset(text, 0xff, LONG);
	g_autofree char *odd = text_shown(text, LONG);
	g_assert_cmpuint(strspn(odd, "?"), ==, LONG);
	g_autofree char *said = text_said(text, NULL, " ", 10);
	g_assert_cmpint(g_utf8_strlen(said, -1), ==, 10);
	g_assert_true(g_utf8_validate(said, -1, NULL));
}

static void
assert_said(const char *output, const char *prefix, const char *between, glong max,
	    const char *expected)
{
	g_autofree char *said = text_said(output, prefix, between, max);
	g_assert_cmpstr(said, ==, expected);
}

static void
test_said(void)
{
	static const char output[] = "tool: no\n tool: such\rfile\ntool: ever\n\n";
	assert_said(output, "tool: ", "; ", 100, "no;  tool: such file; ever");
	assert_said(output, NULL, " ", 100, "tool: no  tool: such file tool: ever");
	assert_said("gr\xc3\xbc\xc3\x9f"
		    "e",
		    NULL, " ", 3, "gr\xc3\xbc");
	assert_said("\033[1mbold\xff", NULL, " ", 100, " [1mbold" REPLACED);
	assert_said("", NULL, " ", 100, "it said nothing");
	assert_said(" \n\n", "tool: ", "; ", 100, "it said nothing");
	assert_said("tool: ", "tool: ", "; ", 100, "tool:");
}

/* ssh/secrets/message.c's test reads names with Guile; here is what is no UTF-8. */
static void
test_scheme(void)
{
	g_autoptr(GString) out = g_string_new("(a ");
	text_scheme(out, "\"\\\t\x7f" BIDI "\xc3\xbc\xff\xc3");
	g_assert_cmpstr(out->str, ==, "(a \"\\\"\\\\\\t\\x7f\\u202e\xc3\xbc\xff\xc3\"");
}

int
main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/text/a-line-stays-one-line", test_line);
	g_test_add_func("/text/nothing-controls-a-terminal", test_terminal);
	g_test_add_func("/text/a-file-gets-what-there-is", test_no_terminal);
	g_test_add_func("/text/what-is-shown-is-printable", test_shown);
	g_test_add_func("/text/escape-sequences-are-left-out", test_escapes);
	g_test_add_func("/text/length-is-no-matter", test_long);
	g_test_add_func("/text/what-a-tool-said-is-one-line", test_said);
	g_test_add_func("/text/scheme-reads-it-again", test_scheme);
	return g_test_run();
}
