/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the methods share: checked parameters of a call, and common errors. */
#include <fnmatch.h>
#include <string.h>

#include "service/control/internal.h"

void
request_fail_with(struct request *request, const char *error, const char *member, const char *value)
{
	JsonObject *parameters = json_object_new();
	json_set_text(parameters, member, value);
	request_fail(request, error, parameters);
}

void
request_unknown(struct request *request)
{
	request_fail_with(request, VARLINK_METHOD_NOT_IMPLEMENTED, "method",
			  request->message->method);
}

void
request_fail_for(struct request *request, const char *error, const char *name, const char *why)
{
	JsonObject *parameters = json_object_new();
	json_set_text(parameters, "name", name);
	json_set_text(parameters, "why", why);
	request_fail(request, error, parameters);
}

void
request_not_possible(struct request *request, const char *name, const char *why)
{
	request_fail_for(request, CONTROL_INTERFACE ".NotPossible", name, why);
}

/* The parameter's node; NULL: missing, null, or *bad: its type is wrong. */
static JsonNode *
parameter(struct request *request, const char *name, GType type, gboolean *bad)
{
	JsonNode *node = json_object_get_member(request->message->parameters, name);
	*bad = FALSE;
	if (!node || JSON_NODE_HOLDS_NULL(node))
		return NULL;
	GType is = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
	*bad = is != type && !(type == G_TYPE_DOUBLE && is == G_TYPE_INT64);
	return *bad ? NULL : node;
}

gboolean
request_boolean(struct request *request, const char *name, gboolean *value)
{
	gboolean bad;
	JsonNode *node = parameter(request, name, G_TYPE_BOOLEAN, &bad);
	if (bad)
		request_invalid(request, name, NULL);
	else if (node)
		*value = json_node_get_boolean(node);
	return !bad;
}

gboolean
request_integer(struct request *request, const char *name, gint64 *value)
{
	gboolean bad;
	JsonNode *node = parameter(request, name, G_TYPE_INT64, &bad);
	if (bad || (node && json_node_get_int(node) < 0)) {
		request_invalid(request, name, bad ? NULL : "not a whole number from 0 on");
		return FALSE;
	}
	if (node)
		*value = json_node_get_int(node);
	return TRUE;
}

gboolean
request_number(struct request *request, const char *name, double *value)
{
	gboolean bad;
	JsonNode *node = parameter(request, name, G_TYPE_DOUBLE, &bad);
	if (bad || (node && !(json_node_get_double(node) >= 0))) {
		request_invalid(request, name, bad ? NULL : "not a number from 0 on");
		return FALSE;
	}
	if (node)
		*value = json_node_get_double(node);
	return TRUE;
}

gboolean
request_string(struct request *request, const char *name, const char **value)
{
	gboolean bad;
	JsonNode *node = parameter(request, name, G_TYPE_STRING, &bad);
	if (bad)
		request_invalid(request, name, NULL);
	else if (node)
		*value = json_node_get_string(node);
	return !bad;
}

gboolean
request_follow(struct request *request, gboolean *follow)
{
	if (!request_boolean(request, "follow", follow))
		return FALSE;
	if (*follow && !request->message->more) {
		request_fail(request, VARLINK_EXPECTED_MORE, NULL);
		return FALSE;
	}
	return TRUE;
}

/* Mark the names that pattern matches. FALSE: there are none. */
static gboolean
mark(const char *pattern, const char *const *names, gboolean *chosen)
{
	gboolean found = FALSE;
	for (gsize i = 0; names[i]; i++)
		if (strcmp(pattern, names[i]) == 0 || fnmatch(pattern, names[i], 0) == 0)
			chosen[i] = found = TRUE;
	return found;
}

/* The string i of the array; NULL: answered and gone. long_one: what is said of one that is too
 * long. */
static const char *
string_at(struct request *request, const char *name, JsonArray *array, guint i,
	  const char *long_one)
{
	JsonNode *node = json_array_get_element(array, i);
	gboolean text =
	    JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
	if (text && strlen(json_node_get_string(node)) <= CONTROL_PATTERN_MAX)
		return json_node_get_string(node);
	request_invalid(request, name, text ? long_one : NULL);
	return NULL;
}

static GPtrArray *
expand(struct request *request, JsonArray *patterns)
{
	const struct control_hird *hird = &request->client->control->hird;
	const char *const *names = hird->names(hird->data);
	gsize n = g_strv_length((char **)names);
	guint n_patterns = patterns ? json_array_get_length(patterns) : 0;
	g_autofree gboolean *chosen = g_new0(gboolean, n + 1);
	for (guint i = 0; i < n_patterns; i++) {
		const char *pattern = string_at(request, "names", patterns, i,
						"a name or pattern of more than 255 bytes");
		if (!pattern)
			return NULL;
		if (!mark(pattern, names, chosen)) {
			request_fail_with(request, CONTROL_INTERFACE ".NoSuchGuest", "name",
					  pattern);
			return NULL;
		}
	}
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	for (gsize i = 0; i < n; i++)
		if (chosen[i] || !n_patterns)
			g_ptr_array_add(found, g_strdup(names[i]));
	return found;
}

GPtrArray *
request_names(struct request *request, gboolean optional)
{
	JsonNode *node = json_object_get_member(request->message->parameters, "names");
	if (optional && (!node || JSON_NODE_HOLDS_NULL(node)))
		return expand(request, NULL);
	if (!node || !JSON_NODE_HOLDS_ARRAY(node)) {
		request_invalid(request, "names", NULL);
		return NULL;
	}
	if (json_array_get_length(json_node_get_array(node)) > CONTROL_NAMES_MAX) {
		request_invalid(request, "names", "more than 1024 names or patterns");
		return NULL;
	}
	return expand(request, json_node_get_array(node));
}

gboolean
request_strings(struct request *request, const char *name, char ***strings)
{
	JsonNode *node = json_object_get_member(request->message->parameters, name);
	if (!node || JSON_NODE_HOLDS_NULL(node))
		return TRUE;
	JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	guint n = array ? json_array_get_length(array) : 0;
	if (!array || n > CONTROL_NAMES_MAX) {
		request_invalid(request, name, array ? "more than 1024 words" : NULL);
		return FALSE;
	}
	g_auto(GStrv) words = g_new0(char *, n + 1);
	for (guint i = 0; i < n; i++) {
		words[i] =
		    g_strdup(string_at(request, name, array, i, "a word of more than 255 bytes"));
		if (!words[i])
			return FALSE;
	}
	*strings = g_steal_pointer(&words);
	return TRUE;
}

char *
request_name(struct request *request)
{
	const char *name = NULL;
	if (!request_string(request, "name", &name))
		return NULL;
	if (!name) {
		request_invalid(request, "name", NULL);
		return NULL;
	}
	g_autoptr(JsonArray) patterns = json_array_new();
	json_array_add_string_element(patterns, name);
	g_autoptr(GPtrArray) names = expand(request, patterns);
	if (!names)
		return NULL;
	if (names->len > 1) {
		request_invalid(request, "name", "a pattern that matches several guests");
		return NULL;
	}
	return g_strdup(g_ptr_array_index(names, 0));
}
