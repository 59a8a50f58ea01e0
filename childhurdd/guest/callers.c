/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's table has the same connections as QEMU's `info usernet`, and can be asked at any
 * moment: a QEMU that hangs answers nothing. QEMU forwards IPv4 only.
 */
#include "childhurdd/guest/callers.h"

#include <stdio.h>

#define ESTABLISHED 1 /* Linux, include/net/tcp_states.h */
#define LOOPBACK    127

static gboolean
is_one_of(unsigned port, const int *ports, gsize n)
{
	for (gsize i = 0; i < n; i++)
		if (ports[i] == (int)port)
			return TRUE;
	return FALSE;
}

gboolean
callers_count(const char *table, int port, const int *own, gsize n, struct callers *callers)
{
	FILE *file = fopen(table, "re");
	char line[256];

	*callers = (struct callers){0};
	if (!file)
		return FALSE;
	while (fgets(line, sizeof line, file)) {
		/* The addresses are in network order, printed as one number of this machine. */
		unsigned local, local_port, remote, remote_port, state;
		if (sscanf(line, " %*u: %8x:%4x %8x:%4x %2x", &local, &local_port, &remote,
			   &remote_port, &state) != 5 ||
		    (int)local_port != port || state != ESTABLISHED)
			continue;
		const guint8 *first = (const guint8 *)&remote;
		if (*first != LOOPBACK && remote != local)
			callers->elsewhere++;
		else if (!is_one_of(remote_port, own, n))
			callers->here++;
	}
	fclose(file);
	return TRUE;
}
