/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The preparation of a start: first a check of what it needs of the host's files, then the keys,
 * then the disk; meanwhile a probe of KVM. Files are touched in the guest's lane, those of Guix in
 * the lane that all guests share.
 */
#include <gio/gio.h>

#include "childhurdd/qemu/console.h"
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/folder.h"
#include "childhurdd/qemu/ports.h"
#include "childhurdd/world/world_internal.h"

static void
prepared(struct world *r)
{
	if (r->have_acceleration && r->have_keys && r->have_disk)
		childhurd_event(r->c, EVENT_PREPARED, NULL);
}

static void
on_acceleration(gboolean usable, const char *why, void *data)
{
	struct world *r = data;
	if (!usable && lack_says(why)) { /* whether KVM works is not known */
		start_failed(r, why);
		return;
	}
	if (!usable && guest_of(r)->acceleration == CONFIG_ACCELERATION_KVM) {
		g_autofree char *text =
		    g_strdup_printf("acceleration = kvm, but %s; use tcg or auto", why);
		start_failed(r, text);
		return;
	}
	r->kvm = usable;
	r->have_acceleration = TRUE;
	if (r->c->warm && r->have_keys)
		world_warm_find(r);
	prepared(r);
}

/* The disk comes after the keys, so a guest with a bad image is published by its keys all the
 * same. Whether its warm state fits depends on both keys and acceleration. */
void
world_keys_made(struct world *r)
{
	if (world_warm_keys_made(r))
		return;
	if (r->preparing && !r->c->warm)
		world_make_disk(r);
	else if (r->preparing && r->have_acceleration)
		world_warm_find(r);
	if (!r->preparing) /* they were made to be published; a start makes them again */
		g_clear_pointer(&r->message, g_bytes_unref);
}

void
world_disk_ready(struct world *r)
{
	r->have_disk = TRUE;
	prepared(r);
}

void
world_prepare_abandon(struct world *r)
{
	g_clear_pointer(&r->place, lane_forget);
	world_kind_abandon(r);
	world_keys_abandon(r);
	disk_job_free(r->disk_job);
	r->disk_job = NULL;
	kvm_forget(r->host->acceleration, r);
	r->preparing = r->have_acceleration = r->have_keys = r->have_disk = FALSE;
}

/* --- what a start needs of the host --- */

/* What a start needs of the host's files, beside keys and disk. */
struct place_job {
	struct world *world;
	const struct config_guest *guest;
	const struct qemu_user *user;
	gboolean has_port; /* the daemon listens at its SSH port */
	char *directory, *console_log;
	char *emulator;
	GError *error;
};

static gboolean
find_emulator(struct place_job *job)
{
	lane_touch("emulator", job->guest->emulator);
	job->emulator = g_find_program_in_path(job->guest->emulator);
	if (!job->emulator)
		g_set_error(&job->error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "emulator %s: not found; install qemu-system-x86, or set `emulator'",
			    job->guest->emulator);
	return job->emulator != NULL;
}

static gboolean
make_place(struct place_job *job)
{
	lane_touch("folder", job->directory);
	if (!guest_folder_make(job->directory, job->user, &job->error))
		return FALSE;
	lane_touch("console log", job->console_log);
	return console_rotate(job->console_log, &job->error);
}

static gboolean
find_ports(struct place_job *job)
{
	g_autoptr(GArray) ports = config_guest_ports(job->guest);
	for (guint i = 0; i < ports->len; i++) {
		const struct config_port *port = &g_array_index(ports, struct config_port, i);
		if (job->has_port && port->port == job->guest->ssh_port)
			continue; /* the daemon has it until QEMU is started */
		if (!port_is_free(port->address, port->port, &job->error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
can_read(struct place_job *job, const char *what, const char *file)
{
	lane_touch(what, file);
	return qemu_user_may_read(job->user, what, file, &job->error);
}

static gboolean
find_kernel(struct place_job *job)
{
	const struct config_guest *guest = job->guest;
	if (guest->kernel && !can_read(job, "kernel", guest->kernel))
		return FALSE;
	for (guint i = 0; i < guest->modules->len; i++) {
		const struct config_module *module = g_ptr_array_index(guest->modules, i);
		if (!can_read(job, "module", module->file))
			return FALSE;
	}
	return TRUE;
}

static void
place_work(void *data)
{
	struct place_job *job = data;
	if (find_emulator(job) && find_ports(job) && find_kernel(job) && !lane_given_up())
		make_place(job);
}

static void
place_free(void *data)
{
	struct place_job *job = data;
	config_guest_unref(job->guest);
	g_free(job->directory);
	g_free(job->console_log);
	g_free(job->emulator);
	g_clear_error(&job->error);
	g_free(job);
}

/* FALSE: the start has failed. */
static gboolean
fits(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	const char *key;
	g_autofree char *what = config_guest_misfit(guest, &key);
	g_autofree char *text = what ? g_strdup_printf("%s:%d: [guest %s] %s: %s", guest->file,
						       guest->line, guest->template, key, what)
				     : NULL;
	if (text)
		start_failed(r, text);
	return !text;
}

/* What the guest is decides about its keys and its acceleration. */
static void
kind_found(struct world *r)
{
	if (!fits(r))
		return;
	r->preparing = TRUE;
	world_make_keys(r);
	if (guest_of(r)->acceleration == CONFIG_ACCELERATION_TCG) {
		r->kvm = FALSE;
		r->have_acceleration = TRUE;
	} else {
		kvm_ask(r->host->acceleration,
			config_guest_is_64(guest_of(r)) ? KVM_GUEST_64 : KVM_GUEST_32, r->emulator,
			on_acceleration, r);
	}
}

static void
place_done(void *data, const GError *late)
{
	struct place_job *job = data;
	struct world *r = job->world;
	r->place = NULL;
	if (late) {
		start_late(r, late->message);
		return;
	}
	if (job->error) {
		start_failed(r, job->error->message);
		return;
	}
	g_free(r->emulator);
	r->emulator = g_steal_pointer(&job->emulator);
	world_kind_find(r, kind_found);
}

void
world_prepare(struct childhurd *c)
{
	struct world *r = world_from(c);
	world_prepare_abandon(r);
	struct place_job *job = g_new0(struct place_job, 1);
	job->world = r;
	job->guest = config_guest_ref(guest_of(r));
	job->user = r->host->qemu_user;
	job->has_port = c->has_port;
	job->directory = g_strdup(r->directory);
	job->console_log = g_strdup(r->console_log);
	r->place = lane_run(r->files, FILES_LIMIT, place_work, place_done, place_free, job);
}
