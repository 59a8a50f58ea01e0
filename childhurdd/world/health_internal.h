/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by probes (health.c) and actions (health_actions.c): the sessions into a guest. */
#ifndef CHILDHURDD_WORLD_HEALTH_INTERNAL_H
#define CHILDHURDD_WORLD_HEALTH_INTERNAL_H

#include "childhurdd/world/health.h"
#include "ssh/session.h"

struct health {
	struct ev_loop *loop;
	const struct config_guest *guest;
	pid_t qemu;
	char **host_keys;
	char *key;
	health_fn report;
	void *data;
	struct ssh_session *session; /* the administrator's; logged in when `open` */
	struct ssh_session *visit;   /* the coordinator's user, now and then */
	struct ssh_session *door;    /* checks more often whether sshd greets */
	gboolean open, halting, paused;
	int restored; /* has yet to get clock and randomness, through this port; 0: it has them */
	gboolean lenient;		  /* ... or not, if it cannot take them */
	gboolean visited;		  /* the first proof needs that too */
	gboolean once_more;		  /* the current probe began too early to count */
	int asking;			  /* parts of the current probe that have not ended */
	char *unasked;			  /* why one of them could not be made; NULL: all could */
	gint64 began, asked, visit_began; /* monotonic µs */
	gint64 door_seen, visit_seen;	  /* monotonic ms of their last success */
	guint probes;			  /* since the session is open */
	gint64 took[HEALTH_PROBES_KEPT];  /* ms, the latest first; 0: unknown */
	ev_timer timer;			  /* the next attempt, or the next probe */
	struct health_report last;
};

/* Set the timer of the next attempt or probe. */
void health_again(struct health *health, double ms);
void health_drop_sessions(struct health *health);
/* The session does not do: note it, drop it, and report EVENT_PROBE_FAILED. */
void health_failed(struct health *health, const char *text);
/* health_actions.c: the session into a restored guest is open. */
void health_freshen(struct health *health);
/* Is it an error of this host or of the daemon? */
gboolean health_is_ours(const GError *error);
/* health_actions.c: the session for `halt` is open, or could not be opened. */
void health_say_halt(struct health *health, const GError *error);

#endif
