/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the writer of pages makes of text, of numbers in any locale, and of elements. */
#include "service/report/markup.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static void
assert_page(struct markup *page, const char *expected)
{
	g_autoptr(GString) text = markup_finish(page);
	g_assert_cmpstr(text->str, ==, expected);
}

static void
test_escapes(void)
{
	struct markup page;
	markup_init(&page);
	markup_open(&page, "p");
	markup_attribute(&page, "title", "\"><script>alert('1')</script>&amp;");
	markup_text(&page, "</p><img src=x onerror=\"x\">&'");
	markup_close(&page);
	assert_page(
	    &page,
	    "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;\">"
	    "&lt;/p&gt;&lt;img src=x onerror=&quot;x&quot;&gt;&amp;&#39;</p>");
}

static void
assert_text(const char *text, const char *expected)
{
	struct markup page;
	markup_init(&page);
	markup_text(&page, text);
	assert_page(&page, expected);
}

/* A page must be UTF-8 without controls, whatever a guest has sent. */
static void
test_bytes(void)
{
	assert_text("a\xff"
		    "b\xc3",
		    "a\xef\xbf\xbd"
		    "b\xef\xbf\xbd");
	assert_text("\x01\x1b[31m\x7f", "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd");
	assert_text("\xc2\x85\xef\xbf\xbe\xef\xb7\x90", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_text("a\nb\tc", "a\nb\tc");
	/* U+202E turns the text after it around, U+2066 begins an isolate, U+061C is a mark. */
	assert_text("\xe2\x80\xae"
		    "x\xe2\x81\xa6\xd8\x9c",
		    "\xef\xbf\xbd"
		    "x\xef\xbf\xbd\xef\xbf\xbd");
	assert_text("Grüße, ✓ 日本", "Grüße, ✓ 日本");
}

static void
test_long(void)
{
	g_autofree char *text = g_strnfill(MARKUP_TEXT_MAX + 1, '<');
	struct markup page;
	markup_init(&page);
	markup_text(&page, text);
	g_autoptr(GString) cut = markup_finish(&page);
	g_assert_cmpuint(cut->len, ==, MARKUP_TEXT_MAX * strlen("&lt;") + strlen("…"));
	g_assert_true(g_str_has_suffix(cut->str, "&lt;…"));
	text[MARKUP_TEXT_MAX] = '\0';
	markup_init(&page);
	markup_text(&page, text);
	g_autoptr(GString) whole = markup_finish(&page);
	g_assert_cmpuint(whole->len, ==, MARKUP_TEXT_MAX * strlen("&lt;"));
}

static void
test_elements(void)
{
	struct markup page;
	markup_init(&page);
	markup_open(&page, "svg");
	markup_open_class(&page, "rect", "k3");
	markup_close(&page);
	markup_open(&page, "rect");
	markup_element(&page, "title", NULL, "t");
	markup_close(&page);
	markup_close(&page);
	markup_open(&page, "img");
	markup_close(&page);
	markup_open(&page, "td");
	markup_close(&page);
	markup_element(&page, "p", "note", "x");
	assert_page(&page,
		    "<svg><rect class=\"k3\"/><rect><title>t</title></rect></svg><img><td></td>"
		    "<p class=\"note\">x</p>");
}

static void
test_numbers(void)
{
	static const struct {
		double number;
		const char *expected;
	} numbers[] = {{0, "0"},       {100, "100"}, {12.5, "12.5"}, {1.0 / 3, "0.33"},
		       {-0.001, "-0"}, {2.999, "3"}, {10.1, "10.1"}};
	struct markup page;
	g_autoptr(GString) expected = g_string_new("<rect");
	markup_init(&page);
	markup_open(&page, "rect");
	for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
		markup_number(&page, "x", numbers[i].number, "%");
		g_string_append_printf(expected, " x=\"%s%%\"", numbers[i].expected);
	}
	markup_close(&page);
	g_string_append(expected, "/>");
	assert_page(&page, expected->str);
}

/* A decimal comma would be an error in an SVG. */
static void
test_locale(void)
{
	static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
					      "nl_NL.UTF-8"};
	gsize i = 0;
	while (i < G_N_ELEMENTS(locales) && !setlocale(LC_ALL, locales[i]))
		i++;
	if (i == G_N_ELEMENTS(locales)) {
		g_test_skip("no locale with a decimal comma is installed");
		return;
	}
	test_numbers();
	setlocale(LC_ALL, "C");
}

static void
test_ids(void)
{
	struct markup page;
	char a[16], b[16];
	markup_init(&page);
	markup_id(&page, a);
	markup_id(&page, b);
	g_assert_cmpstr(a, !=, b);
	assert_page(&page, "");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/markup/text-and-attributes-are-escaped", test_escapes);
	g_test_add_func("/markup/bytes-of-guests-become-plain-utf-8", test_bytes);
	g_test_add_func("/markup/a-text-has-a-limit", test_long);
	g_test_add_func("/markup/elements-are-closed-as-html-and-svg-want", test_elements);
	g_test_add_func("/markup/numbers-are-short", test_numbers);
	g_test_add_func("/markup/numbers-have-a-dot-in-any-locale", test_locale);
	g_test_add_func("/markup/ids-are-unique", test_ids);
	return g_test_run();
}
