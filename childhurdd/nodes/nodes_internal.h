/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by nodes.c (which nodes there are), nodes_world.c (their links and timers) and
 * nodes_keys.c (the keys, and the lists of an earlier daemon). */
#ifndef CHILDHURDD_NODES_NODES_INTERNAL_H
#define CHILDHURDD_NODES_NODES_INTERNAL_H

#include "childhurdd/nodes/holding.h"
#include "childhurdd/nodes/link.h"
#include "childhurdd/nodes/nodes.h"

struct nodes {
	struct nodes_setup setup;
	GPtrArray *all; /* of struct node */
	struct lane *lane;
	struct lane_job *preparing; /* the key, and lists; NULL: not under way */
	gboolean prepare_again;
	gboolean known;
	char *name;				   /* ours, as a coordinator's */
	char *key;				   /* path of our private key */
	const char *private_key, *coordinator_key; /* interned; coordinator_key NULL: private_key */
	char *key_problem; /* why the key cannot be made; NULL: it is there */
	char *coordinator_user, *guix_state, *guix; /* of the configuration */
	ev_timer key_again;
	GHashTable *signed_for; /* the signing keys that are in the acl, char * */
	struct lane_job *signing;
	ev_timer sign_again;
	char *sign_problem; /* that was reported */
};

/* What a node's data is. */
struct nodes_entry {
	struct nodes *nodes;
	struct node_ops ops;
	struct node *node;
	gboolean begun;
	char *remembered; /* the list that the next daemon begins with */
	GHashTable *keys; /* the signing keys that were taken from it, char * */
	gsize key_bytes;
	/* nodes_world.c */
	struct lane *lane;
	struct link *link;
	gboolean listed; /* by this link */
	ev_timer alarm;
	struct holding *holding; /* NULL: no guest was held yet */
	const char *held_at;	 /* the address that is for; interned */
	ev_timer look;		 /* while a guest is held */
	gboolean reporting;
};

/* nodes_world.c: the operations that are not a test's. */
extern const struct node_ops nodes_world;
void nodes_world_init(struct nodes_entry *entry);
void nodes_world_clear(struct nodes_entry *entry);

/* nodes_keys.c */
/* Make sure that the key is there, read the lists of nodes that are not begun, then begin them. */
void nodes_prepare(struct nodes *nodes);
/* Put the signing keys of guests of connected nodes into the acl that are not there yet. */
void nodes_sign(struct nodes *nodes);
/* Keep the node's list for the next daemon, or drop it. */
void nodes_remember(struct nodes_entry *entry);
void nodes_forget(struct nodes_entry *entry);
void nodes_keys_clear(struct nodes *nodes);

#endif
