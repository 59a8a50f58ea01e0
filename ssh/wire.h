/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TCP without waiting, for the secret service, the sessions and the search for a guest's network.
 */
#ifndef SSH_WIRE_H
#define SSH_WIRE_H

#include <glib.h>

/*
 * Begin a TCP connection to address (an IPv4 or IPv6 literal; no name is looked up) and port.
 * Returns a non-blocking, close-on-exec socket with TCP_NODELAY, which the caller closes. Once it
 * is writable, wire_error has the result. -1 if it failed at once: *problem is the errno value
 * (EINVAL: address is not a literal).
 */
int wire_connect(const char *address, int port, int *problem);

/* The pending error of a socket, as errno; 0: none. Reading it clears it. */
int wire_error(int fd);

/* The local port of a socket; 0: it has none. */
int wire_port(int fd);

/* The time in µs that bytes take to the other end and back, as TCP has measured it; 0: unknown. */
guint wire_round_trip(int fd);

#define WIRE_EXCERPT_MAX 60

/* The first bytes from a peer, printable and in quotes, for a message. Caller frees. */
char *wire_excerpt(const void *bytes, gsize length);

#endif
