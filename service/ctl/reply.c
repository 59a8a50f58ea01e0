/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The members of the daemon's replies. A daemon of another version may leave a member out or send
 * another type. Such a member counts as missing, and the rest is shown.
 */
#include "service/ctl/ctl.h"

#include <string.h>

#include "config/base/streams.h"

static JsonNode *
value_of_type(JsonObject *object, const char *name, GType type)
{
	JsonNode *node = object ? json_object_get_member(object, name) : NULL;
	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
											     : NULL;
}

const char *
ctl_text(JsonObject *object, const char *name)
{
	JsonNode *node = value_of_type(object, name, G_TYPE_STRING);
	return node ? json_node_get_string(node) : NULL;
}

double
ctl_number(JsonObject *object, const char *name, double missing)
{
	JsonNode *node = value_of_type(object, name, G_TYPE_INT64);
	if (!node)
		node = value_of_type(object, name, G_TYPE_DOUBLE);
	return node ? json_node_get_double(node) : missing;
}

gboolean
ctl_flag(JsonObject *object, const char *name)
{
	JsonNode *node = value_of_type(object, name, G_TYPE_BOOLEAN);
	return node && json_node_get_boolean(node);
}

JsonObject *
ctl_object(JsonObject *object, const char *name)
{
	JsonNode *node = object ? json_object_get_member(object, name) : NULL;
	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static JsonArray *
array_of(JsonObject *object, const char *name)
{
	JsonNode *node = object ? json_object_get_member(object, name) : NULL;
	return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

GPtrArray *
ctl_objects(JsonObject *object, const char *name)
{
	GPtrArray *objects = g_ptr_array_new();
	JsonArray *array = array_of(object, name);
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		if (JSON_NODE_HOLDS_OBJECT(node))
			g_ptr_array_add(objects, json_node_get_object(node));
	}
	return objects;
}

GPtrArray *
ctl_texts(JsonObject *object, const char *name)
{
	GPtrArray *texts = g_ptr_array_new();
	JsonArray *array = array_of(object, name);
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
			g_ptr_array_add(texts, (gpointer)json_node_get_string(node));
	}
	return texts;
}

JsonObject *
ctl_names(const char *const *names, guint n)
{
	JsonObject *parameters = json_object_new();
	JsonArray *array = json_array_sized_new(n);
	for (guint i = 0; i < n; i++)
		json_array_add_string_element(array, names[i]);
	json_object_set_array_member(parameters, "names", array);
	return parameters;
}

gboolean
ctl_is_error(const struct varlink_message *message, const char *name)
{
	return message->error && g_str_has_prefix(message->error, "org.childhurd.") &&
	       !strcmp(message->error + strlen("org.childhurd."), name);
}

GBytes *
ctl_png(const struct varlink_message *message)
{
	static const guchar magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	const char *text = ctl_text(message->parameters, "png");
	gsize length = 0;
	guchar *png = g_base64_decode(text ? text : "", &length);
	if (length >= sizeof magic && !memcmp(png, magic, sizeof magic))
		return g_bytes_new_take(png, length);
	g_free(png);
	return NULL;
}

/* The daemon's errors in words for people. %n, %w, %s, %p and %m stand for the error's parameters
 * name, why, state, parameter and method. */
static const struct {
	const char *error, *text;
	enum ctl_exit status;
} errors[] = {
    {"org.childhurd.NoSuchGuest", "%n: there is no such guest; childhurdctl list shows all",
     CTL_FAILED},
    {"org.childhurd.NoSuchNode", "%n: there is no such node; childhurdctl node list shows all",
     CTL_FAILED},
    {"org.childhurd.NotPossible", "%n: %w", CTL_FAILED},
    {"org.childhurd.NotKept",
     "%n: it is done, but not kept: a daemon that is started now would not know it: %w; it is "
     "tried again",
     CTL_FAILED},
    {"org.childhurd.WaitFailed", "%n: %w", CTL_FAILED},
    {"org.childhurd.TimedOut", "timed out", CTL_TIMED_OUT},
    {"org.childhurd.NoHistory", "%w", CTL_FAILED},
    {"org.childhurd.InviteFailed", "%w", CTL_FAILED},
    {"org.childhurd.PermissionDenied", "permission denied: %w", CTL_FAILED},
    {"org.childhurd.InvalidValue", "%p: %w", CTL_FAILED},
    {"org.childhurd.Busy", "the daemon is busy: %w", CTL_FAILED},
    {VARLINK_INVALID_PARAMETER, "the daemon does not accept this value of \"%p\"", CTL_FAILED},
    {VARLINK_METHOD_NOT_FOUND,
     "the daemon does not know %m; childhurdctl version shows both versions", CTL_FAILED},
    {VARLINK_METHOD_NOT_IMPLEMENTED,
     "the daemon cannot do %m; childhurdctl version shows both versions", CTL_FAILED},
};

/* text with the parameters filled in. The caller frees. */
static char *
error_text(const char *text, JsonObject *parameters)
{
	static const struct {
		char letter;
		const char *name;
	} names[] = {
	    {'n', "name"}, {'w', "why"}, {'s', "state"}, {'p', "parameter"}, {'m', "method"}};
	GString *out = g_string_new(NULL);
	for (const char *p = text; *p; p++) {
		if (*p != '%') {
			g_string_append_c(out, *p);
			continue;
		}
		p++;
		for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
			if (names[i].letter == *p) {
				const char *value = ctl_text(parameters, names[i].name);
				g_string_append(out, value ? value : "?");
			}
	}
	return g_string_free(out, FALSE);
}

gboolean
ctl_refused(const struct varlink_message *message, GError **error)
{
	if (!message->error)
		return FALSE;
	if (ctl_is_error(message, "ConfigurationErrors")) {
		g_autoptr(GPtrArray) messages = ctl_texts(message->parameters, "messages");
		g_ptr_array_add(messages, NULL);
		g_autofree char *lines = g_strjoinv("\n", (char **)messages->pdata);
		g_set_error_literal(error, CTL_ERROR, CTL_FAILED, lines);
		return TRUE;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(errors); i++)
		if (!strcmp(errors[i].error, message->error)) {
			g_autofree char *text = error_text(errors[i].text, message->parameters);
			g_set_error_literal(error, CTL_ERROR, (int)errors[i].status, text);
			return TRUE;
		}
	g_set_error(error, CTL_ERROR, CTL_FAILED, "the daemon replies with the error %s",
		    message->error);
	return TRUE;
}

void
ctl_say_unwritten(const struct varlink_message *reply)
{
	g_autoptr(GPtrArray) whys = ctl_texts(reply->parameters, "unwritten");
	if (!whys->len)
		return;
	const char *first = g_ptr_array_index(whys, 0);
	if (whys->len > 1)
		ctl_say("the daemon cannot write %u files and keeps trying; childhurdctl check "
			"shows all: %s",
			whys->len, first);
	else
		ctl_say("the daemon cannot write a file and keeps trying: %s", first);
}

int
ctl_complain(GError *error)
{
	int status = error->domain == CTL_ERROR ? error->code : CTL_FAILED;
	streams_complain("childhurdctl", error->message);
	g_error_free(error);
	return status;
}

void
ctl_print_object(JsonObject *object)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	json_node_set_object(node, object);
	g_autofree char *text = varlink_json(node);
	puts(text);
}

int
ctl_print_json(const struct varlink_message *message)
{
	ctl_print_object(message->parameters);
	fflush(stdout);
	return CTL_DONE;
}
