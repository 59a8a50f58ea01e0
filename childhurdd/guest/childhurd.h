/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One childhurd: its state, and the actions of the table in lifecycle.c.
 *
 * The world is behind struct world_ops. Everything asked of it is answered by an event, later,
 * never from within the call; so a test can drive years of a guest's life in milliseconds.
 */
#ifndef CHILDHURDD_GUEST_CHILDHURD_H
#define CHILDHURDD_GUEST_CHILDHURD_H

#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "config/config.h"

/* Limits that no configuration key sets; the manual lists them. Milliseconds. */
/* From a place among the starts to QEMU's start: keys, disk, libvirt. */
#define START_LIMIT 180000
/* Or stop-timeout, when that is shorter. */
#define POWER_BUTTON_LIMIT 15000
/* For one try to end QEMU, and how many there are. */
#define KILL_LIMIT 10000
#define KILL_TRIES 3
/* From one failure to the next try: doubled each time. */
#define BACKOFF_FIRST	1000
#define BACKOFF_LONGEST 300000
/* Failures in a row, then the breaker opens: failed. */
#define BACKOFF_TRIES 10
/* Ready for so long: the earlier failures do not count any more. */
#define BACKOFF_FORGET 600000
/* The longest back-off of a start that the host could not make. */
#define LACK_LONGEST 60000
/* Stopped with --now: halting over SSH is given up when the console says nothing for so long, and
 * the power button has no longer to work. */
#define NOW_SILENCE 15000
#define NOW_BUTTON  5000
/* ... or for so long, once the console has said that the guest goes down. */
#define GOING_DOWN_SILENCE 30000
/* A guest said that it goes down, and stop-timeout passed: it has so long to answer a probe, or it
 * is down. */
#define GOING_DOWN_ANSWER 20000
/* Between two tries to set a clock that did not help. */
#define CLOCK_AGAIN 600000
/* A guest in which a build runs may go on without answering for so long, whatever signs of life it
 * shows. */
#define HANG_LONGEST 86400000
/* Between two collections of garbage that did not help. */
#define COLLECT_AGAIN 3600000
/* A boot may take BOOT_PATIENCE times the longest of the last BOOTS_KEPT ones, within boot-timeout,
 * but always BOOT_LEAST. */
#define BOOTS_KEPT    5
#define BOOT_PATIENCE 4
#define BOOT_LEAST    60000

/* A guest's QEMU, as far as is known. */
enum qemu {
	QEMU_GONE,
	QEMU_LAUNCHING, /* the hypervisor was asked to start it and has not answered */
	QEMU_RUNNING,
};

/* What a guest says while it has no place among the starts. */
#define CHILDHURD_PHASE_QUEUED "waiting for a place among the parallel starts"

struct childhurd;

/* What a childhurd asks of the world. None of these calls back from within. */
struct world_ops {
	gint64 (*now)(struct childhurd *c);	       /* monotonic, ms */
	double (*random)(struct childhurd *c);	       /* 0 <= x < 1, for jitter */
	void (*timer)(struct childhurd *c, gint64 at); /* EVENT_DEADLINE at this time; -1: none */
	void (*queue)(struct childhurd *c);	       /* wait for a place: EVENT_ADMITTED */
	void (*leave)(struct childhurd *c);	       /* gives up the place, or the wait for one */
	void (*prepare)(struct childhurd *c);	       /* EVENT_PREPARED or EVENT_START_FAILED */
	void (*launch)(struct childhurd *c);	       /* EVENT_LAUNCHED or EVENT_START_FAILED */
	void (*enroll)(struct childhurd *c);	       /* EVENT_GREETED, EVENT_ENROLLED */
	void (*watch)(struct childhurd *c); /* connect and probe on and on: EVENT_PROBE_* */
	void (*quiet)(struct childhurd *c); /* give up all of the above */
	void (*halt)(struct childhurd *c);  /* EVENT_HALT_REFUSED when it cannot be said */
	void (*power_button)(struct childhurd *c);
	void (*kill)(struct childhurd *c);    /* the end of QEMU is an event of its own */
	void (*discard)(struct childhurd *c); /* delete the guest's disk */
	int (*builds)(struct childhurd *c);   /* builds running; -1 unknown */
	/* Keep further builds out, and tell how many run: with 0 none can come any more. */
	int (*hold)(struct childhurd *c);
	void (*release)(struct childhurd *c);	/* let builds in again */
	void (*collect)(struct childhurd *c);	/* the garbage in its store: EVENT_COLLECTED */
	void (*set_clock)(struct childhurd *c); /* EVENT_CLOCK_SET */
	void (*ask)(struct childhurd *c);	/* while watched: probe it now */
	gint64 (*sign)(struct childhurd *c);	/* monotonic ms of the last sign of life */
	gint64 (*spoke)(struct childhurd *c);	/* ... of the last output on its console */
	/* The state or what is shown of it changed. state_changed, also when only the place in the
	 * list of machines did: it is published next, and clients hear of it when it is. text: for
	 * the log; may be NULL. */
	void (*changed)(struct childhurd *c, gboolean state_changed, const char *text);
};

enum rung { RUNG_NONE, RUNG_HALT, RUNG_POWER_BUTTON, RUNG_KILL };

/* How the list of machines has a guest: not, as one that will be ready, as one that is. */
enum listing { LISTING_NOT, LISTING_COMING, LISTING_READY };

/* What the last probe said of its store. */
enum room { ROOM_ENOUGH, ROOM_LOW, ROOM_NONE };

/* What becomes of a guest whose QEMU is on its way out, other than what people want. */
enum verdict {
	VERDICT_NONE,
	VERDICT_FAILURE,
	VERDICT_LACK, /* of the host's: no failure of the guest's */
	VERDICT_POWERED_OFF,
	VERDICT_GIVEN_UP
};

/* What the console said, and nobody here had asked for. */
enum going_down {
	GOING_DOWN_NOT,
	GOING_DOWN_SAID,  /* it has stop-timeout to do so */
	GOING_DOWN_ASKED, /* that has passed: does it answer? */
};

/* Why a guest failed, for those who count. */
enum failure {
	FAILURE_START,	      /* keys, disk or QEMU's start */
	FAILURE_HOST,	      /* the same, for want of something of the host's */
	FAILURE_BOOT_TIMEOUT, /* not ready within its limit */
	FAILURE_IMPOSTOR,     /* the same, or hung, and another host key than its own answered */
	FAILURE_HUNG,	      /* was ready, and did not answer for hang-timeout */
	FAILURE_PANIC,	      /* the console says that it cannot go on */
	FAILURE_HALTED,	      /* it halted before it was ready */
	FAILURE_REBOOTED,     /* it rebooted, or powered itself off, before it was ready */
	FAILURE_QEMU_EXIT,    /* QEMU ended, and the guest had not asked for it */
	FAILURE_KILL,	      /* QEMU could not be ended */
	N_FAILURES
};
const char *failure_name(enum failure failure); /* "boot-timeout" */

/* What the next daemon has to know of a guest. */
struct childhurd_kept {
	gboolean want_up; /* these as in struct childhurd */
	gboolean drained;
	gboolean going_down; /* a stop, restart or reset is under way, or waits for a build */
	gboolean discard;
	gboolean enrolled;
	gboolean proven;
	int restarts;
};

/* Closed: others read it, and only childhurd*.c write to it. */
struct childhurd {
	const struct world_ops *ops;
	void *world;			   /* the world's */
	const struct config_guest *config; /* replaced on reload */

	enum state state;
	gint64 since; /* monotonic ms */
	char *why;    /* why it is in this state */
	char *phase;  /* what is being waited for, or the last thing that went wrong; may be NULL */
	gint64 deadline; /* monotonic ms; -1: none */
	/* While one of these is so nothing can be said of the guest, and its limit waits. */
	gboolean unasked; /* it cannot be probed, by the host's doing */
	gboolean paused;  /* QEMU does not let it run */
	gint64 left;	  /* ms that are left of the limit then; -1: none */

	gboolean want_up;      /* people want it running: what follows a stop is a start */
	gboolean drained;      /* people want it unpublished */
	gboolean winding_down; /* a stop was asked for and waits for a build */
	char *wish;	       /* why it winds down; NULL: it never did */
	gboolean discard;      /* the disk is to be thrown away before the next start */
	enum qemu qemu;
	gboolean enrolled;   /* secrets are in this boot of the guest */
	gboolean proven;     /* was ready in this boot */
	gboolean had_room;   /* in its store, in this boot */
	gboolean collecting; /* the garbage in its store, off the list */
	gint64 collected_at; /* monotonic ms, in this boot; 0: never */
	enum room room;
	char *room_text;      /* how much there is, for people */
	enum listing listing; /* as was told by the last change */
	gboolean clock_off;   /* its clock is further off than clock-skew-limit */
	gboolean setting_clock;
	gint64 clock_set_at; /* monotonic ms of a try that has not helped yet; 0: none */
	char *clock_text;    /* how far it is off, for people */
	enum going_down going_down;
	gboolean goes_for_reboot; /* with going_down */
	gboolean up_again;	  /* with going_down: people want it up since */
	enum rung rung;
	gint64 rung_until; /* monotonic ms: the end of the rung in any case */
	gboolean now;	   /* people want no gentle way that takes long */
	int kills;
	enum verdict verdict;
	char *failure;	     /* with a verdict: what happened */
	enum failure reason; /* the same, for those who count */
	gboolean impostor;   /* the last probe met another host key than the guest's */

	int failures;		  /* in a row */
	int lacks;		  /* starts in a row that the host could not make */
	int restarts;		  /* automatic ones since people started it */
	gint64 launched_at;	  /* monotonic ms of QEMU's start */
	gint64 boots[BOOTS_KEPT]; /* ms that the last ones took, the latest first; 0: none */
};

/* A new guest in state stopped, one of config's owners. Free with childhurd_free. */
struct childhurd *childhurd_new(const struct config_guest *config, const struct world_ops *ops,
				void *world);
void childhurd_free(struct childhurd *c); /* NULL is allowed */

struct childhurd_kept childhurd_keep(const struct childhurd *c);
/* Before the first event: what an earlier daemon kept. */
void childhurd_recall(struct childhurd *c, const struct childhurd_kept *kept);
/* The same of single things. It was drained: */
void childhurd_recall_drained(struct childhurd *c);
/* Nothing was kept: people want it up, since it runs. */
void childhurd_recall_up(struct childhurd *c);
/* It was stopped; why is copied. */
void childhurd_recall_stopped(struct childhurd *c, const char *why);
/* What the last boots took, in ms, the latest first; 0: none. */
void childhurd_boots_recall(struct childhurd *c, const gint64 boots[BOOTS_KEPT]);
/* What is known of boots says nothing of the next one. */
void childhurd_boots_forget(struct childhurd *c);

/* Another configuration holds from now on; the one before may be gone. */
void childhurd_configure(struct childhurd *c, const struct config_guest *config);
/* The last probe met the guest's host key, or another (impostor). No event: the probe's follows. */
void childhurd_note_host_key(struct childhurd *c, gboolean impostor);

/* Something happened. text: what exactly, for people; NULL: nothing to add. */
void childhurd_event(struct childhurd *c, enum event event, const char *text);

/* Its QEMU runs, or may come up yet. */
static inline gboolean
childhurd_has_qemu(const struct childhurd *c)
{
	return c->qemu != QEMU_GONE;
}

/* In the list of machines: proven ready, and nobody wants it off. */
gboolean childhurd_published(const struct childhurd *c);
/* Not ready, but it will be without anybody doing anything. */
gboolean childhurd_coming_up(const struct childhurd *c);
/* Note what is being waited for (shown by status); logs nothing. */
void childhurd_set_phase(struct childhurd *c, const char *phase);

#endif
