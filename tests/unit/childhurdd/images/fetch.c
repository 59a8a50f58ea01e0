/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a file may come from, and what a list of digests says. */
#include <string.h>

#include "childhurdd/images/digest.h"
#include "childhurdd/images/fetch.h"

static gboolean
may(const char *url, const char *before, gboolean plain)
{
	g_autoptr(GError) error = NULL;
	gboolean good = fetch_may(url, before, plain, &error);
	g_assert_true(good == (error == NULL));
	g_assert_true(good || strstr(error->message, url));
	return good;
}

static void
test_addresses(void)
{
	g_assert_true(may("https://example.org/x.img", NULL, FALSE));
	g_assert_true(may("http://127.0.0.1:8000/x.img", NULL, FALSE));
	g_assert_true(may("http://[::1]/x.img", NULL, FALSE));
	g_assert_true(may("http://localhost/x.img", NULL, FALSE));
	g_assert_false(may("http://localhost.example.org/x.img", NULL, FALSE));
	g_assert_false(may("http://example.org/x.img", NULL, FALSE));
	g_assert_true(may("http://example.org/x.img", NULL, TRUE));
	for (const char *const *url =
		 (const char *const[]){"", "x", "/x", "file:///x", "ftp://example.org/x",
				       "https://", "https:///x", "https://example.org/a b", NULL};
	     *url; url++)
		g_assert_false(may(*url, NULL, TRUE));
}

static void
test_redirects(void)
{
	g_assert_true(may("https://b/x", "https://a/x", FALSE));
	g_assert_true(may("https://b/x", "http://127.0.0.1/x", FALSE));
	g_assert_false(may("http://b/x", "https://a/x", TRUE));
	g_assert_false(may("http://127.0.0.1/x", "https://a/x", TRUE));
	g_assert_false(may("http://b/x", "http://127.0.0.1/x", FALSE));
	g_assert_true(may("http://b/x", "http://a/x", TRUE));
	g_assert_false(may("file:///x", "http://a/x", TRUE));
}

static void
test_lists(void)
{
	g_autofree char *digest = g_strnfill(128, 'a'), *capitals = g_strnfill(128, 'B');
	g_autofree char *list = g_strdup_printf(
	    "%s  a.img\n%s *./b.img\r\nabc  c.img\n\n%s d.img\n", digest, capitals, digest);
	g_autofree char *a = digest_in_list(list, "a.img"), *b = digest_in_list(list, "b.img");
	g_autofree char *lower = g_ascii_strdown(capitals, -1);
	g_assert_cmpstr(a, ==, digest);
	g_assert_cmpstr(b, ==, lower);
	g_assert_null(digest_in_list(list, "c.img"));
	g_assert_null(digest_in_list(list, "img"));
	g_assert_null(digest_in_list("", "a.img"));
	g_assert_true(digest_is_good(capitals));
	g_assert_false(digest_is_good("a"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fetch/http-is-for-this-host-or-with-a-digest", test_addresses);
	g_test_add_func("/fetch/a-redirect-leads-to-nothing-less-safe", test_redirects);
	g_test_add_func("/fetch/a-list-of-digests-has-that-of-a-file", test_lists);
	return g_test_run();
}
