/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a guest ready? The administrator's SSH session stays open, and commands on it are the probes.
 * An old session may live on in a guest that accepts no new one. So with a probe, at most every
 * HEALTH_DOOR, a new connection must bring sshd's banner, and once in each boot and every
 * HEALTH_VISIT a login as the coordinator's user must succeed.
 */
#ifndef CHILDHURDD_WORLD_HEALTH_H
#define CHILDHURDD_WORLD_HEALTH_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "config/config.h"

#define HEALTH_RETRY_ABSENT   100   /* ms to the next attempt while nothing listens in the guest */
#define HEALTH_RETRY_ODD      2000  /* after any other failure */
#define HEALTH_RETRY_IMPOSTOR 10000 /* after another host key: sshd may just be changing it */
#define HEALTH_LOOK	      2000  /* during a probe, between two checks whether QEMU is stopped */
#define HEALTH_PROBE_LIMIT    60000 /* for one probe-command */
#define HEALTH_PROBE_LEAST    10000 /* ... of a guest that is known to be fast */
#define HEALTH_PROBES_KEPT    5	    /* successful probes needed for that */
#define HEALTH_PROBE_PATIENCE 4	    /* its limit: this times the longest of them */
#define HEALTH_DOOR	      25000 /* ms between two checks whether sshd greets, at least */
#define HEALTH_VISIT	      300000  /* ms between two new logins, at least */
#define HEALTH_CLOCK_LIMIT    10000   /* for setting the clock */
#define HEALTH_FRESHEN_LIMIT  10000   /* for clock and randomness after a restore */
#define HEALTH_FACTS_LIMIT    10000   /* for clock, load and free disk */
#define HEALTH_COLLECT_LIMIT  1800000 /* for `guix gc` */

enum health_step {
	HEALTH_BANNER,
	HEALTH_HOST_KEY,
	HEALTH_LOGIN,
	HEALTH_USER,
	HEALTH_COMMAND,
	N_HEALTH_STEPS
};

/* The result of the last attempt. The health owns the strings. */
struct health_report {
	char *results[N_HEALTH_STEPS]; /* "ok", an error, NULL: not reached */
	gint64 ms[N_HEALTH_STEPS];     /* -1: unknown */
	gint64 probed;		       /* monotonic ms of the last probe's end; -1: never */
	gint64 heard;		       /* monotonic ms of the guest's last answer; 0: never */
	gboolean silent;	       /* nothing greeted us, and the guest may still be booting */
	char *banner;
	double skew;		      /* the guest's clock minus ours, seconds; NAN unknown */
	double skew_within;	      /* seconds: its error bound, from the time of the answer */
	double load;		      /* NAN unknown */
	gint64 disk_free, store_free; /* bytes on / and on /gnu/store; -1 unknown */
};
const char *health_step_name(enum health_step step);

struct health;
/* EVENT_PROBE_OK, EVENT_PROBE_FAILED, EVENT_UNASKED, EVENT_STIRRED or EVENT_HALT_REFUSED. impostor:
 * another host key answered. */
typedef void (*health_fn)(enum event event, const char *text, gboolean impostor, void *data);

/*
 * Connect, and then probe every probe-interval until freed. guest: borrowed. qemu: its process; 0:
 * unknown. host_keys: acceptable "TYPE BASE64" lines, copied. user_key: path of the private key.
 * All reports come from the loop.
 */
struct health *health_new(struct ev_loop *loop, const struct config_guest *guest, pid_t qemu,
			  char **host_keys, const char *user_key, health_fn report, void *data);
void health_free(struct health *health); /* NULL is allowed */

/*
 * The guest goes on after its state was saved. It stood still for that, and shares its random state
 * with what was saved: as after health_restored, at its own port, but a guest that cannot take a
 * clock or randomness goes on without.
 */
void health_saved(struct health *health);

/* Collect garbage in the guest's store until so many bytes are free: EVENT_COLLECTED, unless the
 * session ends first. */
void health_collect(struct health *health, gint64 bytes);

/* Set the guest's clock to ours: EVENT_CLOCK_SET, unless the session ends first. */
void health_set_clock(struct health *health);

/*
 * The guest runs from a saved state, with the clock and the random state of then. Instead of a
 * probe, the clock is set (to `clock`, if it has one) and /dev/urandom is stirred with this host's
 * randomness, through this port of SECRETS_ADDRESS: EVENT_STIRRED. If that is not possible, it is
 * EVENT_PROBE_FAILED, and tried again. The session stays. health_ask begins to probe, with a
 * look at the guest's own port; the coordinator's user has logged in before the save. Call it at
 * once after health_new: a session from before the restore is dead.
 */
void health_restored(struct health *health, int port);

/* Probe now instead of at the next interval. The next report is of a probe that begins after this
 * call, unless it is of a failed one. */
void health_ask(struct health *health);
/* QEMU does not let the guest run: it is not probed, and silence is no failure. */
void health_pause(struct health *health, gboolean paused);

/* The local ports of our own connections to the guest; returns how many. */
enum { HEALTH_SESSIONS = 3 };
gsize health_ports(const struct health *health, int *ports);

/* Run `halt` as the administrator, and probe no more. EVENT_HALT_REFUSED: there is no session, or
 * it failed. */
void health_halt(struct health *health);

/* Use this configuration from the next probe on. */
void health_configure(struct health *health, const struct config_guest *guest);

const struct health_report *health_report(const struct health *health);

#endif
