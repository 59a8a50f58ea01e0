/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a port free? Asked before QEMU is started, whose own message would be harder to understand. */
#ifndef CHILDHURDD_QEMU_PORTS_H
#define CHILDHURDD_QEMU_PORTS_H

#include <glib.h>
#include <sys/types.h>

/* FALSE: address:port cannot be bound; the error says so, and who has it where that can be seen. It
 * may be no listener: the system gives ports above 32767 to connections (ip(7)). */
gboolean port_is_free(const char *address, int port, GError **error);

/* The process that listens at this port; 0: none, or it cannot be seen. */
pid_t port_owner(int port);

/*
 * Whether the other end of the TCP connection fd, which is on this host, is a socket of process
 * pid. Where that process' files cannot be seen: a socket of the user who runs it.
 */
gboolean port_peer_is(int fd, pid_t pid);

#endif
