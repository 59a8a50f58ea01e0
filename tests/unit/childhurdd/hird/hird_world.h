/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated world for a hird made of the real childhurd.c, lifecycle.c and starts.c. Each guest
 * has a QEMU that is alive or not, and what is asked of the world is answered, refused, or never
 * answered, at a random simulated time. The clock jumps to the next thing that is due.
 *
 * It is no kinder than world.c and the hypervisor are: a launch that is under way cannot be taken
 * back, quiet does not stop what a guest has begun, and a QEMU's end is known some time after it.
 * The promises of the contract are checked after each event.
 */
#ifndef TESTS_UNIT_CHILDHURDD_HIRD_HIRD_WORLD_H
#define TESTS_UNIT_CHILDHURDD_HIRD_HIRD_WORLD_H

#include <glib.h>
#include <string.h>

#include "childhurdd/guest/childhurd.h"
#include "childhurdd/hird/hird.h"
#include "childhurdd/hird/publisher.h"
#include "childhurdd/hird/starts.h"
#include "tests/unit/childhurdd/guest/event_name.h"

#define WORLD_GUESTS 50
#define WORLD_MIB    (G_GINT64_CONSTANT(1) << 20)
#define WORLD_GIB    (G_GINT64_CONSTANT(1) << 30)
#define WORLD_SECOND G_GINT64_CONSTANT(1000)
#define WORLD_MINUTE (60 * WORLD_SECOND)
#define WORLD_HOUR   (60 * WORLD_MINUTE)

enum thing {
	/* a guest's, known to the daemon only: they go when it goes */
	THING_TIMER,
	THING_PREPARED,
	THING_LAUNCHED,
	THING_GREETED,
	THING_ENROLLED,
	THING_PROBE,
	THING_REFUSED,
	THING_ENDED, /* nothing was there to be killed */
	THING_TEND,
	THING_COLLECTED,
	THING_CLOCK_SET,
	THING_LOOKS,  /* whether QEMU lets its guest run */
	THING_REPORT, /* of QEMU's end */
	N_DAEMON_THINGS,
	/* the world's */
	THING_BORN = N_DAEMON_THINGS,
	THING_EXIT,
	THING_CONSOLE,
	THING_WAKES, /* from a hang */
	THING_ROOM,  /* there is room again for what a paused guest writes */
	THING_LACK,  /* the host begins or ceases to lack something; guest 0's */
	THING_BUILD,
	THING_BUILD_ENDS,
	THING_MISFORTUNE,
	N_GUEST_THINGS,
	/* the hird's */
	THING_LOOK = N_GUEST_THINGS,
	THING_OPERATOR,
	THING_PRESSURE,
	THING_DAEMON_DIES,
	N_THINGS
};

struct due {
	gint64 at;
	guint order; /* first come, first served */
	guint stamp;
	guint8 guest, thing, detail;
};

struct hird_world;

struct being {
	struct hird_world *world;
	struct childhurd *c;
	struct config_guest config;
	char name[8];
	guint index;
	guint stamps[N_THINGS]; /* what is due with another one was called off */
	/* QEMU and what runs in it */
	gboolean alive, launching;
	gboolean watched;   /* the daemon has QEMU's process in sight */
	gboolean reporting; /* it is gone, and the daemon will hear of it */
	gint64 born;
	guint boot, proven_boot;
	gboolean secrets, hung;
	gboolean paused; /* by QEMU */
	gboolean skewed; /* its clock */
	gint64 spoke;	 /* on its console */
	gint64 hung_at;	 /* 0: it hangs in what it does, and still shows signs of life */
	enum event death;
	/* builds */
	int builds;
	guint build_boot;
	gboolean invisible;  /* its slots cannot be read */
	gint64 listed_until; /* when a coordinator last read that it is ready */
	gboolean held;	     /* its slots are kept from builds */
	enum event store;    /* what probes say of its store */
	gboolean excused;    /* in this boot it may be ended though a build runs */
	gboolean wish_up;    /* people want it up, and it did not go down by itself since */
	/* the daemon's view */
	gint64 timer;
	gboolean queued, place, tending;
	gboolean keys;
	enum published_as as; /* in the list that was written last */
	/* what the next daemon reads */
	struct childhurd_kept kept;
	guint ready_times;
};

struct hird_world {
	GRand *rand;
	gint64 now;
	guint n, parallel;
	gboolean good;	/* nothing bad happens any more */
	gboolean dying; /* between two daemons: nothing is published */
	gboolean lacks; /* no probe can be made, and no guest started */
	gint64 memory, pressure;
	struct starts *starts;
	struct being beings[WORLD_GUESTS];
	gboolean look; /* a look at the queue is due */
	int places, listed[3];
	GArray *heap; /* of struct due */
	guint order;
	guint stamps[N_THINGS];
	guint64 events;
	guint64 seen_events[N_EVENTS], seen_states[N_STATES], asked[N_THINGS], seen[N_THINGS];
	guint64 memory_waits, daemons;
};

#define PROMISE(b, promise)                                                                        \
	do {                                                                                       \
		if (!(promise))                                                                    \
			g_error("%s (%s, event %" G_GUINT64_FORMAT ", %s): not kept: %s",          \
				(b)->name, state_name((b)->c->state), (b)->world->events,          \
				(b)->c->why ? (b)->c->why : "", #promise);                         \
	} while (0)

/* n guests, all stopped, in a world with its ups and downs; seed decides about all of them. Caller
 * frees with hird_world_free. */
struct hird_world *hird_world_new(guint n, guint32 seed);
void hird_world_free(struct hird_world *w);
/* The next thing that is due happens. */
void hird_world_step(struct hird_world *w);
void hird_world_run_until(struct hird_world *w, gint64 until);
/* From now on all is well: there is memory, what hung answers, and nobody says anything. */
void hird_world_becomes_good(struct hird_world *w);
/* An operator's. */
void hird_world_command(struct being *b, enum event event);

#endif
