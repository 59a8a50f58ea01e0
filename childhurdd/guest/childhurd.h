/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One childhurd: its state, and the actions of the table in lifecycle.c.
 *
 * A guest reaches the world only through struct world_ops. The world answers with an event, later,
 * never from within the call. So a test can drive years of a guest's life in milliseconds.
 */
#ifndef CHILDHURDD_GUEST_CHILDHURD_H
#define CHILDHURDD_GUEST_CHILDHURD_H

#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "config/config.h"

/* Limits that no configuration key sets; the manual lists them. Milliseconds. */
/* From a place among the starts to QEMU's start: keys, disk, libvirt. */
#define START_LIMIT 180000
/* From the press of the power button to the next step; stop-timeout if that is shorter. */
#define POWER_BUTTON_LIMIT 15000
/* For one try to end QEMU, and the number of tries. */
#define KILL_LIMIT 10000
#define KILL_TRIES 3
/* From the first failure to the next try; doubled with each further failure in a row. */
#define BACKOFF_FIRST	1000
#define BACKOFF_LONGEST 300000
/* After so many failures in a row the guest is failed. */
#define BACKOFF_TRIES 10
/* Once a guest was ready for so long, its earlier failures no longer count. */
#define BACKOFF_FORGET 600000
/* The longest back-off of a start that the host could not make. */
#define LACK_LONGEST 60000
/* With --now: halting over SSH is given up once the console has been silent for NOW_SILENCE, the
 * power button after NOW_BUTTON. */
#define NOW_SILENCE 15000
#define NOW_BUTTON  5000
/* ... and this silence is allowed once the console has reported that the guest goes down. */
#define GOING_DOWN_SILENCE 30000
/* When stop-timeout has passed for a guest that reported that it goes down, it counts as down
 * unless it answers a probe within this. */
#define GOING_DOWN_ANSWER 20000
/* Between two tries to set a clock, if the first did not help. */
#define CLOCK_AGAIN 600000
/* The longest that a guest with a running build may not answer, whatever signs of life it shows. */
#define HANG_LONGEST 86400000
/* Between two garbage collections, if the first did not help. */
#define COLLECT_AGAIN 3600000
/* The limit of a boot: BOOT_PATIENCE times the longest of the last BOOTS_KEPT boots, at least
 * BOOT_LEAST, but never more than boot-timeout. */
#define BOOTS_KEPT    5
#define BOOT_PATIENCE 4
#define BOOT_LEAST    60000
/* A guest that greets nobody yet is just booting for as long as the longest of these boots took,
 * and this part of that longer; or, if it has none, for this part of boot-timeout. Only then its
 * error is shown. */
#define BOOT_MARGIN   2
#define BOOT_EXPECTED 10

/* For saving a state; the prepare-command before that may take boot-timeout. */
#define SAVE_LIMIT 300000
/* From a warm state in QEMU to a proven guest, within boot-timeout. */
#define RESTORE_LIMIT 120000
/* Warm starts in a row that fail, then it boots each time. */
#define WARM_TRIES 2
/* Who connects to an asleep guest waits so long for its place among the starts, and is then
 * refused: Guix holds the slots of all machines meanwhile. */
#define WAKE_LIMIT 10000
/* From a wake that nobody waited for, and after which nobody used the guest, to the next one. */
#define WAKE_AGAIN 600000
/* ... unless whoever connects then waits so long, which a port scanner does not. */
#define WAKE_PATIENCE 1000

/* A guest's QEMU, as far as is known. */
enum qemu {
	QEMU_GONE,
	QEMU_LAUNCHING, /* the hypervisor was asked to start it and has not answered */
	QEMU_RUNNING,
};

/* The phase of a guest that waits for a place among the starts. */
#define CHILDHURD_PHASE_QUEUED "waiting for a place among the parallel starts"

/* A guest's warm state: the state of a booted guest, with the disk it belongs to. */
enum warm {
	WARM_IMPOSSIBLE, /* none can be saved here */
	WARM_NONE,	 /* there is none, or what there was does not fit and is thrown away */
	WARM_FITS,	 /* there is one, or nobody has looked yet; prepare and restore find out */
};

struct childhurd;

/* What a childhurd asks of the world. No function calls back before it returns. */
struct world_ops {
	gint64 (*now)(struct childhurd *c);	       /* monotonic, ms */
	double (*random)(struct childhurd *c);	       /* 0 <= x < 1, for jitter */
	void (*timer)(struct childhurd *c, gint64 at); /* EVENT_DEADLINE at this time; -1: none */
	void (*queue)(struct childhurd *c);	       /* wait for a place: EVENT_ADMITTED */
	void (*leave)(struct childhurd *c);	       /* give up the place, or the wait for one */
	/* With c->warm for a start from its warm state, which is loaded when QEMU runs. Its own
	 * port leads into such a guest only once it was stirred. EVENT_UNFIT: there is no such
	 * state; it goes on, and prepares a boot. */
	void (*prepare)(struct childhurd *c); /* EVENT_PREPARED or EVENT_START_FAILED */
	void (*launch)(struct childhurd *c);  /* EVENT_LAUNCHED or EVENT_START_FAILED */
	void (*enroll)(struct childhurd *c);  /* EVENT_GREETED, EVENT_ENROLLED */
	void (*watch)(struct childhurd *c);   /* connect and probe on and on: EVENT_PROBE_* */
	void (*quiet)(struct childhurd *c);   /* give up all of the above */
	void (*halt)(struct childhurd *c);    /* EVENT_HALT_REFUSED if `halt` cannot be run */
	void (*power_button)(struct childhurd *c);
	void (*kill)(struct childhurd *c);    /* QEMU's end is reported by an event of its own */
	void (*discard)(struct childhurd *c); /* delete the guest's disk */
	enum warm (*warm)(struct childhurd *c);
	/* Save its state, after the prepare-command unless it was ready already, with no session
	 * open. It then goes on. EVENT_SAVED, EVENT_SAVE_FAILED. A start from the state of a
	 * persistent disk uses it up. */
	void (*save)(struct childhurd *c);
	/* Load its state into the QEMU that runs. EVENT_RESTORED, EVENT_RESTORE_FAILED,
	 * EVENT_UNFIT, EVENT_START_FAILED if it could not get its secrets. */
	void (*restore)(struct childhurd *c);
	/* Set its clock, give it randomness of the host's, and then let its own port lead into it,
	 * which the daemon leaves. EVENT_STIRRED, EVENT_RESTORE_FAILED, EVENT_START_FAILED if the
	 * port is taken; EVENT_UNASKED while the host lacks something. */
	void (*stir)(struct childhurd *c);
	void (*forget)(struct childhurd *c); /* discard its warm state, also one being saved */
	/* Listen at its port: EVENT_WOKEN when somebody connects, who is kept waiting. */
	void (*take_port)(struct childhurd *c);
	void (*leave_port)(struct childhurd *c); /* at once; who waits goes on waiting */
	int (*callers)(struct childhurd *c);	 /* how many wait there */
	int (*pass_on)(struct childhurd *c);	 /* who waits to the guest; how many that are */
	void (*turn_away)(struct childhurd *c);	 /* who waits */
	int (*builds)(struct childhurd *c);	 /* the number of running builds; -1: unknown */
	/* Keep further builds out, and return how many run. After 0 none can begin. */
	int (*hold)(struct childhurd *c);
	void (*release)(struct childhurd *c);	/* let builds in again */
	void (*collect)(struct childhurd *c);	/* collect garbage: EVENT_COLLECTED */
	void (*set_clock)(struct childhurd *c); /* EVENT_CLOCK_SET */
	void (*ask)(struct childhurd *c);	/* while watched: probe it now */
	gint64 (*sign)(struct childhurd *c);	/* monotonic ms of the last sign of life */
	gint64 (*spoke)(struct childhurd *c);	/* ... of the last output on its console */
	/* ... of the last build or session that was seen; unknown: now; never: 0 */
	gint64 (*used)(struct childhurd *c);
	/* The state, or something that status or the record shows, changed. state_changed is also
	 * TRUE if only the place in the list of machines changed. Then the list is published, and
	 * clients hear of it afterwards. text: for the log; may be NULL. */
	void (*changed)(struct childhurd *c, gboolean state_changed, const char *text);
};

/* What follows once no build runs any more. */
enum aim {
	AIM_DOWN,     /* its end, and what people want then */
	AIM_PRISTINE, /* its warm state, in place if that can be; else a start with a new disk */
	AIM_ASLEEP,
};

enum rung { RUNG_NONE, RUNG_SAVE, RUNG_HALT, RUNG_POWER_BUTTON, RUNG_KILL };

/* A guest in the list of machines: not there, expected to be ready, or ready. */
enum listing { LISTING_NOT, LISTING_COMING, LISTING_READY };

/* The space in its store, by the last probe. */
enum room { ROOM_ENOUGH, ROOM_LOW, ROOM_NONE };

/* What happened to a guest whose QEMU ends. It decides, with the operators' wish, what follows. */
enum verdict {
	VERDICT_NONE,
	VERDICT_FAILURE,
	VERDICT_LACK, /* the host lacks something; not a failure of the guest */
	VERDICT_POWERED_OFF,
	VERDICT_GIVEN_UP
};

/* The console reports that the guest goes down, and the daemon had not asked for that. */
enum going_down {
	GOING_DOWN_NOT,
	GOING_DOWN_SAID,  /* it has stop-timeout to be gone */
	GOING_DOWN_ASKED, /* stop-timeout has passed; the next probe decides */
};

/* Why a guest failed, as the metrics count it. */
enum failure {
	FAILURE_START,	      /* keys, disk or QEMU's start */
	FAILURE_HOST,	      /* the same, because the host lacks something */
	FAILURE_BOOT_TIMEOUT, /* not ready within its limit */
	FAILURE_IMPOSTOR,     /* the same, or hung, and a foreign host key answered */
	FAILURE_HUNG,	      /* was ready, and did not answer for hang-timeout */
	FAILURE_PANIC,	      /* the console reports that it cannot go on */
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
	gboolean now;	     /* ... with --now: waits for none */
	gboolean discard;
	gboolean enrolled;
	gboolean proven;
	gboolean saving;
	gboolean restoring;
	gboolean cold;
	gboolean to_sleep;
	int served;
	int warm_failures;
	int restarts;
};

/* Other files only read it; childhurd*.c alone write to it. */
struct childhurd {
	const struct world_ops *ops;
	void *world;			   /* for the functions of ops */
	const struct config_guest *config; /* replaced on reload */

	enum state state;
	gint64 since;	 /* monotonic ms */
	char *why;	 /* the reason for the state */
	char *phase;	 /* what it waits for, or what went wrong last; may be NULL */
	gint64 deadline; /* monotonic ms; -1: none */
	/* While one of these is TRUE, the guest cannot be judged, and its limit waits. */
	gboolean unasked; /* it cannot be probed, because the host lacks something */
	gboolean paused;  /* QEMU does not let it run */
	gint64 left;	  /* ms left of that limit; -1: none */

	gboolean want_up;      /* the operators want it up: a start follows a stop */
	gboolean drained;      /* the operators want it unpublished */
	gboolean to_sleep;     /* with want_up: it sleeps after a stop, instead of a start */
	gboolean cold;	       /* discard its warm state, too */
	gboolean winding_down; /* a stop waits for a build */
	enum aim aim;	       /* what follows then */
	char *wish;	       /* the reason for that stop; NULL: there was none */
	gboolean discard;      /* discard the disk before the next start */
	enum qemu qemu;
	gboolean enrolled;   /* it got its secrets in this boot; or it was restored, and stirred */
	gboolean warm;	     /* it was started from its warm state, or restored */
	gboolean saving;     /* its state is being saved, and builds are kept out */
	gboolean saved;	     /* ... was saved in this boot, or could not be */
	int served;	     /* builds since it was pristine */
	gboolean proven;     /* was ready in this boot */
	gboolean had_room;   /* its store had enough space in this boot */
	gboolean to_collect; /* it is off the list until its garbage can be collected */
	gboolean collecting; /* its garbage is collected, and it is off the list */
	gint64 collected_at; /* monotonic ms, in this boot; 0: never */
	enum room room;
	char *room_text;      /* that space in words */
	enum listing listing; /* as the last change reported it */
	gboolean clock_off;   /* its clock is further off than clock-skew-limit */
	gboolean setting_clock;
	gint64 clock_set_at; /* monotonic ms of a try that has not helped yet; 0: none */
	char *clock_text;    /* how far it is off, in words */
	enum going_down going_down;
	gboolean goes_for_reboot; /* with going_down */
	gboolean up_again; /* with going_down: an operator has asked for a start since then */
	enum rung rung;
	gint64 rung_until; /* monotonic ms: the latest end of the rung */
	gboolean now;	   /* --now: no gentle way may take long */
	int kills;
	enum verdict verdict;
	char *failure;	     /* with a verdict: what happened */
	enum failure reason; /* the same for the metrics */
	gboolean impostor;   /* the last probe met another host key than the guest's */
	gboolean silent;     /* the last probe met no SSH server yet */
	/* With STATE_UNRESPONSIVE: an earlier daemon has proven it, and nothing has failed since.
	 * It is not published before this daemon has proven it, too. */
	gboolean taken_over;

	gboolean has_port;  /* it does not run, and the daemon listens at its port */
	gboolean waking;    /* somebody waits at its port */
	gboolean hurried;   /* ... and not longer than until the deadline */
	gint64 vain_at;	    /* monotonic ms of the last wake without a caller in the end; 0: none */
	gboolean unsavable; /* the last save had no end, or ended its QEMU */
	int warm_failures;  /* warm starts in a row that failed */

	int failures;		  /* in a row */
	int lacks;		  /* starts in a row that the host could not make */
	int restarts;		  /* automatic ones since an operator started it */
	gint64 boot_took;	  /* ms until it was proven, before the save; 0: unknown */
	gint64 launched_at;	  /* monotonic ms of QEMU's start; 0: an earlier daemon's */
	gint64 boots[BOOTS_KEPT]; /* ms that each took, the latest first; 0: none */
};

/* A new guest in state stopped, one of config's owners. Free with childhurd_free. */
struct childhurd *childhurd_new(const struct config_guest *config, const struct world_ops *ops,
				void *world);
void childhurd_free(struct childhurd *c); /* NULL is allowed */

struct childhurd_kept childhurd_keep(const struct childhurd *c);
/* Restore what an earlier daemon kept. Before the first event. */
void childhurd_recall(struct childhurd *c, const struct childhurd_kept *kept);
/* Restore one thing: it was drained. */
void childhurd_recall_drained(struct childhurd *c);
/* So many warm starts in a row failed. */
void childhurd_recall_warm_failures(struct childhurd *c, int failures);
/* It runs and nothing was kept: the operators want it up. */
void childhurd_recall_up(struct childhurd *c);
/* It was stopped; why is copied. */
void childhurd_recall_stopped(struct childhurd *c, const char *why);
/* How long the last boots took, in ms, the latest first; 0: none. */
void childhurd_boots_recall(struct childhurd *c, const gint64 boots[BOOTS_KEPT]);
/* Forget how long boots took, because the next one will differ. */
void childhurd_boots_forget(struct childhurd *c);

/* Use this configuration from now on. The childhurd becomes one of its owners, and gives up the one
 * before. */
void childhurd_configure(struct childhurd *c, const struct config_guest *config);
/* Note whether the last probe met a foreign host key (impostor). The probe's event follows. */
void childhurd_note_host_key(struct childhurd *c, gboolean impostor);
/* Note whether the last probe met no SSH server (silent). The probe's event follows. */
void childhurd_note_silence(struct childhurd *c, gboolean silent);

/* Handle an event. text: its details in words; NULL: none. */
void childhurd_event(struct childhurd *c, enum event event, const char *text);

/* The command that allows warm starts again, after failures. A reset of a persistent disk would
 * cost all that is on it. */
const char *childhurd_warm_cure(const struct childhurd *c);

/* Its state is one in which it does not run, and is not on its way. */
static inline gboolean
childhurd_is_at_rest(const struct childhurd *c)
{
	return c->state == STATE_STOPPED || c->state == STATE_BACKOFF || c->state == STATE_FAILED ||
	       c->state == STATE_ASLEEP;
}

/* Its QEMU runs, or may still come up. */
static inline gboolean
childhurd_has_qemu(const struct childhurd *c)
{
	return c->qemu != QEMU_GONE;
}

/* The list of machines has it as ready: nothing keeps it off. */
gboolean childhurd_published(const struct childhurd *c);
/* Not published, but it will be without an operator's help. */
gboolean childhurd_coming_up(const struct childhurd *c);
/* Set what it waits for, which status shows. Logs nothing. */
void childhurd_set_phase(struct childhurd *c, const char *phase);

#endif
