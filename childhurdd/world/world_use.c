/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * recycle-after and idle-timeout: a guest that has one of them is looked at while it can have
 * builds. Slots are locks on files, which nothing reports when they are taken or given back. With
 * recycle-after they are guarded: a build has to have its slot for USE_POLL_SOON to be seen, which
 * is less than it takes to log in, and then no other can follow it.
 */
#include "childhurdd/system/tcp_table.h"
#include "childhurdd/world/callers.h"
#include "childhurdd/world/world_internal.h"
#include "offload/slots.h"

/* s between two looks; and with recycle-after */
#define USE_POLL      1.0
#define USE_POLL_SOON 0.1
/* ms between two questions for its sessions: while it is not known whether a taken slot is a build,
 * and at most for idle-timeout */
#define USE_ASK	     500
#define USE_ASK_IDLE 10000

static gboolean
has_sessions(const struct world *r)
{
	int own[HEALTH_SESSIONS];
	gsize n = r->health ? health_ports(r->health, own) : 0;
	struct callers callers;
	if (!callers_count(TCP_TABLE, guest_of(r)->ssh_port, own, n, &callers))
		return TRUE; /* unknown: it may be in use */
	return callers.here + callers.elsewhere > 0;
}

static void
look_after(struct world *r, double after)
{
	ev_timer_stop(r->host->loop, &r->use_poll);
	ev_timer_set(&r->use_poll, after, 0);
	ev_timer_start(r->host->loop, &r->use_poll);
}

static void
tell_idle(struct world *r)
{
	gint64 limit = guest_of(r)->idle_timeout;
	if (!limit || r->c->state != STATE_READY || use_idle(&r->use, monotonic_now()) < limit)
		return;
	g_autofree char *text =
	    g_strdup_printf("no build and no session for %" G_GINT64_FORMAT " s", limit / 1000);
	childhurd_event(r->c, EVENT_IDLE, text);
}

/* Reading the kernel's table takes milliseconds, however few connections there are: not at each
 * look, but before it is idle. */
static gboolean
sees_sessions(struct world *r, guint64 slots, gint64 now)
{
	gint64 limit = guest_of(r)->idle_timeout, since = now - r->asked;
	gboolean due = use_wonders(&r->use, slots) && since >= USE_ASK;
	if (limit)
		due |= since >= CLAMP(limit / 10, USE_ASK, USE_ASK_IDLE) ||
		       use_idle(&r->use, now) >= limit;
	if (!due)
		return FALSE;
	r->asked = now;
	return has_sessions(r);
}

static void
on_look(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct world *r = watcher->data;
	gint64 now = monotonic_now();
	struct use_look look = {0};
	look_after(r, guest_of(r)->recycle_after ? USE_POLL_SOON : USE_POLL);
	if (guest_of(r)->recycle_after)
		world_guard(r, &look);
	else
		look.others = world_builds(r->c);
	look.sessions = sees_sessions(r, look.slots, now);
	if (look.slots || look.others > 0 || look.sessions)
		r->used = now;
	int ended = use_note(&r->use, &look, now);
	while (ended--)
		childhurd_event(r->c, EVENT_BUILD_DONE, NULL);
	if (world_guards(r))
		world_guarded(r, &look);
	tell_idle(r);
}

static gboolean
can_have_builds(enum state state)
{
	return state == STATE_READY || state == STATE_DRAINING || state == STATE_UNRESPONSIVE;
}

gboolean
world_guards(const struct world *r)
{
	return guest_of(r)->recycle_after && can_have_builds(r->c->state);
}

gint64
world_used(struct childhurd *c)
{
	const struct world *r = world_from(c);
	return c->config->idle_timeout ? r->used : monotonic_now();
}

void
world_mind_use(struct world *r)
{
	gboolean in_use = can_have_builds(r->c->state);
	gboolean wanted = in_use && (guest_of(r)->idle_timeout || guest_of(r)->recycle_after);
	if (wanted && !ev_is_active(&r->use_poll)) {
		/* in another state an earlier daemon has left it */
		use_begin(&r->use, r->c->state != STATE_READY, monotonic_now());
		look_after(r, 0); /* what an earlier daemon guarded is not guarded now */
	} else if (!wanted) {
		ev_timer_stop(r->host->loop, &r->use_poll);
	}
	if (in_use && !world_guards(r) && !r->held)
		g_clear_pointer(&r->slots, slots_free);
}

void
world_use_init(struct world *r)
{
	ev_timer_init(&r->use_poll, on_look, 0, 0);
	r->use_poll.data = r;
}

void
world_use_clear(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->use_poll);
}
