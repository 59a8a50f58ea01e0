/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections [node NAME]. */
#include <string.h>

#include "config/load_internal.h"
#include "config/value.h"

void
config_node_free(void *data)
{
	struct config_node *node = data;
	g_free(node->name);
	g_free(node->user);
	g_free(node->host);
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope == KEY_NODE)
			value_clear(&keys[i], node);
	g_free(node);
}

/* Two links to one daemon would list its guests twice. */
static void
check_other(struct loader *l, const struct section *s, const char *file, int line,
	    const struct config_node *node)
{
	for (guint i = 0; i < l->config->nodes->len; i++) {
		const struct config_node *other = g_ptr_array_index(l->config->nodes, i);
		if (g_ascii_strcasecmp(node->host, other->host) || node->port != other->port)
			continue;
		load_fault(l, file, line, s->title, "ssh",
			   "leads to the same host as [node %s]; leave one of the two out",
			   other->name);
		return;
	}
}

static void
make(struct loader *l, const struct section *s)
{
	struct config_node *node = g_new0(struct config_node, 1);
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	const char *file = s->file;
	int line = 0;
	node->name = g_strdup(s->name);
	load_set_standards(node, KEY_NODE);
	load_apply(l, s->title, KEY_NODE, node, given);
	load_find_place(l, s->title, "ssh", &file, &line);
	if (!line) /* a bad one is reported already */
		load_fault(l, s->file, s->line, s->title, "ssh",
			   "is missing; write USER@HOST, where ssh leads to the node's daemon");
	if (!node->ssh) {
		config_node_free(node);
		return;
	}
	value_split_ssh(node->ssh, &node->user, &node->host, &node->port);
	if (!node->address)
		node->address = g_strdup(node->host);
	check_other(l, s, file, line, node);
	g_ptr_array_add(l->config->nodes, node);
}

void
config_nodes_make(struct loader *l)
{
	for (guint i = 0; i < l->sections->len; i++) {
		const struct section *s = g_ptr_array_index(l->sections, i);
		if (s->kind->scope == KEY_NODE)
			make(l, s);
	}
}
