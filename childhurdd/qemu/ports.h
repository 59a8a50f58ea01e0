/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a port free? Checked before QEMU is started, because QEMU's own message would be harder to
 * understand. */
#ifndef CHILDHURDD_QEMU_PORTS_H
#define CHILDHURDD_QEMU_PORTS_H

#include <glib.h>
#include <sys/types.h>

/* FALSE: address:port cannot be bound; the error names the process that has it, if that can be
 * seen. That may be a connection instead of a listener: the system uses ports above 32767 for
 * connections (ip(7)). */
gboolean port_is_free(const char *address, int port, GError **error);

/* The process that listens at this port; 0: none, or it cannot be seen. */
pid_t port_owner(const char *address, int port);

/*
 * Is the other end of the TCP connection fd, on this host, a socket of process pid? If that
 * process' files cannot be seen: a socket of its user.
 */
gboolean port_peer_is(int fd, pid_t pid);

#endif
