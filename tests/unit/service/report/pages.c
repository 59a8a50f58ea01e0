/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pages: whatever a guest sends, they have only elements and attributes of ours. */
#include "service/report/pages.h"

#include "tests/unit/service/report/made.h"

#define EVIL                                                                                       \
	"</title></desc></svg></style><script>alert(1)</script><img src=x onerror=alert(1)>"       \
	"\\\" onload=\\\"x` javascript:x"

static const char *const elements[] = {
    "html",   "head",	 "meta",    "title",  "link",	 "style",   "body",    "svg",
    "defs",   "pattern", "rect",    "path",   "line",	 "text",    "desc",    "g",
    "header", "nav",	 "a",	    "h1",     "main",	 "p",	    "time",    "dl",
    "div",    "dt",	 "dd",	    "h2",     "h3",	 "ul",	    "li",      "b",
    "span",   "code",	 "article", "footer", "table",	 "caption", "thead",   "tr",
    "th",     "tbody",	 "td",	    "img",    "details", "summary", "section", NULL};
static const char *const attributes[] = {"lang",
					 "charset",
					 "http-equiv",
					 "content",
					 "name",
					 "rel",
					 "href",
					 "class",
					 "aria-hidden",
					 "width",
					 "height",
					 "id",
					 "patternUnits",
					 "d",
					 "datetime",
					 "role",
					 "aria-labelledby",
					 "aria-label",
					 "x",
					 "y",
					 "x1",
					 "x2",
					 "y1",
					 "y2",
					 "viewBox",
					 "preserveAspectRatio",
					 "vector-effect",
					 "scope",
					 "tabindex",
					 "src",
					 "alt",
					 "loading",
					 NULL};

struct seen {
	GHashTable *ids, *pointed;
	guint images, links;
};

static void
see_attribute(struct seen *seen, const char *name, const char *value)
{
	g_test_message("%s=%s", name, value);
	g_assert_true(g_strv_contains(attributes, name));
	if (!strcmp(name, "id"))
		g_assert_true(g_hash_table_add(seen->ids, g_strdup(value)));
	if (!strcmp(name, "aria-labelledby")) {
		g_auto(GStrv) ids = g_strsplit(value, " ", -1);
		for (char **id = ids; *id; id++)
			g_hash_table_add(seen->pointed, g_strdup(*id));
	}
	if (!strcmp(name, "href") || !strcmp(name, "src")) {
		gboolean plain = g_regex_match_simple("^[A-Za-z0-9._-]+$", value, 0, 0);
		g_assert_true(plain || g_str_has_prefix(value, "data:image/svg+xml,%3Csvg"));
		seen->images += !strcmp(name, "src");
		seen->links += !strcmp(name, "href");
	}
}

static void
on_element(GMarkupParseContext *context, const char *element, const char **names,
	   const char **values, gpointer data, GError **error)
{
	g_test_message("<%s>", element);
	g_assert_true(g_strv_contains(elements, element));
	for (; *names; names++, values++)
		see_attribute(data, *names, *values);
}

/* HTML as XML: with ends for the elements that have none. */
static char *
as_xml(const char *page)
{
	g_autoptr(GRegex) bare = g_regex_new("<(meta|link|img|br)([^>]*)>", 0, 0, NULL);
	g_autofree char *closed = g_regex_replace(bare, page, -1, 0, "<\\1\\2/>", 0, NULL);
	g_assert_true(g_str_has_prefix(closed, "<!DOCTYPE html>\n<html lang=\"en\">"));
	return g_strdup(closed + strlen("<!DOCTYPE html>\n"));
}

/* Check that page is well-formed, with known elements, ids once each, and targets for what points
 * at them. */
static struct seen
check(const char *page)
{
	static const GMarkupParser parser = {.start_element = on_element};
	struct seen seen = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
			    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), 0, 0};
	g_autoptr(GError) error = NULL;
	g_autoptr(GMarkupParseContext) context =
	    g_markup_parse_context_new(&parser, 0, &seen, NULL);
	g_autofree char *xml = as_xml(page);
	g_assert_true(g_utf8_validate(page, -1, NULL));
	g_markup_parse_context_parse(context, xml, -1, &error);
	g_assert_no_error(error);
	g_markup_parse_context_end_parse(context, &error);
	g_assert_no_error(error);
	GHashTableIter iter;
	gpointer id;
	g_hash_table_iter_init(&iter, seen.pointed);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		g_assert_true(g_hash_table_contains(seen.ids, id));
	g_hash_table_unref(seen.ids);
	g_hash_table_unref(seen.pointed);
	return seen;
}

static struct seen
check_all(const struct records *records)
{
	g_autoptr(GString) page = page_all(records);
	return check(page->str);
}

static struct seen
check_guest(const struct records *records, guint i)
{
	g_autoptr(GString) page = page_guest(records, g_ptr_array_index(records->guests, i));
	return check(page->str);
}

/* A guest with all kinds of records, each text of which is text. */
static void
add_everything(struct records *records, const char *name, const char *text)
{
	const gint64 t = NOW - 5 * H;
	made_guest(records, name, text);
	for (guint i = 0; i < 3; i++) {
		made_state(records, name, i ? "failed" : text, (i + 1) * H, i * H);
		made_add(records,
			 "{'kind':'boot','guest':'%s','time':%" G_GINT64_FORMAT
			 ",'how':'%s','ready':%" G_GINT64_FORMAT ",'end':%" G_GINT64_FORMAT
			 ",'ended':'%s','phases':[{'name':'%s','ms':900},{'name':'boot','ms':9}]}",
			 name, t + i, i ? "warm" : text, i == 2 ? 0 : t + 2 * S, t + H, text, text);
		made_add(records,
			 "{'kind':'failure','guest':'%s','time':%" G_GINT64_FORMAT
			 ",'phase':'%s','reason':'%s','screenshot':%u}",
			 name, t + i, text, text, i);
		made_add(records,
			 "{'kind':'build','guest':'%s','time':%" G_GINT64_FORMAT ",'slot':'%s'}",
			 name, t + i, text);
		made_add(records,
			 "{'kind':'sample','guest':'%s','time':%" G_GINT64_FORMAT
			 ",'load':%u,'store_free':5e9}",
			 name, t + i * H, i);
	}
	made_add(records,
		 "{'kind':'restore','guest':'%s','time':%" G_GINT64_FORMAT
		 ",'ms':3000,'reason':'%s'}",
		 name, t, text);
	made_add(records,
		 "{'kind':'figures','guest':'%s','availability':0.99,'boots':3,'failures':3,'"
		 "builds':3,'build_seconds':60,"
		 "'median_boot_ms':2000,'mtbf_s':900}",
		 name);
}

static void
test_evil(void)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	struct records *records = records_new(NOW, utc, EVIL);
	add_everything(records, EVIL, EVIL);
	records_sort(records);
	check_all(records);
	/* The quotes of the configured one's name were not JSON's. */
	g_assert_cmpuint(records->guests->len, ==, 2);
	check_guest(records, 0);
	struct seen seen = check_guest(records, 1);
	g_assert_cmpuint(seen.images, ==, 3);
	records_free(records);
}

static void
test_plain(void)
{
	struct records *records = made_new();
	add_everything(records, "childhurd1", "failed");
	records_sort(records);
	check_all(records);
	check_guest(records, 0);
	g_autoptr(GString) all = page_all(records), one = page_guest(records, made_first(records));
	g_assert_nonnull(strstr(all->str, "<title>The Hurd guests of farm</title>"));
	g_assert_nonnull(strstr(all->str, ">1 in trouble</h2>"));
	g_assert_nonnull(strstr(all->str, "<a href=\"guest-childhurd1.html\">childhurd1</a>"));
	g_assert_nonnull(strstr(all->str, "<dd>99.0 %</dd>"));
	g_assert_nonnull(strstr(one->str, "<title>childhurd1 – farm</title>"));
	g_assert_nonnull(strstr(one->str, ">Boots from the disk: 1</h3>"));
	g_assert_nonnull(strstr(one->str, ">Wakes and starts from the warm state: 2</h3>"));
	g_assert_nonnull(strstr(one->str, ">Sun 29 Nov, 08:00: ready after 2.0 s (boot 0.01 s, "
					  "failed 0.9 s); ended: failed</title>"));
	g_assert_nonnull(
	    strstr(one->str, "alt=\"The screen of childhurd1 when it failed, Sun 29 Nov, 08:00\""));
	g_assert_nonnull(
	    strstr(one->str, "Reset to its warm state while it ran: 1 time, 3.0 s on average."));
	g_assert_nonnull(strstr(one->str, ">These times count from the beginning of a start"));
	g_assert_nonnull(strstr(one->str, ">Between 0.00 and 2.00; last 2.00.<"));
	records_free(records);
}

/* A wake is a boot and a load of the warm state, and is counted once; without a store there is no
 * heading of one, and without time up none between failures. */
static void
test_once(void)
{
	struct records *records = made_new();
	made_add(records,
		 "{'kind':'boot','guest':'a','time':%" G_GINT64_FORMAT
		 ",'how':'wake','ready':%" G_GINT64_FORMAT "}",
		 NOW - H, NOW - H + S);
	made_add(records,
		 "{'kind':'restore','guest':'a','time':%" G_GINT64_FORMAT
		 ",'ms':900,'reason':'wake'}",
		 NOW - H);
	made_add(records,
		 "{'kind':'restore','guest':'a','time':%" G_GINT64_FORMAT
		 ",'ms':900,'reason':'start'}",
		 NOW - H);
	made_add(records, "{'kind':'sample','guest':'a','time':%" G_GINT64_FORMAT ",'load':0.04}",
		 NOW - H);
	made_add(records, "{'kind':'figures','guest':'a','failures':2,'mtbf_s':0}");
	g_autoptr(GString) page = page_guest(records, made_first(records));
	g_assert_nonnull(strstr(page->str, ">Wakes and starts from the warm state: 1</h3>"));
	g_assert_null(strstr(page->str, "while it ran"));
	g_assert_nonnull(strstr(page->str, ">Load</h2>"));
	g_assert_null(strstr(page->str, "ree store"));
	g_assert_nonnull(strstr(page->str, ">Between 0.04 and 0.04; last 0.04.<"));
	g_assert_null(strstr(page->str, ">0 s</td>"));
	records_free(records);
}

/* A policy that forbids scripts and all that is elsewhere, and knows this style. */
static void
test_policy(void)
{
	struct records *records = made_new();
	g_autoptr(GString) page = page_all(records);
	const char *policy =
	    strstr(page->str, "default-src 'none'; img-src 'self' file: data:; style-src 'sha256-");
	const char *style = strstr(page->str, "<style>"), *end = strstr(page->str, "</style>");
	guint8 digest[32];
	gsize n = sizeof digest;
	g_assert_true(policy && style && end && policy < style);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_checksum_update(sum, (const guchar *)style + strlen("<style>"),
			  end - style - (gssize)strlen("<style>"));
	g_checksum_get_digest(sum, digest, &n);
	g_autofree char *base64 = g_base64_encode(digest, n);
	g_autofree char *source = g_strdup_printf("'sha256-%s';", base64);
	g_assert_nonnull(strstr(policy, source));
	records_free(records);
}

static void
test_nothing(void)
{
	struct records *records = made_new();
	check_all(records);
	made_guest(records, "a", "stopped");
	check_all(records);
	check_guest(records, 0);
	g_autoptr(GString) page = page_guest(records, made_first(records));
	g_assert_null(strstr(page->str, "nan"));
	g_assert_null(strstr(page->str, "inf"));
	g_assert_null(strstr(page->str, "class=\"lines\""));
	records_free(records);
}

/* The clock was set back, or to a year that no calendar has. */
static void
test_clocks(void)
{
	static const gint64 nows[] = {1, NOW - 400 * D, NOW + 9000 * D, 3999999999 * S};
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	for (gsize i = 0; i < G_N_ELEMENTS(nows); i++) {
		struct records *records = records_new(nows[i], utc, "farm");
		add_everything(records, "a", "ready");
		records_sort(records);
		check_all(records);
		check_guest(records, 0);
		records_free(records);
	}
}

/* So many boots, failures and screenshots are on a page. */
static void
test_bounded(void)
{
	struct records *records = made_new();
	for (guint i = 0; i < 3000; i++) {
		made_add(records,
			 "{'kind':'boot','guest':'a','time':%" G_GINT64_FORMAT
			 ",'ready':%" G_GINT64_FORMAT ",'phases':[{'name':'x','ms':700}]}",
			 NOW - i * H, NOW - i * H + S);
		made_add(records,
			 "{'kind':'failure','guest':'a','time':%" G_GINT64_FORMAT
			 ",'reason':'number %u','screenshot':%u}",
			 NOW - i * H, i, i);
		made_add(records, "{'kind':'build','guest':'a','time':%" G_GINT64_FORMAT "}",
			 NOW - i * H);
		made_add(records,
			 "{'kind':'sample','guest':'a','time':%" G_GINT64_FORMAT ",'load':%u}",
			 NOW - i * H, i % 3);
	}
	records_sort(records);
	g_autoptr(GString) page = page_guest(records, made_first(records));
	struct seen seen = check(page->str);
	g_assert_cmpuint(seen.images, ==, PAGES_SCREENSHOTS_MAX);
	g_assert_nonnull(strstr(page->str, ">Boots from the disk: the last 60 of 3000</h3>"));
	g_assert_nonnull(strstr(page->str, ">The last 50 of 3000.</p>"));
	g_assert_nonnull(strstr(page->str, ">number 0</p>"));
	g_assert_null(strstr(page->str, ">number 50</p>"));
	g_assert_cmpuint(page->len, <, 200000);
	records_free(records);
}

static void
test_names(void)
{
	static const char *const names[] = {
	    "a", "A", "a b", "a_20b", "a/b", "..", "../../etc/passwd", "é", "node/a", "a.b", "%61"};
	g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		char *file = page_file_of_guest(names[i]);
		g_assert_true(g_regex_match_simple("^guest-[A-Za-z0-9._-]+\\.html$", file, 0, 0));
		g_assert_true(g_hash_table_add(files, file));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pages/what-a-guest-sends-stays-text", test_evil);
	g_test_add_func("/pages/what-they-say", test_plain);
	g_test_add_func("/pages/a-wake-is-counted-once", test_once);
	g_test_add_func("/pages/a-policy-forbids-scripts", test_policy);
	g_test_add_func("/pages/without-any-history", test_nothing);
	g_test_add_func("/pages/clocks-that-are-wrong", test_clocks);
	g_test_add_func("/pages/their-size-is-bounded", test_bounded);
	g_test_add_func("/pages/each-name-is-another-file", test_names);
	return g_test_run();
}
