/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's life in simulated time: the clock is a number, and a link is what the test says. */
#include "childhurdd/nodes/node.h"

#include <math.h>
#include <string.h>

#include "service/varlink.h"

struct bed {
	struct node *node;
	gint64 now, alarm; /* ms; alarm -1: none */
	double random;
	int connects, disconnects, lists;
	gboolean open; /* there is a link */
	GString *texts;
};

static struct bed *
bed_of(const struct node *node)
{
	return node->data;
}

static gint64
bed_now(const struct node *node)
{
	return bed_of(node)->now;
}

static gint64
bed_wall(const struct node *node)
{
	return (1700000000 * G_GINT64_CONSTANT(1000) + bed_of(node)->now) * 1000;
}

static double
bed_random(const struct node *node)
{
	return bed_of(node)->random;
}

static void
bed_alarm(struct node *node, gint64 wait)
{
	bed_of(node)->alarm = wait < 0 ? -1 : bed_of(node)->now + wait;
}

static void
bed_connect(struct node *node)
{
	struct bed *bed = bed_of(node);
	g_assert_false(bed->open);
	bed->open = TRUE;
	bed->connects++;
}

static void
bed_disconnect(struct node *node)
{
	g_assert_true(bed_of(node)->open);
	bed_of(node)->open = FALSE;
	bed_of(node)->disconnects++;
}

static void
bed_changed(struct node *node, gboolean list, const char *text)
{
	bed_of(node)->lists += list;
	if (text)
		g_string_append_printf(bed_of(node)->texts, "%s\n", text);
}

static const struct node_ops bed_ops = {.now = bed_now,
					.wall = bed_wall,
					.random = bed_random,
					.alarm = bed_alarm,
					.connect = bed_connect,
					.disconnect = bed_disconnect,
					.changed = bed_changed};

static struct config_node
standard(void)
{
	return (struct config_node){.name = (char *)"n1",
				    .ssh = (char *)"root@n1",
				    .user = (char *)"root",
				    .host = (char *)"n1",
				    .port = 22,
				    .address = (char *)"n1",
				    .lost_after = 120000};
}

static void
begin(struct bed *bed)
{
	const struct config_node config = standard();
	*bed = (struct bed){.alarm = -1, .texts = g_string_new(NULL)};
	bed->node = node_new(&config, &bed_ops, bed);
	g_assert_cmpint(bed->connects, ==, 0);
	node_begin(bed->node, NULL);
	g_assert_cmpint(bed->connects, ==, 1);
}

static void
end(struct bed *bed)
{
	node_free(bed->node);
	g_assert_false(bed->open);
	g_assert_cmpint(bed->alarm, ==, -1);
	g_string_free(bed->texts, TRUE);
}

/* Let so many ms pass; alarms come in time. */
static void
pass(struct bed *bed, gint64 ms)
{
	gint64 until = bed->now + ms;
	while (bed->alarm >= 0 && bed->alarm <= until) {
		bed->now = bed->alarm;
		bed->alarm = -1;
		node_alarm(bed->node);
	}
	bed->now = until;
}

static struct offers *
offers_of(int n, gint64 wall)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (int i = 0; i < n; i++)
		g_string_append_printf(
		    text,
		    "%s{\"name\":\"g%d\",\"port\":%d,\"user\":\"u\",\"host_keys\":[\"ssh-ed25519 "
		    "AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/"
		    "1d\"],\"systems\":[\"i586-gnu\"],\"features\":[],\"parallel_builds\":1,"
		    "\"speed\":1,\"overload_threshold\":1.8}",
		    i ? "," : "", i, 1000 + i);
	g_autofree char *all = g_strdup_printf("{\"parameters\":{\"machines\":[%s],\"time\":%.3f}}",
					       text->str, (double)wall / 1e6);
	struct varlink_message *message = varlink_parse(all, NULL);
	struct offers *offers = offers_parse("n1", message->parameters, NULL);
	varlink_message_free(message);
	g_assert_nonnull(offers);
	return offers;
}

static void
offer(struct bed *bed, int n)
{
	g_assert_true(bed->open);
	node_offer(bed->node, offers_of(n, bed_wall(bed->node)), 0);
}

static void
broke(struct bed *bed, const char *why)
{
	g_autoptr(GError) error = g_error_new_literal(OFFERS_ERROR, 0, why);
	bed->open = FALSE;
	node_broke(bed->node, error);
}

static void
assert_texts(struct bed *bed, const char *expected)
{
	g_assert_cmpstr(bed->texts->str, ==, expected);
	g_string_truncate(bed->texts, 0);
}

static enum published_as
listed(const struct bed *bed)
{
	return node_lists(bed->node,
			  &g_array_index(bed->node->offers->guests, struct published_guest, 0));
}

static void
test_connects(void)
{
	struct bed bed;
	begin(&bed);
	g_assert_cmpstr(node_state_name(bed.node), ==, "connecting");
	pass(&bed, 500);
	offer(&bed, 3);
	assert_texts(&bed, "node n1: connected\n");
	g_assert_cmpstr(node_state_name(bed.node), ==, "connected");
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_READY);
	g_assert_cmpint(bed.lists, ==, 1);
	pass(&bed, 30000);
	offer(&bed, 3); /* a sign of life changes nothing */
	g_assert_cmpint(bed.lists, ==, 1);
	offer(&bed, 2);
	g_assert_cmpint(bed.lists, ==, 2);
	pass(&bed, 10 * 24 * 3600 * G_GINT64_CONSTANT(1000));
	g_assert_cmpint(bed.connects, ==, 1);
	assert_texts(&bed, "");
	end(&bed);
}

static void
test_lost(void)
{
	struct bed bed;
	begin(&bed);
	offer(&bed, 3);
	pass(&bed, 60000);
	g_string_truncate(bed.texts, 0);
	broke(&bed, "a cable");
	assert_texts(&bed,
		     "node n1: no longer connected: a cable; its 3 guests stay listed for 2min\n");
	pass(&bed, 119999);
	g_assert_cmpstr(node_state_name(bed.node), ==, "connecting");
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_READY);
	assert_texts(&bed, "");
	pass(&bed, 1);
	assert_texts(&bed, "node n1: lost: no answer for 2min; its 3 guests are off the list\n");
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_COMING);
	pass(&bed, 3600000);
	assert_texts(&bed, "");
	offer(&bed, 1);
	assert_texts(&bed, "node n1: connected\n");
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_READY);
	broke(&bed, "a cable");
	assert_texts(&bed,
		     "node n1: no longer connected: a cable; its guest stays listed for 2min\n");
	end(&bed);
}

/* One that never answers is lost, too, and reports each reason once. */
static void
test_never(void)
{
	struct bed bed;
	begin(&bed);
	for (int i = 0; i < 10; i++) {
		broke(&bed, i < 5 ? "refused" : "no route");
		while (!bed.open)
			pass(&bed, 100);
	}
	g_assert_nonnull(strstr(bed.texts->str, "node n1: lost: no answer for 2min\n"));
	g_auto(GStrv) parts = g_strsplit(bed.texts->str, "node n1: lost: no answer for 2min\n", 2);
	g_autofree char *rest = g_strjoinv("", parts);
	g_assert_cmpstr(rest, ==,
			"node n1: no link to it: refused\nnode n1: no link to it: no route\n");
	end(&bed);
}

/* The time from the end of a link to the next try. */
static gint64
gap(struct bed *bed)
{
	gint64 before = bed->now;
	broke(bed, "refused");
	while (!bed->open)
		pass(bed, 1);
	return bed->now - before;
}

static void
test_pauses(void)
{
	static const gint64 pauses[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
	struct bed bed;
	begin(&bed);
	for (gsize i = 0; i < G_N_ELEMENTS(pauses); i++)
		g_assert_cmpint(gap(&bed), ==, pauses[i]);
	bed.random = 1;
	g_assert_cmpint(gap(&bed), ==, 22500);
	bed.random = 0;
	/* a link that does not last is tried as rarely; one that does begins anew */
	offer(&bed, 1);
	pass(&bed, NODE_STEADY - 1);
	g_assert_cmpint(gap(&bed), ==, 30000);
	offer(&bed, 1);
	pass(&bed, NODE_STEADY);
	g_assert_cmpint(gap(&bed), ==, 1000);
	end(&bed);
}

static void
test_nonsense(void)
{
	struct bed bed;
	g_autoptr(GError) error = g_error_new_literal(OFFERS_ERROR, 0, "a: port: 0");
	begin(&bed);
	offer(&bed, 2);
	g_string_truncate(bed.texts, 0);
	for (int i = 0; i < 100 && bed.now < 119000; i++) {
		node_refuse(bed.node, error);
		g_assert_false(bed.open);
		while (!bed.open && bed.now < 119000)
			pass(&bed, 100);
		g_assert_cmpint(listed(&bed), ==, PUBLISHED_READY);
		g_assert_cmpuint(bed.node->offers->ready, ==, 2);
	}
	assert_texts(&bed, "node n1: no longer connected: its list is refused: a: port: 0; its 2 "
			   "guests stay listed for 2min\n"
			   "");
	end(&bed);
}

static void
test_skew(void)
{
	struct bed bed;
	begin(&bed);
	node_offer(bed.node, offers_of(1, bed_wall(bed.node) + 3600 * G_GINT64_CONSTANT(1000000)),
		   0.25);
	g_assert_cmpfloat(fabs(bed.node->skew - 3600.25), <, 0.001);
	end(&bed);
}

static void
test_configure(void)
{
	struct bed bed;
	struct config_node config = standard();
	begin(&bed);
	offer(&bed, 2);
	g_assert_false(node_configure(bed.node, &config));
	config.lost_after = 5000;
	g_assert_true(node_configure(bed.node, &config));
	config.address = (char *)"elsewhere";
	int lists = bed.lists;
	g_assert_true(node_configure(bed.node, &config));
	g_assert_cmpint(bed.lists, ==, lists + 1);
	g_assert_cmpstr(bed.node->address, ==, "elsewhere");
	g_assert_cmpint(bed.connects, ==, 1); /* neither needs another link */
	g_assert_cmpint(bed.disconnects, ==, 0);
	config.host_key = (char *)"ssh-ed25519 AAAA root@n1";
	g_assert_true(node_configure(bed.node, &config));
	g_assert_cmpint(bed.connects, ==, 2);
	g_assert_cmpint(bed.disconnects, ==, 1);
	g_assert_cmpstr(node_state_name(bed.node), ==, "connecting");
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_COMING); /* until what is there has answered */
	config.host_key = (char *)"ssh-ed25519 AAAA another comment";
	g_assert_false(node_configure(bed.node, &config));
	g_string_truncate(bed.texts, 0);
	broke(&bed, "impostor");
	pass(&bed, 5000);
	g_assert_nonnull(strstr(bed.texts->str, "node n1: lost: no answer for 5s\n"));
	end(&bed);
}

/* A reload tries at once, and lost-after counts from when the answers ended. */
static void
test_reload(void)
{
	struct bed bed;
	struct config_node config = standard();
	begin(&bed);
	offer(&bed, 2);
	for (int i = 0; i < 6; i++) {
		broke(&bed, "refused");
		while (i < 5 && !bed.open)
			pass(&bed, 10);
	}
	g_assert_false(bed.open);
	node_configure(bed.node, &config);
	g_assert_true(bed.open);
	pass(&bed, 40000);
	config.lost_after = 60000;
	g_string_truncate(bed.texts, 0);
	node_configure(bed.node, &config);
	pass(&bed, 1);
	g_assert_cmpstr(bed.texts->str, ==,
			"node n1: lost: no answer for 1min; its 2 guests are off the list\n");
	end(&bed);
}

/* A daemon begins with what an earlier one knew: as coming, until the node answers. */
static void
test_recalled(void)
{
	struct bed bed = {.alarm = -1, .texts = g_string_new(NULL)};
	const struct config_node config = standard();
	struct offers *old = offers_of(2, 0);
	g_autofree char *kept = offers_remember(old);
	offers_unref(old);
	bed.node = node_new(&config, &bed_ops, &bed);
	node_begin(bed.node, offers_recall("n1", kept));
	g_assert_cmpint(bed.lists, ==, 1);
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_COMING);
	offer(&bed, 2);
	g_assert_cmpint(listed(&bed), ==, PUBLISHED_READY);
	g_assert_cmpint(bed.lists, ==, 2);
	end(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/node/a-node-that-answers-is-connected", test_connects);
	g_test_add_func("/node/its-guests-stay-listed-for-lost-after", test_lost);
	g_test_add_func("/node/one-that-never-answers-is-lost-too", test_never);
	g_test_add_func("/node/the-pauses-grow-and-begin-anew", test_pauses);
	g_test_add_func("/node/nonsense-keeps-the-last-good-list", test_nonsense);
	g_test_add_func("/node/its-clock-is-compared", test_skew);
	g_test_add_func("/node/only-another-way-there-needs-another-link", test_configure);
	g_test_add_func("/node/a-reload-tries-at-once", test_reload);
	g_test_add_func("/node/a-list-of-an-earlier-daemon-is-coming", test_recalled);
	return g_test_run();
}
