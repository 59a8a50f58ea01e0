/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real world of one childhurd: its files, its QEMU, its secrets and its SSH session. The other
 * side of struct world_ops.
 */
#ifndef CHILDHURDD_GUEST_WORLD_H
#define CHILDHURDD_GUEST_WORLD_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/childhurd.h"
#include "childhurdd/guest/health.h"
#include "childhurdd/guest/record.h"
#include "childhurdd/qemu/hypervisor.h"
#include "childhurdd/qemu/kvm.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/system/writer.h"

#define PAUSE_RETRY 5000 /* ms between two tries to let a guest go on that QEMU paused */
#define PAUSE_CONFIRM                                                                              \
	2000 /* ms that it has to have gone on for: what it was paused for may come again */
#define EXIT_FALLBACK 2000 /* ms that libvirt may take to say why a QEMU ended that is gone */

struct runner;

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
	struct acceleration *acceleration;
	const struct config *config;
	struct qemu_user *qemu_user; /* whom QEMU runs as */
	const struct host_ops *ops;
	void *hird; /* for ops */
};

/*
 * A runner and its childhurd, in state stopped. guest is borrowed and outlives it. The record of an
 * earlier daemon is read: what people wanted then holds.
 */
struct runner *runner_new(const struct host *host, const struct config_guest *guest);
/* Lets go of everything; a QEMU that runs goes on. */
void runner_free(struct runner *runner);

struct childhurd *runner_childhurd(const struct runner *runner);
struct runner *runner_of(const struct childhurd *c);

/* A QEMU of this guest that runs since before this daemon, and its process is known. It goes on as
 * it was configured when it was started; what has changed since then is applied as after a reload.
 */
void runner_take_over(struct runner *runner, const struct hypervisor_qemu *qemu);
/* A runner for a guest that is not configured any more and has such a QEMU, as its record has it;
 * NULL: the record does not say. */
struct runner *runner_adopt(const struct host *host, const char *name);
/* What the hypervisor reports of the QEMU id of this guest, the present one or another. */
void runner_domain_event(struct runner *runner, enum hypervisor_event event, int id,
			 const char *detail);
/* Keep what the next daemon has to know: written to runner_record_file, in its time. */
void runner_record(struct runner *runner);
const char *runner_record_file(const struct runner *runner);
/* Its files that cannot be written, and why, NULL-terminated; NULL: none. Caller frees with
 * g_strfreev. */
char **runner_unwritten(const struct runner *runner);
/* It is gone for good: what is not written of it is no longer wanted. */
void runner_forget(const struct runner *runner);
/* What was read of the earlier daemon's record. */
const struct record *runner_last_record(const struct runner *runner);

/*
 * The configuration was read again. What can change while QEMU runs changes at once; for the rest a
 * running guest is restarted when no build runs. Returns the keys that differ, NULL-terminated;
 * caller frees with g_strfreev.
 */
char **runner_configure(struct runner *runner, const struct config_guest *guest);
/* Take what needed a restart; called when a start begins. */
void runner_apply(struct runner *runner);
/* The keys that wait for a restart, NULL: none; caller frees with g_strfreev. */
char **runner_restart_needed(const struct runner *runner);

/* What the console has said that tells why the guest, which does not answer, may not; with what to
 * do. NULL: nothing. Caller frees. */
char *runner_complaint(const struct runner *r);
const char *runner_console_log(const struct runner *runner);
/* What was kept of the last failure, NULL: nothing; caller frees. */
char *runner_failure(const struct runner *runner);
const char *runner_private_key(const struct runner *runner);
const char *runner_coordinator_key(const struct runner *runner); /* NULL: the same */
/* The file that does not answer, and that its start or its end waits for (lane_waits_for); NULL:
 * none. Caller frees. */
char *runner_waits_for(const struct runner *runner);
/* "TYPE BASE64" lines; NULL before the first preparation. Owned by the runner. */
char **runner_host_keys(const struct runner *runner);
/* Its QEMU; with id 0 there is none, but its UUID is known. */
const struct hypervisor_qemu *runner_qemu(const struct runner *runner);
gint64 runner_memory(const struct runner *runner); /* bytes that QEMU has taken; 0: gone, unknown */
const char *runner_acceleration(const struct runner *runner); /* NULL: does not run */
/* The last console lines; caller frees with g_strfreev. */
char **runner_console_tail(const struct runner *runner, guint lines);
/* A connection to its serial line, which the caller closes; -1 and an error that says why not. */
int runner_console_connect(const struct runner *runner, GError **error);
/* NULL while nothing is probed. */
const struct health_report *runner_health(const struct runner *runner);

#endif
