/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's tables of TCP sockets (proc(5), /proc/net/tcp). */
#ifndef CHILDHURDD_SYSTEM_TCP_TABLE_H
#define CHILDHURDD_SYSTEM_TCP_TABLE_H

#include <glib.h>

#define TCP_TABLE   "/proc/net/tcp"
#define TCP_TABLE_6 "/proc/net/tcp6"

/* Linux, include/net/tcp_states.h */
enum tcp_state { TCP_ANY, TCP_ESTABLISHED, TCP_LISTEN = 10 };

struct tcp_socket {
	guint32 local, remote; /* addresses in network order; IPv6: their first 32 bits */
	unsigned local_port, remote_port;
	unsigned state;
	unsigned uid; /* its owner */
	unsigned long inode;
};

/* Return TRUE to see no more sockets. */
typedef gboolean (*tcp_socket_fn)(const struct tcp_socket *socket, void *data);

/* Call fn for each socket in a table until it returns TRUE. FALSE: the table cannot be read. */
gboolean tcp_table_read(const char *table, tcp_socket_fn fn, void *data);

#endif
