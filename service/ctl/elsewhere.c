/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests of this host and, as NODE/NAME, of nodes: for the verbs that show them. The daemon asks a
 * node's daemon, so this needs no way to the node of its own.
 */
#include "service/ctl/ctl.h"

#include <string.h>

static JsonArray *
guests_in(JsonObject *object)
{
	JsonNode *node = object ? json_object_get_member(object, "guests") : NULL;
	return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* Of a guest, or of its details. */
static void
put_node_before_name(JsonObject *object, const char *node)
{
	JsonObject *details = ctl_object(object, "guest"), *guest = details ? details : object;
	const char *name = ctl_text(guest, "name");
	g_autofree char *full = g_strdup_printf("%s/%s", node, name ? name : "?");
	json_object_set_string_member(guest, "name", full);
}

/* Append the guests of a node that match name (NULL: all) to guests. */
static gboolean
add_of_node(struct ctl *ctl, const char *method, const char *node, const char *name,
	    JsonArray *guests, GError **error)
{
	ctl_auto_message reply = ctl_ask_names(ctl, node, method, &name, name ? 1 : 0, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) theirs =
	    ctl_objects(ctl_object(reply->parameters, "answer"), "guests");
	for (guint i = 0; i < theirs->len; i++) {
		JsonObject *guest = g_ptr_array_index(theirs, i);
		put_node_before_name(guest, node);
		json_array_add_object_element(guests, json_object_ref(guest));
	}
	return TRUE;
}

/* Append those of all nodes. A node that does not answer is reported, and sets *status. */
static gboolean
add_of_all_nodes(struct ctl *ctl, const char *method, JsonArray *guests, int *status,
		 GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Nodes", NULL, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) nodes = ctl_objects(reply->parameters, "nodes");
	for (guint i = 0; i < nodes->len; i++) {
		const char *node = ctl_text(g_ptr_array_index(nodes, i), "name");
		GError *why = NULL;
		if (node && !add_of_node(ctl, method, node, NULL, guests, &why))
			*status = ctl_complain(why);
	}
	return TRUE;
}

/* The reply for guests of this host; an empty one if all names are of nodes. */
static struct varlink_message *
ask_here(struct ctl *ctl, const char *method, const char *const *names, guint n, GError **error)
{
	g_autoptr(GPtrArray) here = g_ptr_array_new();
	for (guint i = 0; i < n; i++)
		if (!strchr(names[i], '/'))
			g_ptr_array_add(here, (gpointer)names[i]);
	if (n && !here->len)
		return varlink_parse("{\"parameters\":{\"guests\":[]}}", NULL);
	return ctl_ask_names(ctl, NULL, method, (const char *const *)here->pdata, here->len, error);
}

struct varlink_message *
ctl_guests(struct ctl *ctl, const char *method, const char *const *names, guint n, int *status,
	   GError **error)
{
	struct varlink_message *reply = ask_here(ctl, method, names, n, error);
	JsonArray *guests = reply ? guests_in(reply->parameters) : NULL;
	gboolean good = reply != NULL;
	for (guint i = 0; good && guests && i < n; i++) {
		const char *slash = strchr(names[i], '/');
		g_autofree char *node =
		    slash ? g_strndup(names[i], (gsize)(slash - names[i])) : NULL;
		good = !slash || add_of_node(ctl, method, node, slash + 1, guests, error);
	}
	if (good && guests && ctl->nodes)
		good = add_of_all_nodes(ctl, method, guests, status, error);
	if (!good)
		g_clear_pointer(&reply, varlink_message_free);
	return reply;
}
