/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the world*.c share. */
#ifndef CHILDHURDD_WORLD_WORLD_INTERNAL_H
#define CHILDHURDD_WORLD_WORLD_INTERNAL_H

#include "childhurdd/system/flood.h"
#include "childhurdd/system/lane.h"
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
	char *failure, *screen; /* paths: failure.txt and failure.png */
	struct record last_record;
	struct config_guest *found; /* a taken-over QEMU was started with this; NULL: none */
	const struct config_guest
	    *next; /* a changed configuration that waits for a restart; NULL: none */
	/* a start under way */
	struct lane_job *place;	    /* a check of what a start needs */
	struct keys *keys;	    /* defined in world_keys.c */
	struct lane_job *keys_work; /* work on them, in either lane */
	struct disk_job *disk_job;
	gboolean preparing; /* all that a start needs was checked and found */
	gboolean have_acceleration, have_keys, have_disk;
	char *emulator;
	gboolean kvm;
	/* what a start has made */
	GBytes *message; /* the secrets; NULL: none are delivered, or they must be read again */
	struct lane_job *reading; /* reads message */
	struct lane_job *discard; /* deletes the disk */
	char **host_keys;
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
	gboolean goes_on;		    /* it was paused and runs again, perhaps not for long */
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
	struct slots *slots; /* kept from builds; NULL: no slots */
	gboolean boots_kvm;  /* the stored boots ran with KVM */
	ev_timer deadline;
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
/* The keys are there, for a start or earlier. */
void world_keys_made(struct world *r);

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

/* world_qemu.c: the calls of struct world_ops. */
void world_launch(struct childhurd *c);
void world_power_button(struct childhurd *c);
void world_kill(struct childhurd *c);
/* Follow the console's log from its present end. */
void world_console_start(struct world *r);
/* Watch the end and the signs of life of a QEMU that runs. id: libvirt's. pid 0: unknown. */
void world_watch_qemu(struct world *r, int id, pid_t pid);
/* Find out whether QEMU has paused its guest: EVENT_PAUSED, EVENT_RESUMED, EVENT_BROKEN, or no
 * event. */
void world_look_at_pause(struct world *r);
void world_qemu_init(struct world *r);
/* Stop all watching. A QEMU that runs goes on. */
void world_qemu_clear(struct world *r);

#endif
