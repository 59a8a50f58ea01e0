/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real world of one childhurd: its files, its QEMU, its secrets and its SSH session. The other
 * side of struct world_ops.
 */
#ifndef CHILDHURDD_WORLD_WORLD_H
#define CHILDHURDD_WORLD_WORLD_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/childhurd.h"
#include "childhurdd/qemu/hypervisor.h"
#include "childhurdd/qemu/kvm.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/system/writer.h"
#include "childhurdd/world/health.h"
#include "childhurdd/world/record.h"

#define PAUSE_RETRY 5000 /* ms between two tries to let a guest go on that QEMU paused */
#define PAUSE_CONFIRM                                                                              \
	2000 /* ms that it has to have gone on for: what it was paused for may come again */
#define EXIT_FALLBACK 2000 /* ms that libvirt may take to say why a QEMU ended that is gone */

struct world;

/* What a guest's world asks of the hird it belongs to; hird is passed back. All return at once, and
 * call nothing back. */
struct host_ops {
	/* Log it and, when the state changed, publish; clients hear of it when that is done. text
	 * may be NULL. */
	void (*event)(void *hird, struct childhurd *c, gboolean state_changed, const char *text);
	/* Publish what coordinators read, where it differs from what is there. */
	void (*publish)(void *hird);
	/* Wait for a place among the parallel starts, and give it up: starts_queue and
	 * starts_leave. */
	void (*queue)(void *hird, struct childhurd *c);
	void (*leave)(void *hird, struct childhurd *c);
	/* A probe's command took so many seconds. */
	void (*probed)(void *hird, double seconds);
};

/* What all worlds share; owned by the hird. */
struct host {
	struct ev_loop *loop;
	struct tasks *tasks;   /* workers for what blocks */
	struct writer *writer; /* records, and notes of failures */
	struct tasks *files;   /* a worker for each lane */
	struct lane *guix;     /* Guix's files, which guests share */
	struct hypervisor *hypervisor;
	struct kvm *acceleration;
	const struct config *config;
	struct qemu_user *qemu_user; /* whom QEMU runs as */
	const struct host_ops *ops;
	void *hird; /* for ops */
};

/*
 * A world and its childhurd, in state stopped. guest is borrowed and outlives it. The record of an
 * earlier daemon is read: what people wanted then holds.
 */
struct world *world_new(const struct host *host, const struct config_guest *guest);
/* Lets go of everything; a QEMU that runs goes on. */
void world_free(struct world *world);

struct childhurd *world_childhurd(const struct world *world);
struct world *world_of(const struct childhurd *c);

/* A QEMU of this guest that runs since before this daemon, and its process is known. It goes on as
 * it was configured when it was started; what has changed since then is applied as after a reload.
 */
void world_take_over(struct world *world, const struct hypervisor_qemu *qemu);
/* A world for a guest that is not configured any more and has such a QEMU, as its record has it;
 * NULL: the record does not say. */
struct world *world_adopt(const struct host *host, const char *name);
/* What the hypervisor reports of the QEMU id of this guest, the present one or another. */
void world_domain_event(struct world *world, enum hypervisor_event event, int id,
			const char *detail);
/* Keep what the next daemon has to know: written to world_record_file, in its time. */
void world_record(struct world *world);
const char *world_record_file(const struct world *world);
/* Its files that cannot be written, and why, NULL-terminated; NULL: none. Caller frees with
 * g_strfreev. */
char **world_unwritten(const struct world *world);
/* It is gone for good: what is not written of it is no longer wanted. */
void world_forget(const struct world *world);
/* What was read of the earlier daemon's record. */
const struct record *world_last_record(const struct world *world);

/*
 * The configuration was read again. What can change while QEMU runs changes at once; for the rest a
 * running guest is restarted when no build runs. Returns the keys that differ, NULL-terminated;
 * caller frees with g_strfreev.
 */
char **world_configure(struct world *world, const struct config_guest *guest);
/* Take what needed a restart; called when a start begins. */
void world_apply(struct world *world);
/* The keys that wait for a restart, NULL: none; caller frees with g_strfreev. */
char **world_restart_needed(const struct world *world);

/* What the console has said that tells why the guest, which does not answer, may not; with what to
 * do. NULL: nothing. Caller frees. */
char *world_complaint(const struct world *r);
const char *world_console_log(const struct world *world);
/* What was kept of the last failure, NULL: nothing; caller frees. */
char *world_failure(const struct world *world);
const char *world_private_key(const struct world *world);
const char *world_coordinator_key(const struct world *world); /* NULL: the same */
/* The file that does not answer, and that its start or its end waits for (lane_waits_for); NULL:
 * none. Caller frees. */
char *world_waits_for(const struct world *world);
/* "TYPE BASE64" lines; NULL before the first preparation. Owned by the world. */
char **world_host_keys(const struct world *world);
/* Its QEMU; with id 0 there is none, but its UUID is known. */
const struct hypervisor_qemu *world_qemu(const struct world *world);
gint64 world_memory(const struct world *world); /* bytes that QEMU has taken; 0: gone, unknown */
const char *world_acceleration(const struct world *world); /* NULL: does not run */
/* The last console lines; caller frees with g_strfreev. */
char **world_console_tail(const struct world *world, guint lines);
/* A connection to its serial line, which the caller closes; -1 and an error that says why not. */
int world_console_connect(const struct world *world, GError **error);
/* NULL while nothing is probed. */
const struct health_report *world_health(const struct world *world);

#endif
