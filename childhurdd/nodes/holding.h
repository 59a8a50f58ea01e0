/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests of a node that may get no further build: their free slots, as this host's Guix knows them,
 * are locked, so that no build of ours begins there, and the node is told how many have one. Then
 * it can stop a guest without breaking a build.
 *
 * The locks stay while the node does not answer, and end when its list no longer has the hold.
 */
#ifndef CHILDHURDD_NODES_HOLDING_H
#define CHILDHURDD_NODES_HOLDING_H

#include "childhurdd/nodes/offers.h"

/* Guests of one node, each with the descriptors of its slots. For others nothing is reported, so
 * the node counts their sessions. */
#define HOLDING_GUESTS_MAX 64
#define HOLDING_LOOK	   1000 /* ms between two counts of the builds in held guests */

struct holding;

/* guix_state_directory: /var/guix. address: the machines' name for Guix. Both are copied. */
struct holding *holding_new(const char *guix_state_directory, const char *address);
/* Lets builds in again. NULL is allowed. */
void holding_free(struct holding *holding);

/* Lock the free slots of these guests, and let builds into those that are no longer among them.
 * Never blocks. */
void holding_set(struct holding *holding, const struct offers *offers);
/* Lock what was given back since, and count again. TRUE: a guest is held, so this is to be called
 * again after a while. Never blocks. */
gboolean holding_look(struct holding *holding);
/* A new link: the node knows nothing any more of what was reported. */
void holding_forget(struct holding *holding);
/* The reports that the node does not have yet, as calls of Held by the coordinator of that name,
 * each ended by a NUL; NULL: there are none. They count as made. Caller unrefs. */
GByteArray *holding_reports(struct holding *holding, const char *coordinator);

#endif
