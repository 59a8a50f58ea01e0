/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which guests there are. */
#ifndef CHILDHURDD_HIRD_ROSTER_H
#define CHILDHURDD_HIRD_ROSTER_H

#include <glib.h>

#include "childhurdd/world/world.h"

struct roster {
	GPtrArray *worlds;  /* of struct world, in the order of the configuration */
	GPtrArray *removed; /* of struct world: no longer configured, on their way down */
};

/* The world of that name; NULL: there is none. */
struct world *roster_find(const struct roster *roster, const char *name);
/* Also among those that are no longer configured. */
struct world *roster_find_any(const struct roster *roster, const char *name);
/* The guests in their order, and behind them those that are on their way down; NULL: no more. */
struct childhurd *roster_guest(const struct roster *roster, guint i);

#endif
