/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The port of a guest that is asleep. The daemon listens there; who connects waits until the guest
 * is ready, and is then passed on to it (system/relay.h) or refused. Listening costs no process and
 * no time while nobody connects.
 */
#ifndef CHILDHURDD_WORLD_DOOR_H
#define CHILDHURDD_WORLD_DOOR_H

#include <ev.h>
#include <glib.h>

#include "config/base/identity.h"

#define DOOR_CALLERS_MAX 64 /* that wait at a guest; more are refused */

struct door;

/* A closed door; called back when somebody has come to the open one. Free with door_free. */
struct door *door_new(struct ev_loop *loop, void (*came)(void *data), void *data);
/* Who waits is refused. NULL is allowed. */
void door_free(struct door *door);

/* Listen at this IPv4 address and port. FALSE: the error says why that cannot be. */
gboolean door_open(struct door *door, const char *address, int port, GError **error);
/* Listen no more: another process can have the port at once. Who waits goes on waiting. */
void door_close(struct door *door);

/* How many wait and have not hung up. */
guint door_callers(struct door *door);
/* Pass them on to the same address and port, which the guest has now; returns how many. identity:
 * of the processes that do it (relay_start). */
guint door_pass_on(struct door *door, const struct identity *identity);
/* Refuse them. */
void door_turn_away(struct door *door);

#endif
