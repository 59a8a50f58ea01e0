/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection that was accepted for a guest is passed on to it by a process of its own, byte for
 * byte: a build goes through it, and it outlives the daemon.
 *
 * The process is this program again. So main begins with
 *     if (relay_wanted(argc, argv))
 *             return relay_main(argv);
 */
#ifndef CHILDHURDD_SYSTEM_RELAY_H
#define CHILDHURDD_SYSTEM_RELAY_H

#include <glib.h>

#include "config/base/identity.h"

#define RELAY_CONNECT 10000 /* ms for the guest's port to take the connection */
/* s that a connection may be silent for before its end is asked whether it is still there, s
 * between two questions, and how many may stay without an answer: a host that is gone without a
 * word is noticed after 10 minutes, and a shorter break of the network costs no build. */
#define RELAY_IDLE  300
#define RELAY_ASK   30
#define RELAY_TRIES 10

/*
 * Start it, as another user if identity is not NULL. client: the connection, which stays the
 * caller's to close; to an IPv4 address and a port. FALSE: the error says why not.
 */
gboolean relay_start(int client, const char *address, int port, const struct identity *identity,
		     GError **error);

gboolean relay_wanted(int argc, char **argv);
/* Until both ends have closed. Returns the exit status. */
int relay_main(char **argv);

#endif
