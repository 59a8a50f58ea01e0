/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of a childhurd as a table: in each state, what each event leads to.
 *
 * This file is data and knows nothing of how an action is done (childhurd_actions.c does). To know
 * what happens to a guest, read lifecycle.c.
 */
#ifndef CHILDHURDD_GUEST_LIFECYCLE_H
#define CHILDHURDD_GUEST_LIFECYCLE_H

#include <glib.h>

enum state {
	STATE_STOPPED,
	STATE_STARTING,
	STATE_BOOTING,
	STATE_ENROLLING,
	STATE_READY,
	STATE_DRAINING,
	STATE_UNRESPONSIVE,
	STATE_STOPPING,
	STATE_BACKOFF,
	STATE_FAILED,
	STATE_ASLEEP,
	STATE_RESTORING,
	N_STATES
};

enum event {
	/* The operator's; the _NOW ones do not wait for a running build. */
	EVENT_START,
	EVENT_STOP,
	EVENT_STOP_NOW,
	EVENT_RESTART,
	EVENT_RESTART_NOW,
	EVENT_RESET,
	EVENT_RESET_NOW,
	EVENT_RESET_COLD, /* its warm state goes, too */
	EVENT_RESET_COLD_NOW,
	EVENT_SLEEP,
	EVENT_DRAIN,
	EVENT_UNDRAIN,
	/* The hird's. */
	EVENT_ADMITTED, /* a place among the parallel starts is free */
	EVENT_FOUND,	/* an earlier daemon's QEMU of this guest runs */
	/* The world's. */
	EVENT_PREPARED,	    /* keys, secret root and disk are ready */
	EVENT_LAUNCHED,	    /* QEMU runs */
	EVENT_START_FAILED, /* preparation or start failed */
	EVENT_START_LACKED, /* ... because the host lacks something; not a failure of the guest */
	EVENT_GREETED,	    /* the guest's secret service said hello */
	EVENT_ENROLLED,	    /* it received its secrets; or it gets none, and its network answers */
	EVENT_PROBE_OK,
	EVENT_PROBE_FAILED,
	EVENT_UNASKED, /* a probe could not be made, because the host lacks something; no verdict */
	EVENT_SAVED,   /* its state is saved */
	EVENT_SAVE_FAILED,    /* ... or is not */
	EVENT_RESTORED,	      /* its warm state is loaded into the QEMU that runs */
	EVENT_STIRRED,	      /* its clock is set, its random state is new, its port is open */
	EVENT_RESTORE_FAILED, /* one of these two could not be done */
	EVENT_UNFIT,	    /* its warm state is gone, as it does not fit; there is no such state */
	EVENT_WOKEN,	    /* somebody connected to the port of a guest that does not run */
	EVENT_IDLE,	    /* no build and no session for idle-timeout */
	EVENT_BUILD_DONE,   /* a slot that was taken was given back */
	EVENT_HALT_REFUSED, /* `halt` could not be run in the guest */
	EVENT_BUILD_ENDED,  /* no slot has a build any more */
	EVENT_ROOM,	    /* a probe found enough space in its store */
	EVENT_LOW,	    /* ... less than store-floor */
	EVENT_FULL,	    /* ... so little that Guix gives it no build */
	EVENT_COLLECTED,    /* the garbage in its store was collected, or could not be */
	EVENT_CLOCK_GOOD,   /* a probe found its clock within clock-skew-limit */
	EVENT_CLOCK_OFF,    /* ... beyond it */
	EVENT_CLOCK_SET,    /* its clock was set, or could not be */
	EVENT_PAUSED,	    /* QEMU runs, and does not let the guest run */
	EVENT_RESUMED,	    /* the guest runs again */
	EVENT_HALTING,	    /* the console reports that the guest begins to halt */
	EVENT_REBOOTING,    /* ... to reboot */
	EVENT_HALTED,	    /* the console reports that the guest has halted; QEMU stays */
	EVENT_BROKEN,	    /* the console reports that the guest cannot go on: a panic, its disk */
	EVENT_REBOOTED,	    /* QEMU ended because the guest asked for a reset */
	EVENT_POWERED_OFF,  /* QEMU ended because the guest asked for power off */
	EVENT_DIED,	    /* QEMU ended for any other reason */
	EVENT_DEADLINE,	    /* the present phase's limit passed, or the next try is due */
	N_EVENTS
};

enum action {
	ACTION_UNDEFINED,  /* no entry in the table: a bug */
	ACTION_IGNORE,	   /* it can happen, and has no effect */
	ACTION_WANT_UP,	   /* current work is to end with the guest up */
	ACTION_WANT_DOWN,  /* current work is to end with the guest stopped */
	ACTION_START,	   /* queue for a start */
	ACTION_PREPARE,	   /* make keys and disk ready */
	ACTION_LAUNCH,	   /* start QEMU */
	ACTION_ABANDON,	   /* give up a start, at once if QEMU does not run yet */
	ACTION_BOOT,	   /* QEMU runs: wait for the guest */
	ACTION_TAKE_OVER,  /* QEMU ran before this daemon did */
	ACTION_ENROLL,	   /* secrets are under way */
	ACTION_CONNECT,	   /* secrets are delivered: wait for SSH */
	ACTION_READY,	   /* proven: publish */
	ACTION_DOUBT,	   /* a probe failed: unpublish, try again until hang-timeout */
	ACTION_UNASKED,	   /* keep the state; its limit waits */
	ACTION_PAUSED,	   /* unpublish; its limit waits */
	ACTION_RESUMED,	   /* ... and goes on */
	ACTION_GOING_DOWN, /* unpublish, and wait for its end */
	ACTION_CLOCK,	   /* note whether its clock is right; unpublish, set it */
	ACTION_CLOCK_SET,
	ACTION_HANG,  /* hang-timeout passed: a failure, unless it lives and a build runs */
	ACTION_NOTE,  /* note why it is not ready yet, and go on trying */
	ACTION_DRAIN, /* unpublish, and stay so */
	ACTION_UNDRAIN,
	ACTION_WIND_DOWN, /* unpublish, wait for the build to end, then stop */
	ACTION_BUILD_ENDED,
	ACTION_STORE, /* note the free space; unpublish, collect garbage */
	ACTION_COLLECTED,
	ACTION_STOP,	    /* unpublish, then halt, power button, kill */
	ACTION_NEXT_RUNG,   /* the gentler way to stop failed: try the next one */
	ACTION_FINISH,	    /* halted: end QEMU */
	ACTION_UNWANTED,    /* a QEMU whose start was given up came up: end it */
	ACTION_STOPPED,	    /* QEMU ended, as wanted */
	ACTION_FAIL,	    /* a failure: end QEMU, then act by `restart` */
	ACTION_LACK,	    /* the host cannot start it now: try again later */
	ACTION_HALTED,	    /* the guest halted by itself: end QEMU, as after power off */
	ACTION_ENDED,	    /* QEMU ended, and no command had asked for it */
	ACTION_RESET,	    /* not running: discard the disk */
	ACTION_START_ANEW,  /* not running yet: prepare it again */
	ACTION_RESET_START, /* not running yet: discard the disk, start */
	ACTION_RETRY,	    /* the back-off is over */
	ACTION_FORGET,	    /* from failed or back-off to stopped */
	ACTION_FALL_ASLEEP, /* not running: take its port, wait for a connection */
	ACTION_SLEEP,	  /* unpublish, wait for the build to end, then end QEMU and fall asleep */
	ACTION_IDLE,	  /* ... unless a build runs */
	ACTION_WOKEN,	  /* start it for those who wait at its port */
	ACTION_HEAR,	  /* ... if they have not hung up */
	ACTION_SAVED,	  /* prove it again; or it is asleep once QEMU is gone */
	ACTION_RESTORED,  /* stir it before anybody is let in */
	ACTION_STIRRED,	  /* prove it */
	ACTION_COLD,	  /* the warm start failed: discard the state and boot */
	ACTION_UNFIT,	  /* boot */
	ACTION_RESET_NOW, /* make it pristine, and do not wait for a build */
	ACTION_COUNT,	  /* one build more: after enough of them, make it pristine */
	ACTION_GONE,	  /* the QEMU that could not be ended has ended */
	N_ACTIONS
};

const char *state_name(enum state state); /* "ready" */
/* The state of that name, or -1. */
int state_from_name(const char *name);

/* The action; never ACTION_UNDEFINED (a test proves it). */
enum action lifecycle_action(enum state state, enum event event);

#endif
