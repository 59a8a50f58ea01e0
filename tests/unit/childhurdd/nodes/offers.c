/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is taken of a node's list, and what is refused. */
#include "childhurdd/nodes/offers.h"

#include <math.h>
#include <string.h>

#include "service/varlink.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d"
#define SIGNING_KEY                                                                                \
	"(public-key (ecc (curve Ed25519) (q "                                                     \
	"#8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B394#)))"

/* The members of a good machine. */
static const char *const good[][2] = {
    {"name", "\"a\""},
    {"host_name", "\"evil\\\"\""}, /* not even looked at */
    {"port", "10022"},
    {"user", "\"offloading\""},
    {"private_key", "7"},
    {"host_keys", "[\"" KEY "\"]"},
    {"systems", "[\"i586-gnu\"]"},
    {"features", "[\"big-parallel\"]"},
    {"parallel_builds", "2"},
    {"speed", "1.5"},
    {"overload_threshold", "1.8"},
    {"signing_key", "\"" SIGNING_KEY "\""},
};

/* A machine, with another value of a member. NULL: without it. */
static char *
machine(const char *member, const char *value)
{
	g_autoptr(GString) text = g_string_new("{");
	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		const char *this = g_strcmp0(good[i][0], member) ? good[i][1] : value;
		if (this)
			g_string_append_printf(text, "%s\"%s\":%s", text->len > 1 ? "," : "",
					       good[i][0], this);
	}
	g_string_append_c(text, '}');
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static struct offers *
parse(const char *parameters, GError **error)
{
	g_autofree char *text = g_strdup_printf("{\"parameters\":%s}", parameters);
	g_autoptr(GError) wrong = NULL;
	struct varlink_message *message = varlink_parse(text, &wrong);
	g_assert_no_error(wrong);
	struct offers *offers = offers_parse("node", message->parameters, error);
	varlink_message_free(message);
	return offers;
}

static const struct published_guest *
guest(const struct offers *offers, guint i)
{
	return &g_array_index(offers->guests, struct published_guest, i);
}

static void
assert_refused(const char *parameters, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(parse(parameters, &error));
	g_assert_error(error, OFFERS_ERROR, OFFERS_ERROR_REFUSED);
	if (!g_pattern_match_simple(why, error->message))
		g_error("%s\nis not like\n%s", error->message, why);
}

static void
test_good(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *a = machine(NULL, NULL);
	g_autofree char *c = machine("port", "10023");
	char *at = strstr(c, "\"a\"");
	at[1] = 'c';
	g_autofree char *text = g_strdup_printf(
	    "{\"machines\":[%s],\"coming\":[%s],\"text\":null,\"version\":\"0.1.0\",\"builds\":3,"
	    "\"guests\":4,\"time\":1700000000.25,\"news\":[]}",
	    a, c);
	struct offers *offers = parse(text, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(offers->guests->len, ==, 2);
	g_assert_cmpuint(offers->ready, ==, 1);
	g_assert_cmpstr(guest(offers, 0)->name, ==, "node/a");
	g_assert_cmpstr(guest(offers, 0)->signing_key, ==, SIGNING_KEY);
	g_assert_null(guest(offers, 0)->host_name);
	g_assert_null(guest(offers, 0)->private_key);
	g_assert_cmpint(guest(offers, 0)->as, ==, PUBLISHED_READY);
	g_assert_cmpstr(guest(offers, 1)->name, ==, "node/c");
	g_assert_cmpint(guest(offers, 1)->as, ==, PUBLISHED_COMING);
	g_assert_cmpstr(offers->version, ==, "0.1.0");
	g_assert_cmpint(offers->builds, ==, 3);
	g_assert_cmpint(offers->present, ==, 4);
	g_assert_cmpfloat(offers->time, ==, 1700000000.25);
	offers_unref(offers);
}

/* Of a daemon without the members for coordinators. */
static void
test_empty(void)
{
	struct offers *offers = parse("{\"machines\":[],\"text\":null}", NULL);
	g_assert_cmpuint(offers->guests->len, ==, 0);
	g_assert_cmpint(offers->builds, ==, -1);
	g_assert_true(isnan(offers->time));
	g_assert_true(offers_equal(offers, NULL));
	offers_unref(offers);
	assert_refused("{}", "machines: is missing, or not an array");
	assert_refused("{\"machines\":{}}", "machines: is missing, or not an array");
	assert_refused("{\"machines\":[7]}", "machines: has something that is not an object");
	assert_refused("{\"machines\":[],\"coming\":7}", "coming: *");
	assert_refused("{\"machines\":[],\"version\":\"1;2\"}",
		       "version: \"1;2\" is not a version");
	assert_refused("{\"machines\":[],\"builds\":1000001}", "builds: *");
	assert_refused("{\"machines\":[],\"time\":-1}", "time: *");
}

static void
test_refused(void)
{
	static const struct {
		const char *member, *value, *why;
	} cases[] = {
	    {"name", NULL, "name: is missing, or not a string"},
	    {"name", "7", "name: is missing, or not a string"},
	    {"name", "\"\"", "name: \"\" is not a name"},
	    {"name", "\"a\\\"b\"", "name: *"},
	    {"name", "\"a/b\"", "name: *"},
	    {"name", "\"-a\"", "name: *"},
	    {"name", "\"..\"", "name: *"},
	    {"name", "\"a b\"", "name: *"},
	    {"name", "\"*\"", "name: *"},
	    {"name", "\"a\\nHost *\"", "name: *"},
	    {"name", "\"a\\u0001\"", "name: *"},
	    {"name", "\"\\u00e4\"", "name: *"},
	    {"name", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "name: *"},
	    {"port", "0", "a: port: 0 is not from 1 to 65535"},
	    {"port", "65536", "a: port: *"},
	    {"port", "-1", "a: port: *"},
	    {"port", "10022.5", "a: port: is missing, or not a number"},
	    {"port", "\"10022\"", "a: port: is missing, or not a number"},
	    {"port", "99999999999999", "a: port: *"},
	    {"user", "\"root; true\"", "a: user: *"},
	    {"user", "\"a\\\"b\"", "a: user: *"},
	    {"user", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "a: user: *"},
	    {"user", "null", "a: user: *"},
	    {"host_keys", "[]", "a: host_keys: is not an array of 1 to 64 strings"},
	    {"host_keys", "[7]", "a: host_keys: is not an array of strings"},
	    {"host_keys", "[\"" KEY " comment\"]", "a: host_keys: *"},
	    {"host_keys", "[\"" KEY "\\n* ssh-rsa AAAA\"]", "a: host_keys: *"},
	    {"host_keys",
	     "[\"ssh-ed25519\\t"
	     "AAAA\"]",
	     "a: host_keys: *"},
	    {"host_keys", "[\"ssh-ed25519 AAAA\"]", "a: host_keys: *"},
	    {"host_keys", "[\"@revoked " KEY "\"]", "a: host_keys: *"},
	    {"systems", "[]", "a: systems: *"},
	    {"systems", "[\"i586-gnu\\\") (exit) (\\\"\"]", "a: systems: *"},
	    {"systems", "[\"i586 gnu\"]", "a: systems: *"},
	    {"systems", "[\"x86_64-linux\"]", "a: systems: \"x86_64-linux\" is not a system of *"},
	    {"systems", "\"i586-gnu\"", "a: systems: *"},
	    {"features", "[\"\"]", "a: features: *"},
	    {"features", "[\"a\\\\\"]", "a: features: *"},
	    {"parallel_builds", "0", "a: parallel_builds: *"},
	    {"parallel_builds", "65", "a: parallel_builds: *"},
	    {"speed", "0", "a: speed: *"},
	    {"speed", "1e9", "a: speed: *"},
	    {"speed", "\"1\"", "a: speed: *"},
	    {"overload_threshold", "-1.0", "a: overload_threshold: *"},
	    {"signing_key", "\"(public-key)\"", "a: signing_key: *"},
	    {"signing_key", "\"(acl (entry x))\"", "a: signing_key: *"},
	    {"signing_key", "\"" SIGNING_KEY " " SIGNING_KEY "\"", "a: signing_key: *"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *one = machine(cases[i].member, cases[i].value);
		g_autofree char *list = g_strdup_printf("{\"machines\":[%s]}", one);
		g_autofree char *coming = g_strdup_printf("{\"machines\":[],\"coming\":[%s]}", one);
		assert_refused(list, cases[i].why);
		assert_refused(coming, cases[i].why);
	}
}

static void
test_doubles(void)
{
	g_autofree char *a = machine(NULL, NULL), *b = machine("name", "\"b\"");
	g_autofree char *again = machine("port", "10023");
	g_autofree char *ports = g_strdup_printf("{\"machines\":[%s,%s]}", a, b);
	g_autofree char *names = g_strdup_printf("{\"machines\":[%s],\"coming\":[%s]}", a, again);
	assert_refused(ports,
		       "b: port: 10022 is that of a, too; give each guest of the node a port "
		       "of its own");
	assert_refused(names, "a: port: there are two guests of that name");
}

/* n guests. */
static char *
many(int n)
{
	g_autoptr(GString) text = g_string_new("{\"machines\":[");
	for (int i = 0; i < n; i++) {
		g_autofree char *one = machine("port", "XXXX");
		g_auto(GStrv) parts = g_strsplit(one, "XXXX", 2);
		g_auto(GStrv) names = g_strsplit(parts[0], "\"a\"", 2);
		g_string_append_printf(text, "%s%s\"a%d\"%s%d%s", i ? "," : "", names[0], i,
				       names[1], 1 + i, parts[1]);
	}
	g_string_append(text, "]}");
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
test_many(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *most = many(OFFERS_GUESTS_MAX), *more = many(OFFERS_GUESTS_MAX + 1);
	g_assert_cmpuint(strlen(most), <, OFFERS_BYTES_MAX);
	struct offers *offers = parse(most, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(offers->guests->len, ==, OFFERS_GUESTS_MAX);
	offers_unref(offers);
	assert_refused(more, "machines: has more than 1000 guests");
}

/* What is kept for the next daemon does not depend on which are ready. */
static void
test_remember(void)
{
	g_autofree char *a = machine(NULL, NULL), *b = machine("name", "\"b\"");
	memcpy(strstr(b, "10022"), "10023", 5);
	g_autofree char *ready = g_strdup_printf("{\"machines\":[%s,%s]}", b, a);
	g_autofree char *coming = g_strdup_printf("{\"machines\":[%s],\"coming\":[%s]}", a, b);
	struct offers *one = parse(ready, NULL), *other = parse(coming, NULL);
	g_autofree char *kept = offers_remember(one), *others = offers_remember(other);
	g_assert_cmpstr(kept, ==, others);
	g_assert_false(offers_equal(one, other));
	struct offers *recalled = offers_recall("node", kept);
	g_assert_cmpuint(recalled->guests->len, ==, 2);
	g_assert_cmpuint(recalled->ready, ==, 0);
	g_assert_cmpstr(guest(recalled, 0)->name, ==, "node/a");
	g_assert_cmpint(guest(recalled, 1)->port, ==, 10023);
	g_assert_null(offers_recall("node", ""));
	g_assert_null(offers_recall("node", "{\"machines\":[7]}"));
	kept[strlen(kept) / 2] = '\0'; /* a disk was full */
	g_assert_null(offers_recall("node", kept));
	offers_unref(one);
	offers_unref(other);
	offers_unref(recalled);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/offers/a-good-list-is-taken", test_good);
	g_test_add_func("/offers/a-list-may-be-empty-and-has-to-be-one", test_empty);
	g_test_add_func("/offers/one-wrong-value-and-the-list-is-refused", test_refused);
	g_test_add_func("/offers/two-guests-differ-in-name-and-port", test_doubles);
	g_test_add_func("/offers/a-thousand-guests-and-no-more", test_many);
	g_test_add_func("/offers/a-list-is-kept-for-the-next-daemon", test_remember);
	return g_test_run();
}
