/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of a world share: its preparation of a start, its QEMU, and all the rest. */
#ifndef CHILDHURDD_WORLD_WORLD_INTERNAL_H
#define CHILDHURDD_WORLD_WORLD_INTERNAL_H

#include "childhurdd/system/flood.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/world/vitals.h"
#include "childhurdd/world/world.h"
#include "config/base/lack.h"

/* ms that a file of a guest may take to answer, and one of Guix's, which it can do without. */
#define FILES_LIMIT 30000
#define GUIX_LIMIT  10000

/* What a guest can have said of it as often as it likes. */
enum note { NOTE_DISK, NOTE_MEMORY, NOTE_IMPOSTOR, N_NOTES };

struct world {
	const struct host *host;
	struct childhurd *c;
	struct lane *files; /* its image, kernel, modules, secrets, disk */
	char *directory, *disk, *secrets, *offload_key, *console_log, *record_file;
	char *serial;		/* path of the console's socket; NULL: there is none */
	char *coordinator_key;	/* what Guix reads in place of offload_key; NULL: that one */
	char *failure, *screen; /* paths of what is kept of the last failure */
	struct record last_record;
	struct config_guest *found; /* what a QEMU that was taken over was started with, or NULL */
	const struct config_guest
	    *next; /* a changed configuration that waits for a restart; NULL: none */
	/* a start under way */
	struct lane_job *place;	    /* a look at what is in the way */
	struct keys *keys;	    /* world_keys.c */
	struct lane_job *keys_work; /* a piece of work for them, in either lane */
	struct disk_job *disk_job;
	gboolean preparing; /* what is in the way has been looked at, and nothing was */
	gboolean have_acceleration, have_keys, have_disk;
	char *emulator;
	gboolean kvm;
	/* what a start has made */
	GBytes *message; /* the secrets; NULL: none are delivered, or they have to be read again */
	struct lane_job *reading; /* of them */
	struct lane_job *discard; /* of the disk */
	char **host_keys;
	/* QEMU */
	struct hypervisor_qemu qemu; /* uuid: the guest's, whether one runs or not */
	struct hypervisor_call *call;
	ev_io exit_watch; /* on the pidfd */
	ev_timer exit_timer;
	gboolean gone;	   /* the process has ended */
	gboolean reported; /* libvirt has said so */
	gboolean reset_asked, power_off_asked;
	gboolean pictured; /* its screen was kept before it was ended */
	gboolean failed;   /* there is a failure.txt, unless it cannot be written */
	ev_timer screen_limit;
	struct hypervisor_call *pause_call; /* a look at whether it runs, or a try to let it */
	gboolean look_again;		    /* something has changed meanwhile */
	gboolean goes_on;		    /* it was paused, and runs: for how long? */
	enum hypervisor_running pause;
	ev_timer pause_timer; /* the next try */
	char *exit_text;
	/* its guest */
	struct console *console;
	char *
	    complaint; /* what its console has last said of its disk or memory in this boot; NULL */
	struct enroll *enroll;
	struct health *health;
	struct vitals vitals;
	gint64 spoke;	     /* monotonic ms of the console's last output */
	struct slots *slots; /* kept from builds; NULL: none */
	gboolean boots_kvm;  /* the boots that are known ran with KVM */
	ev_timer deadline;
	struct flood notes[N_NOTES];
	ev_timer notes_end; /* of a period in which some were held back */
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

/* Is it the guest's image, its configuration, its port? Or does the host lack something just now?
 */
static inline void
start_failed(struct world *r, const char *text)
{
	childhurd_event(r->c, lack_says(text) ? EVENT_START_LACKED : EVENT_START_FAILED, text);
}

/* A file did not answer: whether the start is good is not known. */
static inline void
start_late(struct world *r, const char *text)
{
	childhurd_event(r->c, EVENT_START_LACKED, text);
}

/* world_notes.c: log and tell it, unless the guest had so much of this kind told lately. */
void world_note(struct world *r, enum note note, const char *text);
void world_notes_init(struct world *r);
/* No timer runs any more. */
void world_notes_clear(struct world *r);

/* world_prepare.c: EVENT_PREPARED or EVENT_START_FAILED follows. */
void world_prepare(struct childhurd *c);
void world_prepare_abandon(struct world *r);
/* Keys are there, for a start or before it. */
void world_keys_made(struct world *r);

/* world_keys.c: make keys and secret root; sets host_keys, coordinator_key and message. */
void world_make_keys(struct world *r);
void world_keys_abandon(struct world *r);
/* What an earlier start has made: sets host_keys and coordinator_key, if there are any. */
void world_know_keys(struct world *r);
/* Where secrets are delivered and message is not there, read them; then, at once or later. */
void world_with_secrets(struct world *r, void (*then)(struct world *r));

/* world_builds.c: the calls of struct world_ops. */
int world_builds(struct childhurd *c);
int world_hold(struct childhurd *c);
void world_release(struct childhurd *c);

/* world_qemu.c: the calls of struct world_ops. */
void world_launch(struct childhurd *c);
void world_power_button(struct childhurd *c);
void world_kill(struct childhurd *c);
/* Read what is new in the console's log. */
void world_console_start(struct world *r);
/* Watch a QEMU that runs: its end, its signs of life. id: libvirt's; pid: 0 unknown. */
void world_watch_qemu(struct world *r, int id, pid_t pid);
/* Find out whether QEMU lets its guest run: EVENT_PAUSED, EVENT_RESUMED, EVENT_BROKEN, or nothing.
 */
void world_look_at_pause(struct world *r);
void world_qemu_init(struct world *r);
/* Watches nothing any more; a QEMU that runs goes on. */
void world_qemu_clear(struct world *r);

#endif
