/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated world for a hird made of the real childhurd.c, lifecycle.c and starts.c. Each guest
 * has a QEMU that is alive or not. The world answers each request at a random simulated time, or
 * refuses it, or never answers. The clock jumps to the next thing that is due.
 *
 * The world is as hard as world.c and the hypervisor: a launch under way cannot be taken back,
 * quiet does not stop what a guest has begun, and a QEMU's end is noticed some time later. The
 * promises of the contract are checked after each event.
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
	/* of a guest, known only to the daemon: its death calls them off */
	THING_TIMER,
	THING_PREPARED,
	THING_LAUNCHED,
	THING_GREETED,
	THING_ENROLLED,
	THING_PROBE,
	THING_REFUSED,
	THING_ENDED, /* there was no QEMU to kill */
	THING_TEND,
	THING_COLLECTED,
	THING_CLOCK_SET,
	THING_SAVED,
	THING_RESTORED,
	THING_STIRRED,
	THING_LOOKS,  /* the daemon checks whether QEMU lets its guest run */
	THING_REPORT, /* of QEMU's end */
	N_DAEMON_THINGS,
	/* of a guest, in the world */
	THING_BORN = N_DAEMON_THINGS,
	THING_EXIT,
	THING_CONSOLE,
	THING_WAKES, /* from a hang */
	THING_ROOM,  /* the disk of a paused guest has room again */
	THING_LACK,  /* the host begins or ceases to lack something; kept for guest 0 */
	THING_BUILD,
	THING_BUILD_ENDS,
	THING_CALLER_LEAVES,
	THING_MISFORTUNE,
	N_GUEST_THINGS,
	/* of the hird */
	THING_LOOK = N_GUEST_THINGS,
	THING_OPERATOR,
	THING_PRESSURE,
	THING_DAEMON_DIES,
	N_THINGS
};

struct due {
	gint64 at;
	guint order; /* of things due at the same time, the smallest comes first */
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
	guint stamps[N_THINGS]; /* a due thing with another stamp was called off */
	/* QEMU and what runs in it */
	gboolean alive, launching;
	gboolean watched;   /* the daemon watches QEMU's process */
	gboolean reporting; /* QEMU has ended, and a report is on its way */
	gint64 born;
	guint boot, proven_boot;
	gboolean secrets, hung;
	gboolean paused; /* by QEMU */
	gboolean skewed; /* its clock */
	/* its warm state, and what it is used for */
	gboolean warm_possible, has_state;
	gboolean bad_state;  /* no guest gets up from it */
	gboolean from_state; /* the QEMU that is being started loads it */
	gboolean stirred;    /* its random state was not used before, and its port is open */
	gboolean listening;  /* the daemon has its port */
	gboolean caller;     /* a coordinator with one of its slots waits there */
	int served;	     /* builds since it was pristine */
	gint64 used;	     /* when a build last ran in it, or it became ready */
	gint64 built;	     /* when a build last ran in it; 0: never */
	gint64 spoke;	     /* last output on the console */
	gint64 hung_at;	     /* when signs of life ended; 0: it hangs but still shows them */
	gint64 woke_at;	     /* when it hung no more */
	enum event death;
	/* builds */
	int builds;
	guint build_boot;
	gboolean invisible;  /* its slots cannot be read */
	gint64 listed_until; /* when a coordinator last read that it is ready */
	gboolean held;	     /* the daemon holds its slots, so no build begins */
	enum event store;    /* what probes report of its store */
	gboolean excused;    /* in this boot it may be ended although a build runs */
	gboolean wish_up;    /* operators want it up, and it has not gone down by itself since */
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
	gboolean good;	/* nothing goes wrong any more */
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
	guint64 passed_on, in_place, saved_for_sleep; /* callers, restores, persistent guests */
};

#define PROMISE(b, promise)                                                                        \
	do {                                                                                       \
		if (!(promise))                                                                    \
			g_error("%s (%s, event %" G_GUINT64_FORMAT ", %s): not kept: %s",          \
				(b)->name, state_name((b)->c->state), (b)->world->events,          \
				(b)->c->why ? (b)->c->why : "", #promise);                         \
	} while (0)

/* n guests, all stopped, in a world where things go wrong; seed decides which. Caller frees with
 * hird_world_free. */
struct hird_world *hird_world_new(guint n, guint32 seed);
void hird_world_free(struct hird_world *w);
/* Let the next due thing happen. */
void hird_world_step(struct hird_world *w);
void hird_world_run_until(struct hird_world *w, gint64 until);
/* From now on nothing goes wrong: memory is free, no guest hangs, no operator gives commands. */
void hird_world_becomes_good(struct hird_world *w);
/* The daemon is killed, and the next one takes over. */
void hird_world_daemon_dies(struct hird_world *w);
/* A command of an operator. */
void hird_world_command(struct being *b, enum event event);

#endif
