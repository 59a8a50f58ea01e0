/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is connected to a guest's SSH port: a build of a coordinator whose slots cannot be seen is
 * known by its session.
 */
#ifndef CHILDHURDD_GUEST_CALLERS_H
#define CHILDHURDD_GUEST_CALLERS_H

#include <glib.h>

struct callers {
	int here;      /* from this host */
	int elsewhere; /* from others */
};

/*
 * Count the connections to port of this host that are established, without those that come from one
 * of the n ports in own. table: TCP_TABLE. FALSE: it cannot be read.
 */
gboolean callers_count(const char *table, int port, const int *own, gsize n,
		       struct callers *callers);

#endif
