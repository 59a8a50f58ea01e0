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

/* --- guests that may get no further build --- */

/* Reports that do not arrive are made again. */
static void
on_reported(const struct varlink_message *answer, const GError *error, void *data)
{
	struct nodes_entry *entry = data;
	entry->reporting = FALSE;
	if ((!answer || answer->error) && entry->holding)
		holding_forget(entry->holding);
}

static void
report(struct nodes_entry *entry)
{
	if (!entry->link || !entry->listed || entry->reporting)
		return; /* one after the other: a later one must not arrive first */
	g_autoptr(GByteArray) calls = holding_reports(entry->holding, entry->nodes->name);
	if (!calls)
		return;
	entry->reporting = TRUE;
	link_ask(entry->link, (const char *)calls->data, calls->len, on_reported, entry);
}

static void
on_look(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct nodes_entry *entry = watcher->data;
	if (!holding_look(entry->holding))
		ev_timer_stop(loop, watcher);
	report(entry);
}

static void
let_go(struct nodes_entry *entry)
{
	ev_timer_stop(entry->nodes->setup.loop, &entry->look);
	g_clear_pointer(&entry->holding, holding_free);
}

static void
mind_holds(struct nodes_entry *entry, const struct offers *offers)
{
	const struct nodes *nodes = entry->nodes;
	if (entry->held_at != entry->node->address)
		let_go(entry);
	if (!entry->holding && !offers->held->len)
		return;
	if (!entry->holding)
		entry->holding = holding_new(nodes->guix_state, entry->node->address);
	entry->held_at = entry->node->address;
	holding_set(entry->holding, offers);
	if (offers->held->len)
		ev_timer_start(nodes->setup.loop, &entry->look);
	report(entry);
}

/* --- the link --- */

static void
on_list(struct link *link, JsonObject *parameters, double transit, void *data)
{
	struct nodes_entry *entry = data;
	g_autoptr(GError) error = NULL;
	struct offers *offers = offers_parse(entry->node->name, parameters, &error);
	if (offers) {
		entry->listed = TRUE;
		mind_holds(entry, offers);
		node_offer(entry->node, offers, transit);
	} else
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
				       .private_key = entry->nodes->key,
				       .coordinator = entry->nodes->name};
	link_free(entry->link);
	entry->listed = FALSE;
	if (entry->holding)
		holding_forget(entry->holding);
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
	ev_timer_init(&entry->look, on_look, HOLDING_LOOK / 1000., HOLDING_LOOK / 1000.);
	entry->alarm.data = entry->look.data = entry;
}

void
nodes_world_clear(struct nodes_entry *entry)
{
	ev_timer_stop(entry->nodes->setup.loop, &entry->alarm);
	let_go(entry);
	link_free(g_steal_pointer(&entry->link));
	lane_free(entry->lane);
}
