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

/* --- disk and acceleration --- */

static void
prepared(struct world *r)
{
	if (r->have_acceleration && r->have_keys && r->have_disk)
		childhurd_event(r->c, EVENT_PREPARED, NULL);
}

static void
on_disk(struct disk_job *job, const char *format, const GError *error, void *data)
{
	struct world *r = data;
	gboolean late = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	g_autofree char *text = error ? g_strdup(error->message) : NULL;
	disk_job_free(r->disk_job);
	r->disk_job = NULL;
	if (late) {
		start_late(r, text);
		return;
	}
	if (text) {
		start_failed(r, text);
		return;
	}
	r->have_disk = TRUE;
	prepared(r);
}

static void
disk_start(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	if (!guest->image) {
		r->have_disk = TRUE;
		return;
	}
	struct disk_spec spec = {.image = guest->image,
				 .format = guest->image_format,
				 .overlay = r->disk,
				 .size = guest->disk_size,
				 .keep = guest->disk == CONFIG_DISK_PERSISTENT,
				 .user = r->host->qemu_user,
				 .lane = r->files};
	r->disk_job = disk_prepare(r->host->loop, &spec, on_disk, r);
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
	prepared(r);
}

/* The disk comes after the keys, so a guest with a bad image is published by its keys all the
 * same. */
void
world_keys_made(struct world *r)
{
	if (r->preparing)
		disk_start(r);
	prepared(r);
}

void
world_prepare_abandon(struct world *r)
{
	g_clear_pointer(&r->place, lane_forget);
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
	r->preparing = TRUE;
	world_make_keys(r);
	if (guest_of(r)->acceleration == CONFIG_ACCELERATION_TCG) {
		r->kvm = FALSE;
		r->have_acceleration = TRUE;
	} else {
		kvm_ask(r->host->acceleration, r->emulator, on_acceleration, r);
	}
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
	job->directory = g_strdup(r->directory);
	job->console_log = g_strdup(r->console_log);
	r->place = lane_run(r->files, FILES_LIMIT, place_work, place_done, place_free, job);
}
