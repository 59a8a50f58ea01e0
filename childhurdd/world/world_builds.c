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

static struct slots *
slots_of(struct world *r)
{
	const struct config *config = r->host->config;
	if (!r->slots)
		r->slots = slots_new(config->guix_state_directory, config->host_name,
				     guest_of(r)->ssh_port);
	return r->slots;
}

/* Those of this host's coordinator, and those recognized by their sessions. */
static int
hold_here(struct childhurd *c)
{
	const struct config_guest *guest = c->config;
	struct world *r = world_from(c);
	gboolean visible;
	int taken = slots_hold(slots_of(r), guest->parallel_builds, &visible);
	/* slots that cannot be kept may still be readable */
	return visible ? with_sessions(r, taken, visible) : look_at_builds(r);
}

/* A coordinator elsewhere that has reported its builds has sessions, too, or will have. It has none
 * in a guest that was not ready since its boot. */
int
world_hold(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (!c->config->offloading)
		return 0;
	r->held = TRUE;
	int here = hold_here(c), elsewhere = r->host->ops->hold(r->host->hird, c->config);
	return c->proven ? MAX(here, elsewhere) : here;
}

/* A caller relies on the answer that no build runs in a guest that may get none. So first keep the
 * slots that were given back since. */
int
world_builds(struct childhurd *c)
{
	const struct world *r = world_from(c);
	if (!c->config->offloading)
		return 0;
	return r->held ? world_hold(c) : look_at_builds(r);
}

gboolean
world_see_builds(const struct world *r, gboolean sessions, struct use_look *look)
{
	const struct config *config = r->host->config;
	gboolean visible;
	look->slots = slots_with_builds(config->guix_state_directory, config->host_name,
					guest_of(r)->ssh_port, &visible);
	if (!visible && lack_is(errno))
		return FALSE;
	look->others = sessions ? with_sessions(r, 0, visible) : 0;
	return look->others >= 0;
}

/* As many builds as recycle-after allows have begun: no other may, until it is pristine. */
static gboolean
is_full(const struct world *r, guint64 taken)
{
	return r->c->served + __builtin_popcountll(taken) >= guest_of(r)->recycle_after;
}

void
world_release(struct childhurd *c)
{
	struct world *r = world_from(c);
	r->held = FALSE;
	r->host->ops->release(r->host->hird, c->config->name);
	if (!world_guards(r))
		g_clear_pointer(&r->slots, slots_free);
	else if (r->slots && !is_full(r, 0))
		slots_release(r->slots);
}

void
world_guard(struct world *r, struct use_look *look)
{
	const struct config_guest *guest = guest_of(r);
	gboolean visible, held;
	if (!guest->offloading)
		return;
	look->slots = slots_guard(slots_of(r), &visible);
	look->others = visible || !lack_is(errno) ? with_sessions(r, 0, visible) : -1;
	if (is_full(r, look->slots))
		slots_hold(r->slots, guest->parallel_builds, &held);
}

void
world_guarded(struct world *r, const struct use_look *look)
{
	if (r->slots && !r->held && look->others >= 0 && !is_full(r, look->slots))
		slots_release(r->slots);
}
