/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the world*.c share. */
#ifndef CHILDHURDD_WORLD_WORLD_INTERNAL_H
#define CHILDHURDD_WORLD_WORLD_INTERNAL_H

#include "childhurdd/inject/inject.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/system/flood.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/world/use.h"
#include "childhurdd/world/vitals.h"
#include "childhurdd/world/world.h"
#include "config/base/lack.h"

/* ms that a file of a guest may take to answer, and a file of Guix's, which a start can do
 * without. */
#define FILES_LIMIT 30000
#define GUIX_LIMIT  10000

/* What a guest can cause to be logged as often as it likes. */
enum note { NOTE_DISK, NOTE_MEMORY, NOTE_IMPOSTOR, N_NOTES };

struct world {
	const struct host *host;
	struct childhurd *c;
	struct lane *files; /* its image, kernel, modules, secrets, disk */
	char *directory, *disk, *secrets, *offload_key, *console_log, *record_file;
	char *serial;		/* path of the socket of its serial line; NULL: none */
	char *coordinator_key;	/* what Guix reads instead of offload_key; NULL: offload_key */
	char *signing_key;	/* the text of its Guix's public key; NULL: unknown */
	char *failure, *screen; /* paths: failure.txt and failure.png */
	struct record last_record;
	struct config_guest *found; /* a taken-over QEMU was started with this; NULL: none */
	const struct config_guest
	    *next;	  /* a changed configuration that waits for a restart; NULL: none */
	char *kind_image; /* the image that kind is of; NULL: none is known */
	struct image_kind kind;
	/* a start under way */
	struct kind_job *kind_job;  /* finds it out */
	struct lane_job *place;	    /* a check of what a start needs */
	struct keys *keys;	    /* defined in world_keys.c */
	struct lane_job *keys_work; /* work on them, in either lane */
	struct disk_job *disk_job;
	struct disk_job *spare_job; /* makes the next start's disk, while this one's runs */
	gboolean preparing;	    /* all that a start needs was checked and found */
	gboolean have_acceleration, have_keys, have_disk;
	char *emulator;
	gboolean kvm;
	/* what a start has made */
	GBytes *message; /* the secrets in the form in which `inject' delivers them; NULL: none are,
			    or they must be read again */
	struct lane_job *reading; /* reads message */
	struct lane_job *discard; /* deletes the disk */
	char **host_keys;
	char **coordinators_made; /* marks of those whose keys these are; NULL: none */
	gboolean earlier_keys;	  /* ... and that are not on its disk */
	char **coordinators;	  /* ... that its QEMU, or the one before, was started with */
	/* QEMU */
	struct hypervisor_qemu qemu; /* uuid is the guest's, whether QEMU runs or not */
	struct hypervisor_call *call;
	ev_io exit_watch; /* on the pidfd */
	ev_timer exit_timer;
	gboolean gone;	   /* the process has ended */
	gboolean reported; /* libvirt has reported the end */
	gboolean reset_asked, power_off_asked;
	gboolean pictured; /* there is a picture of its screen from before its end */
	gboolean failed;   /* it has a failure.txt, unless that cannot be written */
	ev_timer screen_limit;
	struct hypervisor_call *pause_call; /* asks whether the guest runs, or resumes it */
	gboolean look_again;		    /* something has changed during that call */
	gint64 goes_on_since; /* monotonic ms; it was paused and runs again, perhaps not for long */
	enum hypervisor_running pause;
	ev_timer pause_timer; /* the next try */
	char *exit_text;
	/* its guest */
	struct console *console;
	char *complaint; /* its console's last line about disk or memory in this boot; NULL: none */
	struct enroll *enroll;
	struct health *health;
	struct vitals vitals;
	gint64 spoke;	     /* monotonic ms of the console's last output */
	struct slots *slots; /* kept from builds, or guarded; NULL: no slots */
	gboolean held;	     /* no build may begin: kept from builds */
	gboolean boots_kvm;  /* the stored boots ran with KVM */
	ev_timer deadline;
	struct use use; /* while use_poll runs */
	ev_timer use_poll;
	gint64 asked;		/* monotonic ms: for its sessions last */
	gint64 used;		/* ... when it had a build or a session last; 0: never */
	struct warm_life *warm; /* defined in world_warm.c */
	gboolean stirred;	/* health has yet to begin to probe */
	struct door *door;	/* its port while it is asleep; NULL: it never was */
	ev_timer no_port;	/* reports that the port cannot be had */
	struct flood notes[N_NOTES];
	ev_timer notes_end; /* ends a period in which notes were held back */
};

static inline struct world *
world_from(struct childhurd *c)
{
	return c->world;
}

static inline const struct config_guest *
guest_of(const struct world *r)
{
	return r->c->config;
}

/* The folder of the administrator's extra secrets for it. Caller frees. */
static inline char *
extra_of(const struct world *r)
{
	return g_build_filename(r->host->config->secrets_directory, guest_of(r)->name, NULL);
}

/* Monotonic ms. */
static inline gint64
monotonic_now(void)
{
	return g_get_monotonic_time() / 1000;
}

/* See struct host_ops. */
static inline void
tell_hird(struct world *r, gboolean state_changed, const char *text)
{
	r->host->ops->event(r->host->hird, r->c, state_changed, text);
}

/* The start failed. Did the guest's own things (image, configuration, port) fail, or does the host
 * lack something at the moment? */
static inline void
start_failed(struct world *r, const char *text)
{
	childhurd_event(r->c, lack_says(text) ? EVENT_START_LACKED : EVENT_START_FAILED, text);
}

/* The start failed because a file did not answer. That is no failure of the guest. */
static inline void
start_late(struct world *r, const char *text)
{
	childhurd_event(r->c, EVENT_START_LACKED, text);
}

/* world_notes.c: log and report it, unless the guest has caused too many notes of this kind
 * lately. */
void world_note(struct world *r, enum note note, const char *text);
void world_notes_init(struct world *r);
/* Stop the timers. */
void world_notes_clear(struct world *r);

/* world_prepare.c: EVENT_PREPARED or EVENT_START_FAILED follows. */
void world_prepare(struct childhurd *c);
void world_prepare_abandon(struct world *r);
/* What QEMU starts from is there: a disk, or a warm state in it; or it needs none. */
void world_disk_ready(struct world *r);

/* world_disk.c: world_disk_ready or EVENT_START_FAILED follows. */
void world_make_disk(struct world *r);
/* After a start, for the next one. */
void world_make_spare(struct world *r);
/* The call of struct world_ops. */
void world_discard(struct childhurd *c);
/* The keys are there, for a start or earlier. */
void world_keys_made(struct world *r);

/* world_kind.c: the guest with what its image is known to be. The caller unrefs. */
const struct config_guest *world_settle(const struct world *r, const struct config_guest *guest);
/* Find out what its image is, settle its configuration, and call then, at once or later; or
 * EVENT_START_LACKED follows. */
void world_kind_find(struct world *r, void (*then)(struct world *r));
void world_kind_abandon(struct world *r);
void world_kind_recall(struct world *r);
void world_kind_clear(struct world *r);
void world_kind_forget(const struct world *r); /* its note is not written any more */

/* world_keys.c: make keys and secret root, and set host_keys, coordinator_key and message. */
void world_make_keys(struct world *r);
void world_keys_abandon(struct world *r);
/* Set host_keys and coordinator_key from what an earlier start made, if anything. */
void world_know_keys(struct world *r);
/* Call then, at once or later: if secrets are delivered and message is NULL, read them first. */
void world_with_secrets(struct world *r, void (*then)(struct world *r));

/* world_builds.c: the calls of struct world_ops. */
int world_builds(struct childhurd *c);
int world_hold(struct childhurd *c);
void world_release(struct childhurd *c);
/* What recycle-after looks at: builds, in slots that no other build can have when they end, until
 * they are counted and world_guarded is called. */
void world_guard(struct world *r, struct use_look *look);
void world_guarded(struct world *r, const struct use_look *look);

/* world_use.c: its state or its configuration changed; are its builds and its rest of interest? */
void world_mind_use(struct world *r);
gint64 world_used(struct childhurd *c); /* of struct world_ops */
/* Is it looked at with world_guard? */
gboolean world_guards(const struct world *r);
void world_use_init(struct world *r);
void world_use_clear(struct world *r);

/* world_warm.c: the calls of struct world_ops. */
enum warm world_warm(struct childhurd *c);
void world_launch(struct childhurd *c);
void world_save(struct childhurd *c);
void world_restore(struct childhurd *c);
void world_stir(struct childhurd *c);
void world_forget_warm(struct childhurd *c);
/* Keys and acceleration are there: is there a state that fits? world_disk_ready
 * follows, or EVENT_UNFIT and the making of a disk. */
void world_warm_find(struct world *r);
/* A new disk was made, without a state. */
void world_warm_gone(struct world *r);
/* The name of the state that QEMU starts from; NULL: it boots. Borrowed. */
const char *world_warm_load(const struct world *r);
/* FALSE: the keys were not made for a restore. */
gboolean world_warm_keys_made(struct world *r);
/* The clock is set and the random state is new: open its port. EVENT_STIRRED follows. */
void world_warm_stirred(struct world *r);
/* The earlier daemon was saving the state of the QEMU that was found. */
void world_warm_may_stand(struct world *r);
/* Give up what is under way, but not the removal of a state. */
void world_warm_abandon(struct world *r);
void world_warm_init(struct world *r);
void world_warm_clear(struct world *r);

/* world_port.c: the calls of struct world_ops. */
void world_take_port(struct childhurd *c);
void world_leave_port(struct childhurd *c);
int world_callers(struct childhurd *c);
int world_pass_on(struct childhurd *c);
void world_turn_away(struct childhurd *c);
void world_port_init(struct world *r);
void world_port_clear(struct world *r);

/* world.c: the session for its probes, anew. */
void world_health_begin(struct world *r);

/* world_qemu.c: the domain that a start would run, or that runs. Borrows from the world. */
struct domain_spec world_domain(const struct world *r);
/* Start QEMU. EVENT_LAUNCHED or EVENT_START_FAILED follows. */
void world_launch_now(struct world *r);
/* The calls of struct world_ops. */
void world_power_button(struct childhurd *c);
void world_kill(struct childhurd *c);
/* Follow the console's log from its present end. */
void world_console_start(struct world *r);
/* Watch the end and the signs of life of a QEMU that runs. id: libvirt's. pid 0: unknown. */
void world_watch_qemu(struct world *r, int id, pid_t pid);
/* Find out whether QEMU has paused its guest: EVENT_PAUSED, EVENT_RESUMED, EVENT_BROKEN, or no
 * event. */
void world_look_at_pause(struct world *r);
/* The answer to that: a hypervisor_fn; data is the world. */
void world_pause_known(const struct hypervisor_result *result, void *data);
void world_qemu_init(struct world *r);
/* Stop all watching. A QEMU that runs goes on. */
void world_qemu_clear(struct world *r);

#endif
