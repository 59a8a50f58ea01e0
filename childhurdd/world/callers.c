/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's table has the same connections as QEMU's `info usernet`, and can be read at any
 * moment, even while QEMU hangs. QEMU forwards IPv4 only.
 */
#include "childhurdd/world/callers.h"

#include "childhurdd/system/tcp_table.h"

#define LOOPBACK 127

struct count {
	int port;
	const int *own;
	gsize n;
	struct callers *callers;
};

static gboolean
is_one_of(unsigned port, const int *ports, gsize n)
{
	for (gsize i = 0; i < n; i++)
		if (ports[i] == (int)port)
			return TRUE;
	return FALSE;
}

static gboolean
count(const struct tcp_socket *socket, void *data)
{
	const struct count *c = data;
	const guint8 *first = (const guint8 *)&socket->remote;
	if ((int)socket->local_port != c->port || socket->state != TCP_ESTABLISHED)
		return FALSE;
	if (*first != LOOPBACK && socket->remote != socket->local)
		c->callers->elsewhere++;
	else if (!is_one_of(socket->remote_port, c->own, c->n))
		c->callers->here++;
	return FALSE;
}

gboolean
callers_count(const char *table, int port, const int *own, gsize n, struct callers *callers)
{
	struct count c = {.port = port, .own = own, .n = n, .callers = callers};
	*callers = (struct callers){0};
	return tcp_table_read(table, count, &c);
}
