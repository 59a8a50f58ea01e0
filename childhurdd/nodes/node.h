/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of one node: whether there is a link to it, the last list that it sent, and since
 * when it has not answered. This decides when to connect, how long its guests stay listed, and what
 * is reported; it touches neither the network nor the clock.
 */
#ifndef CHILDHURDD_NODES_NODE_H
#define CHILDHURDD_NODES_NODE_H

#include <glib.h>

#include "childhurdd/nodes/offers.h"
#include "config/config.h"

#define NODE_RETRY_FIRST   1000	 /* ms to the next try; doubled for each further one, up to: */
#define NODE_RETRY_LONGEST 30000 /* ms */
#define NODE_STEADY	   30000 /* ms that a link has to last until the next pause is short again */

enum node_state {
	NODE_CONNECTING, /* no answer, for less than lost-after */
	NODE_CONNECTED,
	NODE_LOST, /* tried again and again; its guests are not listed as ready */
};

struct node;

/*
 * What a node needs of the world. All return at once, and none calls back before it returns.
 */
struct node_ops {
	gint64 (*now)(const struct node *node);	   /* monotonic ms */
	gint64 (*wall)(const struct node *node);   /* wall clock µs */
	double (*random)(const struct node *node); /* from 0 to 1 */
	/* Call node_alarm in so many ms, instead of what was asked for before; -1: not at all. */
	void (*alarm)(struct node *node, gint64 wait);
	/* Begin a link; node_offer, node_refuse or node_broke follow. */
	void (*connect)(struct node *node);
	/* End the link; nothing of it follows. */
	void (*disconnect)(struct node *node);
	/* The node changed. list: so did what is to be published. text: report this; NULL:
	 * nothing. */
	void (*changed)(struct node *node, gboolean list, const char *text);
};

/* Only node.c writes these. */
struct node {
	const struct node_ops *ops;
	void *data; /* for ops */
	char *name, *ssh, *user, *host;
	int port;
	char *host_key; /* "TYPE BASE64"; NULL: see known_hosts */
	const char *address;
	gint64 lost_after;

	enum node_state state;
	gint64 since; /* when it came into this state, wall clock µs */
	gboolean begun;
	gboolean linked;       /* there is a link, or one is being made */
	gint64 connected;      /* ms, when the present or last link had its first list */
	gint64 retry, lost;    /* ms, when that is due; -1: it is not */
	guint tries;	       /* that have failed in a row */
	struct offers *offers; /* the last good list; NULL: none */
	double skew;	       /* s, its clock minus ours; NAN: unknown */
	char *why;	       /* the last error; NULL: none since it is connected */
	char *told;	       /* the last error that was reported */
};

/* Nothing happens before node_begin. The configuration is copied. */
struct node *node_new(const struct config_node *config, const struct node_ops *ops, void *data);
void node_free(struct node *node);

/* Connect. offers, which is taken over: the list of an earlier daemon, or NULL. */
void node_begin(struct node *node, struct offers *offers);
/* A list has come over the link; it is taken over. transit: s that it was on its way. */
void node_offer(struct node *node, struct offers *offers, double transit);
/* The link sent something that is no good list. The node ends it. */
void node_refuse(struct node *node, const GError *error);
/* The link has ended, or could not be made. */
void node_broke(struct node *node, const GError *error);
/* The time that was asked for has come. */
void node_alarm(struct node *node);
/* Apply another configuration of the same name. The link is made anew only if it leads elsewhere;
 * if there is none, it is tried at once. TRUE: something has changed. */
gboolean node_configure(struct node *node, const struct config_node *config);

/* Would that change anything? */
gboolean node_differs(const struct node *node, const struct config_node *config);

/* How a guest of the node is to be listed. */
enum published_as node_lists(const struct node *node, const struct published_guest *guest);
/* "connected", "connecting", "lost". */
const char *node_state_name(const struct node *node);

#endif
