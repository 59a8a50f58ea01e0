/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/tcp_table.h"

#include <stdio.h>
#include <stdlib.h>

static guint32
address(const char *digits)
{
	char first[9] = "";
	g_strlcpy(first, digits, sizeof first);
	return (guint32)strtoul(first, NULL, 16);
}

/* The kernel prints addresses as numbers in the machine's byte order, 32 bits each. */
static gboolean
parse(const char *line, struct tcp_socket *socket)
{
	char local[33], remote[33];
	*socket = (struct tcp_socket){0};
	if (sscanf(line, " %*u: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%*x %*x:%*x %*x %u %*d %lu",
		   local, &socket->local_port, remote, &socket->remote_port, &socket->state,
		   &socket->uid, &socket->inode) < 5)
		return FALSE;
	socket->local = address(local);
	socket->remote = address(remote);
	return TRUE;
}

gboolean
tcp_table_read(const char *table, tcp_socket_fn fn, void *data)
{
	FILE *file = fopen(table, "re");
	char line[256];
	if (!file)
		return FALSE;
	while (fgets(line, sizeof line, file)) {
		struct tcp_socket socket;
		if (parse(line, &socket) && fn(&socket, data))
			break;
	}
	fclose(file);
	return TRUE;
}
