/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counts the connections to a guest's SSH port. If a coordinator's slots cannot be seen, its builds
 * are recognized by their sessions.
 */
#ifndef CHILDHURDD_WORLD_CALLERS_H
#define CHILDHURDD_WORLD_CALLERS_H

#include <glib.h>

struct callers {
	int here;      /* from this host */
	int elsewhere; /* from others */
};

/*
 * Count the established connections to port of this host, except those from one of the n ports in
 * own. table: TCP_TABLE. FALSE: it cannot be read.
 */
gboolean callers_count(const char *table, int port, const int *own, gsize n,
		       struct callers *callers);

#endif
