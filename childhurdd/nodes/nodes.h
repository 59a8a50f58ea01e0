/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All nodes of a coordinator: which there are, the list of all their guests, the key by which the
 * coordinator logs in, and the keys with which their guests sign.
 */
#ifndef CHILDHURDD_NODES_NODES_H
#define CHILDHURDD_NODES_NODES_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/nodes/link.h"
#include "childhurdd/nodes/node.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/system/writer.h"
#include "config/config.h"

#define NODES_KEY_LIMIT	 10000	      /* ms for STATE/nodes and Guix's folder to answer */
#define NODES_KEY_AGAIN	 30000	      /* ms to the next try to make the key */
#define NODES_SIGN_BYTES (160 * 1024) /* of signing keys that are taken from one node */
#define NODES_SIGN_AGAIN 300000	      /* ms to the next try to put signing keys into the acl */

/* What the nodes need. All is borrowed; nothing calls back before it returns. */
struct nodes_setup {
	struct ev_loop *loop;
	struct tasks *files;
	struct lane *guix;     /* Guix's files */
	struct writer *writer; /* of what the next daemon begins with */
	char *state_directory;
	const struct node_ops *ops; /* of a test: instead of links and timers; NULL: those */
	/* The list of all guests is another one now: publish it. */
	void (*publish)(void *data);
	/* Report this, once what has been published before is written. */
	void (*event)(void *data, const char *text);
	void *data;
};

struct nodes;
struct nodes *nodes_new(const struct nodes_setup *setup);
void nodes_free(struct nodes *nodes); /* NULL is allowed */

/*
 * Apply the configuration: the nodes that it has are connected, others forgotten. messages: gets a
 * line (char *) for each node that is added, changed or removed; NULL: the daemon begins.
 */
void nodes_configure(struct nodes *nodes, const struct config *config, GPtrArray *messages);
/* The same messages, and nothing is changed. */
void nodes_foresee(const struct nodes *nodes, const struct config *config, GPtrArray *messages);

/* Are the lists of the daemon before this one read? Before that, a list would lack their guests. */
gboolean nodes_known(const struct nodes *nodes);

/* All nodes, of struct node, in the order of the configuration. */
const GPtrArray *nodes_all(const struct nodes *nodes);

/* The node of that name; NULL: there is none. */
const struct node *nodes_find(const struct nodes *nodes, const char *name);

/*
 * Pass a call on to a node's daemon, over a bridge for reading only. parameters are taken over.
 * answer gets a reply or an error of that daemon, or else the reason; it is called once, perhaps
 * from within, and within LINK_ASK_LIMIT.
 */
void nodes_ask(struct nodes *nodes, const struct node *node, const char *method,
	       JsonObject *parameters, link_answer_fn answer, void *data);

/*
 * Append the guests of all nodes to list, of struct published_guest. Their strings live as long as
 * owners (of struct offers, with offers_unref), which gets those that own them; NULL: until the
 * loop runs again.
 */
void nodes_append(const struct nodes *nodes, GArray *list, GPtrArray *owners);

/*
 * The file with the signing keys that the daemon could not put into Guix' acl, a line each, for
 * `childhurdd --prepare`: root does that before the next daemon begins. Caller frees.
 */
char *nodes_waiting_keys(const char *state_directory);

#endif
