/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Varlink messages: framing, parsing, writing. */
#include "service/varlink.h"

#include <string.h>

/* A text that is no message, the code of its error, and part of the error's text. */
static void
assert_refused(const char *text, enum varlink_error_code code, const char *part)
{
	g_autoptr(GError) error = NULL;
	struct varlink_message *m = varlink_parse(text, &error);
	if (m)
		g_error("accepted: %s", text);
	g_assert_error(error, VARLINK_ERROR, (int)code);
	if (!strstr(error->message, part))
		g_error("%s: \"%s\" does not say \"%s\"", text, error->message, part);
}

static struct varlink_message *
parsed(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct varlink_message *m = varlink_parse(text, &error);
	g_assert_no_error(error);
	g_assert_nonnull(m);
	return m;
}

static void
test_pieces(void)
{
	struct varlink_buffer b;
	g_autoptr(GError) error = NULL;
	static const char stream[] = "{\"a\":1}\0\0{}";
	varlink_buffer_init(&b, 16);
	g_assert_null(varlink_buffer_take(&b, &error));
	for (gsize i = 0; i < 7; i++) {
		varlink_buffer_append(&b, stream + i, 1);
		g_assert_null(varlink_buffer_take(&b, &error));
		g_assert_cmpuint(varlink_buffer_pending(&b), ==, i + 1);
	}
	varlink_buffer_append(&b, stream + 7,
			      sizeof stream - 7); /* three NULs, one message after another */
	g_assert_cmpstr(varlink_buffer_take(&b, &error), ==, "{\"a\":1}");
	g_assert_cmpstr(varlink_buffer_take(&b, &error), ==, "");
	g_assert_cmpstr(varlink_buffer_take(&b, &error), ==, "{}");
	g_assert_null(varlink_buffer_take(&b, &error));
	g_assert_cmpuint(varlink_buffer_pending(&b), ==, 0);
	g_assert_no_error(error);
	varlink_buffer_clear(&b);
}

static void
test_limit(void)
{
	struct varlink_buffer b;
	g_autoptr(GError) error = NULL;
	varlink_buffer_init(&b, 4);
	varlink_buffer_append(&b, "1234\0abcd", 9);
	g_assert_cmpstr(varlink_buffer_take(&b, &error), ==, "1234");
	g_assert_null(varlink_buffer_take(&b, &error));
	g_assert_no_error(error);
	varlink_buffer_append(&b, "e", 1); /* one byte too many, and no NUL yet */
	g_assert_null(varlink_buffer_take(&b, &error));
	g_assert_error(error, VARLINK_ERROR, VARLINK_ERROR_TOO_LONG);
	varlink_buffer_clear(&b);

	g_clear_error(&error);
	varlink_buffer_init(&b, 4);
	varlink_buffer_append(&b, "12345", 6);
	g_assert_null(varlink_buffer_take(&b, &error));
	g_assert_error(error, VARLINK_ERROR, VARLINK_ERROR_TOO_LONG);
	varlink_buffer_clear(&b);
}

static void
test_call(void)
{
	struct varlink_message *m = parsed(" {\"method\":\"org.childhurd.Wait\",\"more\":true,"
					   "\"parameters\":{\"names\":[\"a\"]},\"future\":[1]} ");
	g_assert_cmpstr(m->method, ==, "org.childhurd.Wait");
	g_assert_null(m->error);
	g_assert_true(m->more && !m->oneway && !m->upgrade && !m->continues);
	g_assert_true(json_object_has_member(m->parameters, "names"));
	varlink_message_free(m);

	m = parsed("{\"method\":\"a.B\",\"oneway\":true,\"upgrade\":true,\"parameters\":null}");
	g_assert_true(m->oneway && m->upgrade && !m->more);
	g_assert_cmpuint(json_object_get_size(m->parameters), ==, 0);
	varlink_message_free(m);
	varlink_message_free(NULL);
}

static void
test_made(void)
{
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "text", "\"\n\\ \360\237\230\200");
	g_autofree char *call = varlink_call("a.B", parameters, TRUE);
	struct varlink_message *m = parsed(call);
	g_assert_cmpstr(m->method, ==, "a.B");
	g_assert_true(m->more);
	g_assert_cmpstr(json_object_get_string_member(m->parameters, "text"), ==,
			"\"\n\\ \360\237\230\200");
	varlink_message_free(m);

	g_autofree char *last = varlink_reply(NULL, FALSE);
	g_assert_cmpstr(last, ==, "{\"parameters\":{}}");
	g_autofree char *more = varlink_reply(NULL, TRUE);
	m = parsed(more);
	g_assert_true(m->continues && !m->method && !m->error);
	varlink_message_free(m);

	g_autofree char *error = varlink_error("a.Bad", NULL);
	m = parsed(error);
	g_assert_cmpstr(m->error, ==, "a.Bad");
	g_assert_false(m->continues);
	varlink_message_free(m);
}

static void
test_types(void)
{
	assert_refused("[]", VARLINK_ERROR_MESSAGE, "object");
	assert_refused("", VARLINK_ERROR_MESSAGE, "object");
	assert_refused("{\"method\":1}", VARLINK_ERROR_MESSAGE, "\"method\" is not a string");
	assert_refused("{\"method\":[\"a\"]}", VARLINK_ERROR_MESSAGE, "\"method\"");
	assert_refused("{\"error\":{}}", VARLINK_ERROR_MESSAGE, "\"error\"");
	assert_refused("{\"parameters\":[]}", VARLINK_ERROR_MESSAGE,
		       "\"parameters\" is not an object");
	assert_refused("{\"method\":\"a\",\"more\":1}", VARLINK_ERROR_MESSAGE,
		       "\"more\" is not true");
	assert_refused("{\"method\":\"a\",\"error\":\"b\"}", VARLINK_ERROR_MESSAGE, "both");
}

static void
test_garbage(void)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\n", "{", "{\"a\"", "{\"a\":}", "{]",
					    "\"", "\"\\", "{}{}",
					    /* json-glib takes these for JSON */
					    "/* */{}", "{}//", "var a = {};", "# \n{}", "{'a':1}"};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_refused(texts[i], VARLINK_ERROR_SYNTAX, "not JSON");
	assert_refused("{\"\377\":1}", VARLINK_ERROR_SYNTAX, "UTF-8");
}

/* The second of these makes json-glib 1.6 crash. */
static void
test_surrogates(void)
{
	static const char *const texts[] = {"{\"a\":\"\\ud800\"}", "{\"a\":\"\\ud800\\u0041\"}",
					    "{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud83d\\n\"}",
					    "{\"a\":\"\\u12\"}",   "{\"a\":\"\\u0000\"}",
					    "{\"a\":\"\\x\"}",	   "{\"a\":\"\\ud83d\\u"};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_refused(texts[i], VARLINK_ERROR_SYNTAX, "a bad string");
	struct varlink_message *m =
	    parsed("{\"parameters\":{\"a\":\"\\ud83d\\ude00\\\"\\u00e9\"}}");
	g_assert_cmpstr(json_object_get_string_member(m->parameters, "a"), ==,
			"\360\237\230\200\"\303\251");
	varlink_message_free(m);
}

/* json-glib reads 1e999 as infinity and writes that as "inf"; and a number of 20 digits as another
 * one. */
static void
test_bad_numbers(void)
{
	static const char *const bad[] = {"1e999",
					  "-1e999",
					  "1e+3333333333",
					  "9223372036854775808",
					  "-9223372036854775809",
					  "01",
					  "-",
					  "+1",
					  ".5",
					  "1.",
					  "1e",
					  "1.e5",
					  "1e+",
					  "0x10",
					  "--1"};
	static const char *const good[] = {"0",	     "-0",    "9223372036854775807",
					   "1e300",  "0.792", "-9223372036854775808",
					   "1E-400", "2.5e+3"};
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *text = g_strdup_printf("{\"parameters\":{\"a\":[%s]}}", bad[i]);
		assert_refused(text, VARLINK_ERROR_SYNTAX, "not JSON");
	}
	assert_refused("{\"parameters\":{\"a\":1e999}}", VARLINK_ERROR_SYNTAX,
		       "not JSON: a bad or too large number at byte 19");
	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *text = g_strdup_printf("{\"parameters\":{\"a\":%s}}", good[i]);
		struct varlink_message *m = parsed(text);
		g_assert_cmpfloat(json_object_get_double_member(m->parameters, "a"), ==,
				  g_ascii_strtod(good[i], NULL));
		varlink_message_free(m);
	}
}

static char *
nested(guint depth, const char *before)
{
	g_autofree char *open = g_strnfill(depth - 2, '['), *close = g_strnfill(depth - 2, ']');
	return g_strdup_printf("{%s\"parameters\":{\"a\":%s%s}}", before, open, close);
}

static void
test_depth(void)
{
	g_autofree char *deep = nested(VARLINK_DEPTH_MAX, ""),
			*deeper = nested(VARLINK_DEPTH_MAX + 1, ""), *abyss = nested(1000000, ""),
			*hidden = nested(1000000, "\"s\":\"]]\\\"]]\","),
			*comment = nested(1000000, "/*\"*/");
	varlink_message_free(parsed(deep));
	assert_refused(deeper, VARLINK_ERROR_SYNTAX, "nested more than 16 deep");
	assert_refused(abyss, VARLINK_ERROR_SYNTAX, "nested");
	assert_refused(hidden, VARLINK_ERROR_SYNTAX, "nested");
	assert_refused(comment, VARLINK_ERROR_SYNTAX, "stray");
	/* Brackets in a string are text. */
	g_autofree char *brackets = g_strnfill(100, '[');
	g_autofree char *text = g_strdup_printf("{\"parameters\":{\"a\":\"%s\"}}", brackets);
	varlink_message_free(parsed(text));
}

static void
test_numbers(void)
{
	static const char *const texts[] = {
	    "{\"a\":0.792,\"b\":[-2.5,3,9007199254740993,-7]}",
	    "{\"a\":1700000000.123456,\"b\":5.0}",
	    /* a number that needs all 17 digits */
	    "{\"a\":0.30000000000000004}",
	    "{\"0.79200000000000004\":\"\\\" 0.10000000000000001\",\"b\":null}",
	    "{\"a\":\"\\\\\",\"b\":true,\"c\":1e+200}",
	};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(JsonNode) node = json_from_string(texts[i], NULL);
		g_autofree char *text = varlink_json(node);
		g_assert_cmpstr(text, ==, texts[i]);
	}
}

/* json-glib takes the last one, and leaks the others. */
static void
test_values_before(void)
{
	static const char *const texts[] = {"\"\"{\"parameters\":{}}",
					    "1 {\"parameters\":{}}",
					    "true{}",
					    "null [] {}",
					    "\"a\" \"b\"",
					    ",{}"};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_refused(texts[i], VARLINK_ERROR_SYNTAX, "before the message");
}

/* A guest's words may be in it, and a person may look at it. */
static void
test_shown(void)
{
	static const char *const words[][2] = {
	    {"\037\001\177\t\"\\", "\\u001f\\u0001\\u007f\\t\\\"\\\\"},
	    {"\302\233\302\205\302\240", "\\u009b\\u0085\302\240"}, /* CSI, NEL, a space */
	    {"\342\200\256\342\200\250\342\202\254", "\\u202e\\u2028\342\202\254"},
	    {"\330\234\330\246", "\\u061c\330\246"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
		g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);
		json_node_set_string(node, words[i][0]);
		g_autofree char *text = varlink_json(node);
		g_autofree char *right = g_strdup_printf("\"%s\"", words[i][1]);
		g_autoptr(JsonNode) back = json_from_string(text, NULL);
		g_assert_cmpstr(text, ==, right);
		g_assert_cmpstr(json_node_get_string(back), ==, words[i][0]);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/varlink/messages-come-whole-from-any-pieces", test_pieces);
	g_test_add_func("/varlink/a-message-over-the-limit-is-an-error", test_limit);
	g_test_add_func("/varlink/a-call-is-understood", test_call);
	g_test_add_func("/varlink/what-we-make-is-read-back", test_made);
	g_test_add_func("/varlink/members-of-a-wrong-type-are-refused", test_types);
	g_test_add_func("/varlink/garbage-is-refused", test_garbage);
	g_test_add_func("/varlink/bad-escapes-are-refused", test_surrogates);
	g_test_add_func("/varlink/deep-nesting-is-refused", test_depth);
	g_test_add_func("/varlink/numbers-are-no-longer-than-need-be", test_numbers);
	g_test_add_func("/varlink/bad-and-too-large-numbers-are-refused", test_bad_numbers);
	g_test_add_func("/varlink/values-before-a-message-are-refused", test_values_before);
	g_test_add_func("/varlink/texts-can-be-shown-on-a-terminal", test_shown);
	return g_test_run();
}
