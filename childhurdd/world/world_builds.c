/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The builds in a guest: counted by the slots that are taken or, where those cannot be seen, by the
 * sessions.
 */
#include <errno.h>

#include "childhurdd/system/tcp_table.h"
#include "childhurdd/world/callers.h"
#include "childhurdd/world/world_internal.h"
#include "offload/slots.h"

/* If a lack of the host, for instance of descriptors, hides the slots, assume a build. Slots that
 * the daemon may never read are not assumed to have one. errno: why they are hidden. */
static int
unseen(int builds)
{
	return lack_is(errno) ? MAX(builds, 1) : builds;
}

static int
sessions(const struct world *r, gboolean slots_visible)
{
	int own[HEALTH_SESSIONS];
	gsize n = r->health ? health_ports(r->health, own) : 0;
	struct callers callers;
	if (!callers_count(TCP_TABLE, guest_of(r)->ssh_port, own, n, &callers))
		return unseen(slots_visible ? 0 : -1);
	return callers.elsewhere + (slots_visible ? 0 : callers.here);
}

static int
with_sessions(const struct world *r, int taken, gboolean slots_visible)
{
	if (slots_visible && g_str_has_prefix(guest_of(r)->listen_address, "127."))
		return taken; /* no coordinator on another host can reach it */
	int more = sessions(r, slots_visible);
	return more < 0 ? more : taken + more;
}

static int
look_at_builds(const struct world *r)
{
	const struct config *config = r->host->config;
	gboolean visible;
	int taken = slots_taken(config->guix_state_directory, config->host_name,
				guest_of(r)->ssh_port, &visible);
	int seen = visible ? taken : unseen(taken);
	return seen != taken ? seen : with_sessions(r, taken, visible);
}

int
world_hold(struct childhurd *c)
{
	const struct config_guest *guest = c->config;
	struct world *r = world_from(c);
	const struct config *config = r->host->config;
	gboolean visible;
	if (!guest->offloading)
		return 0;
	if (!r->slots)
		r->slots =
		    slots_new(config->guix_state_directory, config->host_name, guest->ssh_port);
	int taken = slots_hold(r->slots, guest->parallel_builds, &visible);
	/* slots that cannot be kept may still be readable */
	return visible ? with_sessions(r, taken, visible) : look_at_builds(r);
}

/* A caller relies on the answer that no build runs in a guest that may get none. So first keep the
 * slots that were given back since. */
int
world_builds(struct childhurd *c)
{
	const struct world *r = world_from(c);
	if (!c->config->offloading)
		return 0;
	return r->slots ? world_hold(c) : look_at_builds(r);
}

void
world_release(struct childhurd *c)
{
	g_clear_pointer(&world_from(c)->slots, slots_free);
}
