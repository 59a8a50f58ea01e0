/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record has the host's boot id: after a reboot of the host none of the daemon's QEMUs runs,
 * and `autostart` decides anew.
 */
#include "childhurdd/world/record.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "childhurdd/system/process.h"

/* The strings of an array; NULL: it is not an array of strings. */
static char **
strings_of(JsonNode *node)
{
	if (!node || !JSON_NODE_HOLDS_ARRAY(node))
		return NULL;
	JsonArray *array = json_node_get_array(node);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonNode *element = json_array_get_element(array, i);
		const char *text =
		    JSON_NODE_HOLDS_VALUE(element) ? json_node_get_string(element) : NULL;
		if (!text)
			return NULL;
		g_strv_builder_add(builder, text);
	}
	return g_strv_builder_end(builder);
}

static void
set_strings(JsonObject *o, const char *name, char **strings)
{
	if (!strings)
		return;
	JsonArray *array = json_array_new();
	for (; *strings; strings++)
		json_array_add_string_element(array, *strings);
	json_object_set_array_member(o, name, array);
}

static gboolean
is_of(JsonObject *o, const char *name, GType type)
{
	JsonNode *node = json_object_get_member(o, name);
	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

/* A number that is counted; what is none is 0. */
static int
count_of(JsonNode *node)
{
	gboolean is_number =
	    node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
	return is_number ? (int)CLAMP(json_node_get_int(node), 0, G_MAXINT) : 0;
}

static int
count(JsonObject *o, const char *name)
{
	return count_of(json_object_get_member(o, name));
}

static gboolean
flag(JsonObject *o, const char *name)
{
	return is_of(o, name, G_TYPE_BOOLEAN) && json_object_get_boolean_member(o, name);
}

/* The record in the file, of this boot of the host or an earlier one. NULL without an error: there
 * is no file. */
static JsonNode *
parse(const char *path, const char *boot, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) why = NULL;
	if (!g_file_get_contents(path, &text, NULL, &why)) {
		if (!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			g_propagate_error(error, g_steal_pointer(&why));
		return NULL;
	}
	g_autoptr(JsonNode) node = json_from_string(text, error);
	if (!node && error && *error)
		return NULL;
	JsonObject *o = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
	if (o && is_of(o, "boot", G_TYPE_STRING) &&
	    (is_of(o, "want-up", G_TYPE_BOOLEAN) ||
	     strcmp(json_object_get_string_member(o, "boot"), boot)))
		return g_steal_pointer(&node);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "\"boot\" or \"want-up\" is missing");
	return NULL;
}

struct record
record_read(const char *path)
{
	struct record record = {0};
	g_autoptr(GError) error = NULL;
	g_autofree char *boot = process_boot();
	g_autoptr(JsonNode) node = parse(path, boot, &error);
	record.unread = error && (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_MFILE) ||
				  g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NFILE) ||
				  g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM));
	if (record.unread)
		record.damage = g_strdup(error->message);
	else if (error)
		record.damage = g_strdup_printf(
		    "%s: is damaged or cannot be read (%s), so it is not known whether the guest "
		    "was stopped, drained or asleep; autostart decides, and the file is written "
		    "anew",
		    path, error->message);
	if (!node)
		return record;
	JsonObject *o = json_node_get_object(node);
	/* that holds until a person says otherwise */
	record.kept.warm_failures = count(o, "warm-failures");
	/* a persistent disk has them */
	record.coordinators = strings_of(json_object_get_member(o, "coordinators"));
	if (g_strcmp0(json_object_get_string_member(o, "boot"), boot))
		return record;
	record.known = TRUE;
	record.kept = (struct childhurd_kept){
	    .want_up = flag(o, "want-up"),
	    .drained = flag(o, "drained"),
	    .going_down = flag(o, "going-down"),
	    .now = flag(o, "now"),
	    .discard = flag(o, "discard"),
	    .enrolled = flag(o, "enrolled"),
	    .proven = flag(o, "proven"),
	    .saving = flag(o, "saving"),
	    .restoring = flag(o, "restoring"),
	    .cold = flag(o, "cold"),
	    .to_sleep = flag(o, "to-sleep"),
	    .served = count(o, "served"),
	    .warm_failures = record.kept.warm_failures,
	    .restarts = count(o, "restarts"),
	};
	record.kvm = flag(o, "kvm");
	if (is_of(o, "emulator", G_TYPE_STRING))
		record.emulator = g_strdup(json_object_get_string_member(o, "emulator"));
	if (json_object_has_member(o, "boots") &&
	    JSON_NODE_HOLDS_ARRAY(json_object_get_member(o, "boots"))) {
		JsonArray *boots = json_object_get_array_member(o, "boots");
		for (guint i = 0; i < MIN(json_array_get_length(boots), BOOTS_KEPT); i++)
			record.boots[i] = count_of(json_array_get_element(boots, i));
	}
	record.guest = strings_of(json_object_get_member(o, "guest"));
	record.host_keys = strings_of(json_object_get_member(o, "host-keys"));
	return record;
}

void
record_clear(struct record *record)
{
	g_clear_pointer(&record->emulator, g_free);
	g_clear_pointer(&record->guest, g_strfreev);
	g_clear_pointer(&record->host_keys, g_strfreev);
	g_clear_pointer(&record->coordinators, g_strfreev);
	g_clear_pointer(&record->damage, g_free);
}

char *
record_text(const struct record *record)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new();
	json_node_take_object(node, o);
	g_autofree char *boot = process_boot();
	json_object_set_string_member(o, "boot", boot);
	const struct childhurd_kept *kept = &record->kept;
	json_object_set_boolean_member(o, "want-up", kept->want_up);
	json_object_set_boolean_member(o, "drained", kept->drained);
	json_object_set_boolean_member(o, "going-down", kept->going_down);
	json_object_set_boolean_member(o, "now", kept->now);
	json_object_set_boolean_member(o, "discard", kept->discard);
	json_object_set_boolean_member(o, "enrolled", kept->enrolled);
	json_object_set_boolean_member(o, "proven", kept->proven);
	json_object_set_boolean_member(o, "saving", kept->saving);
	json_object_set_boolean_member(o, "restoring", kept->restoring);
	json_object_set_boolean_member(o, "cold", kept->cold);
	json_object_set_boolean_member(o, "to-sleep", kept->to_sleep);
	json_object_set_int_member(o, "served", kept->served);
	json_object_set_int_member(o, "warm-failures", kept->warm_failures);
	json_object_set_int_member(o, "restarts", kept->restarts);
	json_object_set_boolean_member(o, "kvm", record->kvm);
	if (record->emulator)
		json_object_set_string_member(o, "emulator", record->emulator);
	JsonArray *boots = json_array_new();
	for (int i = 0; i < BOOTS_KEPT && record->boots[i]; i++)
		json_array_add_int_element(boots, record->boots[i]);
	json_object_set_array_member(o, "boots", boots);
	set_strings(o, "guest", record->guest);
	set_strings(o, "host-keys", record->host_keys);
	set_strings(o, "coordinators", record->coordinators);
	g_autofree char *text = json_to_string(node, TRUE);
	return g_strconcat(text, "\n", NULL);
}
