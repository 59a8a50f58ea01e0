/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The roster of nodes, and the list of their guests. */
#include "childhurdd/nodes/nodes.h"

#include <string.h>

#include "childhurdd/nodes/node_key.h"
#include "childhurdd/nodes/nodes_internal.h"

static void
on_changed(struct node *node, gboolean list, const char *text)
{
	struct nodes_entry *entry = node->data;
	struct nodes *nodes = entry->nodes;
	if (list) {
		nodes_remember(entry);
		nodes_sign(nodes);
		nodes->setup.publish(nodes->setup.data);
	}
	if (text)
		nodes->setup.event(nodes->setup.data, text);
}

static struct node *
add(struct nodes *nodes, const struct config_node *config)
{
	struct nodes_entry *entry = g_new0(struct nodes_entry, 1);
	entry->nodes = nodes;
	entry->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	entry->ops = nodes->setup.ops ? *nodes->setup.ops : nodes_world;
	entry->ops.changed = on_changed;
	nodes_world_init(entry);
	entry->node = node_new(config, &entry->ops, entry);
	return entry->node;
}

static void
drop(struct node *node)
{
	struct nodes_entry *entry = node->data;
	node_free(node);
	nodes_world_clear(entry);
	g_hash_table_unref(entry->keys);
	g_free(entry->remembered);
	g_free(entry);
}

struct nodes *
nodes_new(const struct nodes_setup *setup)
{
	struct nodes *nodes = g_new0(struct nodes, 1);
	nodes->setup = *setup;
	nodes->setup.state_directory = g_strdup(setup->state_directory);
	nodes->all = g_ptr_array_new();
	nodes->lane = lane_new(setup->files);
	nodes->known = TRUE; /* until nodes are configured */
	nodes->name = node_key_reporter(setup->state_directory);
	nodes->key = node_key_path(setup->state_directory);
	nodes->private_key = g_intern_string(nodes->key);
	nodes->signed_for = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return nodes;
}

void
nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	nodes_keys_clear(nodes);
	for (guint i = 0; i < nodes->all->len; i++)
		drop(g_ptr_array_index(nodes->all, i));
	g_ptr_array_unref(nodes->all);
	lane_free(nodes->lane);
	g_free(nodes->setup.state_directory);
	g_free(nodes->name);
	g_free(nodes->key);
	g_free(nodes);
}

/* --- the configuration --- */

static void
message(GPtrArray *messages, const char *name, const char *what)
{
	if (messages)
		g_ptr_array_add(messages, g_strdup_printf("node %s: %s", name, what));
}

/* Take the node of that name from those that there were; NULL: none. */
static struct node *
take(GPtrArray *old, const char *name)
{
	for (guint i = 0; i < old->len; i++) {
		struct node *node = g_ptr_array_index(old, i);
		if (!strcmp(node->name, name))
			return g_ptr_array_steal_index(old, i);
	}
	return NULL;
}

#define REMOVED "removed; its guests are off the list, and their signing keys stay in the acl"

void
nodes_foresee(const struct nodes *nodes, const struct config *config, GPtrArray *messages)
{
	g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
	for (guint i = 0; i < config->nodes->len; i++) {
		const struct config_node *node = g_ptr_array_index(config->nodes, i);
		const struct node *there = nodes_find(nodes, node->name);
		g_hash_table_add(wanted, (char *)node->name);
		if (!there || node_differs(there, node))
			message(messages, node->name, there ? "changed" : "added");
	}
	for (guint i = 0; i < nodes->all->len; i++) {
		const struct node *node = g_ptr_array_index(nodes->all, i);
		if (!g_hash_table_contains(wanted, node->name))
			message(messages, node->name, REMOVED);
	}
}

static void
remove_all(struct nodes *nodes, GPtrArray *old, GPtrArray *messages)
{
	for (guint i = 0; i < old->len; i++) {
		struct node *node = g_ptr_array_index(old, i);
		message(messages, node->name, REMOVED);
		nodes_forget(node->data);
		drop(node);
	}
	if (old->len)
		nodes->setup.publish(nodes->setup.data);
}

static void
set_string(char **field, const char *value)
{
	g_free(*field);
	*field = g_strdup(value);
}

void
nodes_configure(struct nodes *nodes, const struct config *config, GPtrArray *messages)
{
	g_autoptr(GPtrArray) old = nodes->all;
	nodes->all = g_ptr_array_new();
	set_string(&nodes->coordinator_user, config->coordinator_user);
	set_string(&nodes->guix_state, config->guix_state_directory);
	set_string(&nodes->guix, config->guix_configuration_directory);
	for (guint i = 0; i < config->nodes->len; i++) {
		const struct config_node *wanted = g_ptr_array_index(config->nodes, i);
		struct node *node = take(old, wanted->name);
		if (!node) {
			node = add(nodes, wanted);
			message(messages, node->name, "added");
		} else if (node_configure(node, wanted)) {
			message(messages, node->name, "changed");
		}
		g_ptr_array_add(nodes->all, node);
	}
	remove_all(nodes, old, messages);
	if (!messages)
		nodes->known = !nodes->all->len;
	if (nodes->all->len)
		nodes_prepare(nodes);
}

/* --- what is asked --- */

gboolean
nodes_known(const struct nodes *nodes)
{
	return nodes->known;
}

const GPtrArray *
nodes_all(const struct nodes *nodes)
{
	return nodes->all;
}

const struct node *
nodes_find(const struct nodes *nodes, const char *name)
{
	for (guint i = 0; i < nodes->all->len; i++) {
		const struct node *node = g_ptr_array_index(nodes->all, i);
		if (!strcmp(node->name, name))
			return node;
	}
	return NULL;
}

void
nodes_ask(struct nodes *nodes, const struct node *node, const char *method, JsonObject *parameters,
	  link_answer_fn answer, void *data)
{
	struct nodes_entry *entry = node->data;
	g_autofree char *call = varlink_call(method, parameters, FALSE);
	const char *why = node->state != NODE_CONNECTED || !entry->link ? node->why
			  : link_is_busy(entry->link) ? "too many calls are under way to it"
						      : NULL;
	if (node->state == NODE_CONNECTED && entry->link && !why) {
		link_ask(entry->link, call, strlen(call) + 1, answer, data);
		return;
	}
	g_autoptr(GError) error =
	    g_error_new(LINK_ERROR, LINK_ERROR_ANSWER, "it is %s%s%s", node_state_name(node),
			why ? ": " : "", why ? why : "");
	answer(NULL, error, data);
}

/* Guix knows a machine by address and port, so only the first to have them is listed: a guest of
 * this host, or of the node that comes first. */
static gboolean
take_place(GHashTable *places, const struct published_guest *guest)
{
	return g_hash_table_add(places, g_strdup_printf("%s %d", guest->host_name, guest->port));
}

void
nodes_append(const struct nodes *nodes, GArray *list, GPtrArray *owners)
{
	g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < list->len; i++)
		take_place(places, &g_array_index(list, struct published_guest, i));
	for (guint i = 0; i < nodes->all->len; i++) {
		const struct node *node = g_ptr_array_index(nodes->all, i);
		guint n = node->offers ? node->offers->guests->len : 0;
		if (n && owners)
			g_ptr_array_add(owners, offers_ref(node->offers));
		for (guint j = 0; j < n; j++) {
			struct published_guest guest =
			    g_array_index(node->offers->guests, struct published_guest, j);
			guest.host_name = node->address;
			guest.private_key = nodes->private_key;
			guest.coordinator_key = nodes->coordinator_key;
			guest.as = node_lists(node, &guest);
			guest.foreign = TRUE;
			if (take_place(places, &guest))
				g_array_append_val(list, guest);
		}
	}
}
