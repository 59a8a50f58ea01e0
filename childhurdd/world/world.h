/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real world of one childhurd: its files, its QEMU, its secrets and its SSH session. It
 * implements struct world_ops.
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
#include "childhurdd/world/use.h"

#define WORLD_RECORD "state" /* the file of what the next daemon has to know of a guest */

#define PAUSE_RETRY 5000 /* ms between two tries to resume a guest that QEMU has paused */
#define PAUSE_CONFIRM                                                                              \
	2000 /* ms that a resumed guest has to run: the cause of its pause may come again */
#define EXIT_FALLBACK 2000 /* ms that libvirt may take to report why a QEMU ended */

struct world;

/* What a guest's world asks of the hird. hird is passed back. All functions return at once, and
 * none calls back before it returns. */
struct host_ops {
	/* Log it and, if the state changed, publish it. Clients hear of it once that is done. text
	 * may be NULL. */
	void (*event)(void *hird, struct childhurd *c, gboolean state_changed, const char *text);
	/* Publish what coordinators read, where it differs from what is published. */
	void (*publish)(void *hird);
	/* Wait for a place among the parallel starts, and give it up (starts_queue,
	 * starts_leave). */
	void (*queue)(void *hird, struct childhurd *c);
	void (*leave)(void *hird, struct childhurd *c);
	/* Have coordinators elsewhere keep builds out of the guest. Returns how many they have in
	 * it, or are assumed to have; after 0 none of theirs can begin. And let them in again. */
	int (*hold)(void *hird, const struct config_guest *guest);
	void (*release)(void *hird, const char *guest);
	/* The command of a probe took so many seconds. */
	void (*probed)(void *hird, const struct childhurd *c, double seconds);
	/* It failed, as state and why say. picture: path of its screen before its end; NULL: there
	 * is none. An event follows. */
	void (*failed)(void *hird, struct childhurd *c, const char *picture);
};

/* What all worlds share; owned by the hird. */
struct host {
	struct ev_loop *loop;
	struct tasks *tasks;   /* workers for what blocks */
	struct writer *writer; /* records and failure.txt */
	struct tasks *files;   /* a worker for each lane */
	struct lane *guix;     /* Guix's files, which guests share */
	struct hypervisor *hypervisor;
	struct kvm *acceleration;
	const struct config *config;
	struct qemu_user *qemu_user; /* the user that QEMU runs as */
	const struct host_ops *ops;
	void *hird; /* for ops */
};

/*
 * Create a world and its childhurd, in state stopped. guest is borrowed and outlives it. The record
 * of the earlier daemon is read, and its wishes are restored.
 */
struct world *world_new(const struct host *host, const struct config_guest *guest);
/* Free everything. A QEMU that runs goes on. */
void world_free(struct world *world);

struct childhurd *world_childhurd(const struct world *world);
struct world *world_of(const struct childhurd *c);

/* Go on with a QEMU of this guest that an earlier daemon started, and whose process is known. At
 * first the configuration that it was started with holds; later changes are applied as after a
 * reload. */
void world_take_over(struct world *world, const struct hypervisor_qemu *qemu);
/* Create a world for such a QEMU whose guest is no longer configured, from the guest's record.
 * NULL: the record does not have its configuration. */
struct world *world_adopt(const struct host *host, const char *name);
/* Handle what the hypervisor reports about a QEMU of this guest, the present one or another. id:
 * libvirt's. */
void world_domain_event(struct world *world, enum hypervisor_event event, int id,
			const char *detail);
/* Store what the next daemon has to know in world_record_file. The writer writes it later. */
void world_record(struct world *world);
const char *world_record_file(const struct world *world);
/* Its files that cannot be written, each with the reason, NULL-terminated; NULL: none. Caller frees
 * with g_strfreev. */
char **world_unwritten(const struct world *world);
/* The guest is gone for good: drop its unwritten files. */
void world_forget(const struct world *world);
/* The record of the earlier daemon. */
const struct record *world_last_record(const struct world *world);

/*
 * Apply another configuration. What can change while QEMU runs changes at once; for the rest a
 * running guest is restarted once no build runs. Returns the keys that differ, NULL-terminated;
 * caller frees with g_strfreev.
 */
char **world_configure(struct world *world, const struct config_guest *guest);
/* The keys that differ, as world_configure would return them, without applying them. *restart: a
 * guest that runs would be restarted for them. */
char **world_differences(const struct world *world, const struct config_guest *guest,
			 gboolean *restart);
/* Apply what waits for a restart. Called when a start begins. */
void world_apply(struct world *world);
/* The keys that wait for a restart; NULL: none. Caller frees with g_strfreev. */
char **world_restart_needed(const struct world *world);
/* The names of the coordinators elsewhere whose keys are others in the guest, which runs, than in
 * the configuration; they change at its next start. Caller frees with g_strfreev. */
char **world_coordinators_wait(const struct world *world);

/* What the console shows about why the guest does not answer, with the cure. NULL: nothing. Caller
 * frees. */
char *world_complaint(const struct world *r);
const char *world_console_log(const struct world *world);
/* The path of failure.txt; NULL: it is not written. Caller frees. */
char *world_failure(const struct world *world);
const char *world_private_key(const struct world *world);
const char *world_coordinator_key(const struct world *world); /* NULL: the private key */
/* The text of the public key with which its Guix signs; NULL: it has none, or it is not known yet.
 * Owned by the world. */
const char *world_signing_key(const struct world *world);
/* The file that does not answer and that its start or end waits for (lane_waits_for); NULL: none.
 * Caller frees. */
char *world_waits_for(const struct world *world);
/* "TYPE BASE64" lines; NULL before the first preparation. Owned by the world. */
char **world_host_keys(const struct world *world);
/* Its QEMU. id 0: there is none, but the UUID is set. */
const struct hypervisor_qemu *world_qemu(const struct world *world);
gint64 world_memory(const struct world *world); /* bytes that QEMU has taken; 0: none, unknown */
/* Look at its builds: the slots here, and with sessions those of coordinators elsewhere, too, which
 * takes longer. Keeps nothing from builds. FALSE: unknown. */
gboolean world_see_builds(const struct world *world, gboolean sessions, struct use_look *look);
const char *world_acceleration(const struct world *world); /* NULL: QEMU does not run */
/* The last console lines; caller frees with g_strfreev. */
char **world_console_tail(const struct world *world, guint lines);
/* Connect to its serial line. The caller closes the descriptor. -1: the error has the reason. */
int world_console_connect(const struct world *world, GError **error);
/* When its warm state was saved, s since 1970; 0: it has none. */
gint64 world_warm_saved(const struct world *world);
/* NULL: it is not probed. */
const struct health_report *world_health(const struct world *world);

#endif
