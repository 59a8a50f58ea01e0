/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/hird/roster.h"

#include <string.h>

struct world *
roster_find(const struct roster *roster, const char *name)
{
	for (guint i = 0; i < roster->worlds->len; i++) {
		struct world *r = g_ptr_array_index(roster->worlds, i);
		if (!strcmp(world_childhurd(r)->config->name, name))
			return r;
	}
	return NULL;
}

struct world *
roster_find_any(const struct roster *roster, const char *name)
{
	struct world *r = roster_find(roster, name);
	for (guint i = 0; !r && i < roster->removed->len; i++) {
		struct world *candidate = g_ptr_array_index(roster->removed, i);
		if (!strcmp(world_childhurd(candidate)->config->name, name))
			r = candidate;
	}
	return r;
}

struct childhurd *
roster_guest(const struct roster *roster, guint i)
{
	if (i < roster->worlds->len)
		return world_childhurd(g_ptr_array_index(roster->worlds, i));
	i -= roster->worlds->len;
	return i < roster->removed->len ? world_childhurd(g_ptr_array_index(roster->removed, i))
					: NULL;
}
