/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A node that does not answer keeps its guests in the list for lost-after: most such times are
 * short, and Guix itself tries another machine if one does not answer. Then they count as coming,
 * like a guest that is started again: they are off the list, unless no guest at all is ready. So
 * builds wait for a node that comes back, instead of failing. A node that sends something else than
 * a list is treated the same, with its last good list.
 */
#include "childhurdd/nodes/node.h"

#include <math.h>

static void
set_string(char **field, const char *value)
{
	g_free(*field);
	*field = g_strdup(value);
}

/* "TYPE BASE64" without a comment. */
static char *
bare_key(const char *key)
{
	g_auto(GStrv) words = key ? g_strsplit(key, " ", 3) : NULL;
	return words ? g_strdup_printf("%s %s", words[0], words[1]) : NULL;
}

/* --- time --- */

static gint64
now(const struct node *node)
{
	return node->ops->now(node);
}

/* Ask for the alarm that is due first. */
static void
set_alarm(struct node *node)
{
	gint64 at = node->retry;
	if (at < 0 || (node->lost >= 0 && node->lost < at))
		at = node->lost;
	node->ops->alarm(node, at < 0 ? -1 : MAX(at - now(node), 0));
}

/* Of a time in ms, the largest unit in which it is whole: "2min". */
static char *
time_text(gint64 ms)
{
	if (ms % 60000 == 0)
		return g_strdup_printf("%" G_GINT64_FORMAT "min", ms / 60000);
	if (ms % 1000 == 0)
		return g_strdup_printf("%" G_GINT64_FORMAT "s", ms / 1000);
	return g_strdup_printf("%" G_GINT64_FORMAT "ms", ms);
}

/* The pause before the next try. Many nodes behind one switch come back at one moment, so it is
 * shortened by up to a quarter at random. */
static gint64
next_pause(const struct node *node)
{
	gint64 longest = NODE_RETRY_FIRST;
	for (guint i = 0; i < node->tries && longest < NODE_RETRY_LONGEST; i++)
		longest *= 2;
	longest = MIN(longest, NODE_RETRY_LONGEST);
	return longest - (gint64)((double)longest / 4 * node->ops->random(node));
}

/* --- reports --- */

static guint
ready(const struct node *node)
{
	return node->offers ? node->offers->ready : 0;
}

static void
changed(struct node *node, gboolean list, const char *text)
{
	g_autofree char *whole = text ? g_strdup_printf("node %s: %s", node->name, text) : NULL;
	node->ops->changed(node, list, whole);
}

static char *
its_guests(const struct node *node)
{
	return ready(node) == 1 ? g_strdup("guest") : g_strdup_printf("%u guests", ready(node));
}

/* Its error, unless the same was reported last. Caller frees; NULL: nothing. */
static char *
failure_text(struct node *node, gboolean was_connected)
{
	if (!was_connected && !g_strcmp0(node->told, node->why))
		return NULL;
	set_string(&node->told, node->why);
	if (!was_connected)
		return g_strdup_printf("no link to it: %s", node->why);
	g_autofree char *after = time_text(node->lost_after), *guests = its_guests(node);
	return ready(node) ? g_strdup_printf("no longer connected: %s; its %s stay%s listed for %s",
					     node->why, guests, ready(node) == 1 ? "s" : "", after)
			   : g_strdup_printf("no longer connected: %s", node->why);
}

static void
set_state(struct node *node, enum node_state state)
{
	if (node->state == state)
		return;
	node->state = state;
	node->since = node->ops->wall(node);
}

/* --- life --- */

struct node *
node_new(const struct config_node *config, const struct node_ops *ops, void *data)
{
	struct node *node = g_new0(struct node, 1);
	node->ops = ops;
	node->data = data;
	node->name = g_strdup(config->name);
	node->retry = node->lost = -1;
	node->skew = NAN;
	node->since = ops->wall(node);
	node_configure(node, config);
	return node;
}

void
node_free(struct node *node)
{
	node->ops->alarm(node, -1);
	if (node->linked)
		node->ops->disconnect(node);
	offers_unref(node->offers);
	g_free(node->name);
	g_free(node->ssh);
	g_free(node->user);
	g_free(node->host);
	g_free(node->host_key);
	g_free(node->why);
	g_free(node->told);
	g_free(node);
}

static void
try(struct node *node)
{
	node->retry = -1;
	node->linked = TRUE;
	set_alarm(node);
	node->ops->connect(node);
}

void
node_begin(struct node *node, struct offers *offers)
{
	node->begun = TRUE;
	node->offers = offers;
	node->lost = now(node) + node->lost_after;
	try(node);
	if (offers)
		changed(node, TRUE, NULL);
}

/* Its clock minus ours, if the list has just come. */
static double
skew_of(const struct node *node, const struct offers *offers, double transit)
{
	return offers->time + transit - (double)node->ops->wall(node) / 1e6;
}

void
node_offer(struct node *node, struct offers *offers, double transit)
{
	gboolean first = node->state != NODE_CONNECTED;
	gboolean other = first || !offers_equal(node->offers, offers);
	offers_unref(node->offers);
	node->offers = offers;
	node->skew = skew_of(node, offers, transit);
	if (first) {
		node->connected = now(node);
		node->lost = -1;
		g_clear_pointer(&node->why, g_free);
		g_clear_pointer(&node->told, g_free);
		set_state(node, NODE_CONNECTED);
		set_alarm(node);
	}
	if (other)
		changed(node, TRUE, first ? "connected" : NULL);
}

void
node_broke(struct node *node, const GError *error)
{
	gboolean was = node->state == NODE_CONNECTED;
	node->linked = FALSE;
	set_string(&node->why, error->message);
	if (was) {
		if (now(node) - node->connected >= NODE_STEADY)
			node->tries = 0;
		node->lost = now(node) + node->lost_after;
		set_state(node, NODE_CONNECTING);
	}
	node->retry = now(node) + next_pause(node);
	node->tries++;
	set_alarm(node);
	g_autofree char *text = failure_text(node, was);
	changed(node, FALSE, text);
}

void
node_refuse(struct node *node, const GError *error)
{
	g_autoptr(GError) whole =
	    g_error_new(error->domain, error->code, "its list is refused: %s", error->message);
	node->ops->disconnect(node);
	node_broke(node, whole);
}

static void
lose(struct node *node)
{
	g_autofree char *after = time_text(node->lost_after), *guests = its_guests(node);
	g_autofree char *off = ready(node) ? g_strdup_printf("; its %s %s off the list", guests,
							     ready(node) == 1 ? "is" : "are")
					   : g_strdup("");
	g_autofree char *text = g_strdup_printf("lost: no answer for %s%s", after, off);
	node->lost = -1;
	set_state(node, NODE_LOST);
	changed(node, TRUE, text);
}

void
node_alarm(struct node *node)
{
	if (node->lost >= 0 && now(node) >= node->lost)
		lose(node);
	if (node->retry >= 0 && now(node) >= node->retry)
		try(node);
	else
		set_alarm(node);
}

/* --- its configuration --- */

/* The time since when it has not answered stays. */
static void
set_lost_after(struct node *node, gint64 after)
{
	if (node->lost >= 0)
		node->lost += after - node->lost_after;
	node->lost_after = after;
}

/* The next link leads elsewhere. Until what is there has answered, none of its guests is ready. */
static void
lead_elsewhere(struct node *node)
{
	gboolean was = node->state == NODE_CONNECTED;
	g_autofree char *kept = node->offers ? offers_remember(node->offers) : NULL;
	offers_unref(node->offers);
	node->offers = kept ? offers_recall(node->name, kept) : NULL;
	if (node->linked)
		node->ops->disconnect(node);
	node->tries = 0;
	if (was)
		node->lost = now(node) + node->lost_after;
	if (node->state != NODE_LOST)
		set_state(node, NODE_CONNECTING);
	try(node);
	changed(node, TRUE, NULL);
}

/* A person who reloads may have removed what was in the way. */
static void
try_soon(struct node *node)
{
	if (node->linked) {
		set_alarm(node);
		return;
	}
	node->tries = 0;
	try(node);
}

/* Does the link lead elsewhere? key: bare. */
static gboolean
is_elsewhere(const struct node *node, const struct config_node *config, const char *key)
{
	return g_strcmp0(node->ssh, config->ssh) || g_strcmp0(node->host_key, key);
}

gboolean
node_differs(const struct node *node, const struct config_node *config)
{
	g_autofree char *key = bare_key(config->host_key);
	return is_elsewhere(node, config, key) || g_strcmp0(node->address, config->address) ||
	       node->lost_after != config->lost_after;
}

gboolean
node_configure(struct node *node, const struct config_node *config)
{
	g_autofree char *key = bare_key(config->host_key);
	gboolean elsewhere = is_elsewhere(node, config, key);
	gboolean readdressed = g_strcmp0(node->address, config->address) != 0;
	gboolean other = node_differs(node, config);
	set_string(&node->ssh, config->ssh);
	set_string(&node->user, config->user);
	set_string(&node->host, config->host);
	set_string(&node->host_key, key);
	node->port = config->port;
	node->address = g_intern_string(config->address); /* published lists in other threads */
	set_lost_after(node, config->lost_after);
	if (elsewhere && node->begun)
		lead_elsewhere(node);
	else if (node->begun)
		try_soon(node);
	if (readdressed && node->offers)
		changed(node, TRUE, NULL);
	return other;
}

enum published_as
node_lists(const struct node *node, const struct published_guest *guest)
{
	/* lists of an earlier daemon have no guests that are ready */
	return node->state == NODE_LOST ? PUBLISHED_COMING : guest->as;
}

const char *
node_state_name(const struct node *node)
{
	static const char *const names[] = {
	    [NODE_CONNECTING] = "connecting", [NODE_CONNECTED] = "connected", [NODE_LOST] = "lost"};
	return names[node->state];
}
