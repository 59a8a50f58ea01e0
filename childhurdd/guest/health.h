/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a guest ready? An SSH session as the administrator that stays open, and commands on it as
 * probes. An old session may live on in a guest that takes no new one. So with a probe, every
 * HEALTH_DOOR at most, a new connection has to bring sshd's banner, and once in each boot and every
 * HEALTH_VISIT a login as the coordinator's user has to succeed.
 */
#ifndef CHILDHURDD_GUEST_HEALTH_H
#define CHILDHURDD_GUEST_HEALTH_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "config/config.h"

#define HEALTH_RETRY_ABSENT   100     /* ms to the next attempt while nobody listens in the guest */
#define HEALTH_RETRY_ODD      2000    /* after anything else */
#define HEALTH_RETRY_IMPOSTOR 10000   /* after another host key: sshd may be changing it just now */
#define HEALTH_LOOK	      2000    /* while a probe is under way: is QEMU stopped? */
#define HEALTH_PROBE_LIMIT    60000   /* for one probe-command */
#define HEALTH_PROBE_LEAST    10000   /* ... of a guest that is known to be fast */
#define HEALTH_PROBES_KEPT    5	      /* probes that have to be known for that */
#define HEALTH_PROBE_PATIENCE 4	      /* its limit: the longest of them, times this */
#define HEALTH_DOOR	      25000   /* ms between two looks whether sshd greets, at least */
#define HEALTH_VISIT	      300000  /* ms between two new logins, at least */
#define HEALTH_CLOCK_LIMIT    10000   /* for setting the clock */
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

/* What the last attempt found. Strings are owned by the health. */
struct health_report {
	char *results[N_HEALTH_STEPS]; /* "ok", an error, NULL: not reached */
	gint64 ms[N_HEALTH_STEPS];     /* -1: unknown */
	gint64 probed;		       /* monotonic ms of the last probe's end; -1: never */
	gint64 heard;		       /* monotonic ms of the guest's last word; 0: never */
	char *banner;
	double skew;	    /* the guest's clock minus ours, seconds; NAN unknown */
	double skew_within; /* seconds that it may be wrong by, for the time of the answer */
	double load;	    /* NAN unknown */
	gint64 disk_free, store_free; /* bytes on / and on /gnu/store; -1 unknown */
};
const char *health_step_name(enum health_step step);

struct health;
/* EVENT_PROBE_OK, EVENT_PROBE_FAILED, EVENT_UNASKED or EVENT_HALT_REFUSED. impostor: another host
 * key answered. */
typedef void (*health_fn)(enum event event, const char *text, gboolean impostor, void *data);

/*
 * Begin to connect, and go on with probes every probe-interval until freed. guest: borrowed. qemu:
 * its process, 0 unknown. host_keys: acceptable "TYPE BASE64" lines, copied. user_key: path of the
 * private key. All reports come from the loop.
 */
struct health *health_new(struct ev_loop *loop, const struct config_guest *guest, pid_t qemu,
			  char **host_keys, const char *user_key, health_fn report, void *data);
void health_free(struct health *health); /* NULL is allowed */

/* Collect the garbage in the guest's store until so many bytes are free: EVENT_COLLECTED, unless
 * the session ends before. */
void health_collect(struct health *health, gint64 bytes);

/* Set the guest's clock to ours: EVENT_CLOCK_SET, unless the session ends before. */
void health_set_clock(struct health *health);

/* Probe now, and not only when it is time: the next report is of a probe that begins from now on,
 * unless it is of one that failed. */
void health_ask(struct health *health);
/* QEMU does not let the guest run: it is not asked, and what it does not say is no failure. */
void health_pause(struct health *health, gboolean paused);

/* The ports that our own connections to the guest come from; returns how many. */
enum { HEALTH_SESSIONS = 3 };
gsize health_ports(const struct health *health, int *ports);

/* Say `halt` as the administrator, and probe no more. EVENT_HALT_REFUSED when there is no session
 * or it fails. */
void health_halt(struct health *health);

/* The configuration was read again; from the next probe on this one holds. */
void health_configure(struct health *health, const struct config_guest *guest);

const struct health_report *health_report(const struct health *health);

#endif
