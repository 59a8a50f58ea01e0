/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real world of a node: its link, its timer, the clock. */
#include "childhurdd/nodes/nodes_internal.h"

static struct nodes_entry *
entry_of(const struct node *node)
{
	return node->data;
}

static gint64
world_now(const struct node *node)
{
	return g_get_monotonic_time() / 1000;
}

static gint64
world_wall(const struct node *node)
{
	return g_get_real_time();
}

static double
world_random(const struct node *node)
{
	return g_random_double();
}

static void
world_alarm(struct node *node, gint64 wait)
{
	struct nodes_entry *entry = entry_of(node);
	struct ev_loop *loop = entry->nodes->setup.loop;
	ev_timer_stop(loop, &entry->alarm);
	if (wait < 0)
		return;
	ev_now_update(loop); /* else a long callback makes it early, and node_alarm asks again */
	ev_timer_set(&entry->alarm, (double)wait / 1000, 0.);
	ev_timer_start(loop, &entry->alarm);
}

static void
on_alarm(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct nodes_entry *entry = watcher->data;
	node_alarm(entry->node);
}

static void
on_list(struct link *link, JsonObject *parameters, double transit, void *data)
{
	struct nodes_entry *entry = data;
	g_autoptr(GError) error = NULL;
	struct offers *offers = offers_parse(entry->node->name, parameters, &error);
	if (offers)
		node_offer(entry->node, offers, transit);
	else
		node_refuse(entry->node, error);
}

static void
on_end(struct link *link, const GError *error, void *data)
{
	struct nodes_entry *entry = data;
	g_autoptr(GError) copy = g_error_copy(error);
	link_free(g_steal_pointer(&entry->link));
	node_broke(entry->node, copy);
}

static void
world_connect(struct node *node)
{
	struct nodes_entry *entry = entry_of(node);
	const struct link_spec spec = {.user = node->user,
				       .host = node->host,
				       .port = node->port,
				       .host_key = node->host_key,
				       .private_key = entry->nodes->key};
	link_free(entry->link);
	entry->link =
	    link_new(entry->nodes->setup.loop, entry->lane, &spec, on_list, on_end, entry);
}

static void
world_disconnect(struct node *node)
{
	struct nodes_entry *entry = entry_of(node);
	link_free(g_steal_pointer(&entry->link));
}

const struct node_ops nodes_world = {
    .now = world_now,
    .wall = world_wall,
    .random = world_random,
    .alarm = world_alarm,
    .connect = world_connect,
    .disconnect = world_disconnect,
};

void
nodes_world_init(struct nodes_entry *entry)
{
	entry->lane = lane_new(entry->nodes->setup.files);
	ev_timer_init(&entry->alarm, on_alarm, 0., 0.);
	entry->alarm.data = entry;
}

void
nodes_world_clear(struct nodes_entry *entry)
{
	ev_timer_stop(entry->nodes->setup.loop, &entry->alarm);
	link_free(g_steal_pointer(&entry->link));
	lane_free(entry->lane);
}
