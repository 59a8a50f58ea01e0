/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A start is prepared in parallel: acceleration, keys, disk. What is in the way and can be seen at
 * once is said first.
 */
#include "childhurdd/guest/host_keys.h"
#include "childhurdd/guest/signing_files.h"
#include "childhurdd/guest/world_internal.h"
#include "childhurdd/qemu/console.h"
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/folder.h"
#include "childhurdd/qemu/ports.h"
#include "offload/coordinator.h"
#include "offload/signing.h"
#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"

/* --- keys --- */

/* Keys and secret root are made in a worker: random numbers, disk, fsync. In the writer, so that
 * one that was given up has ended when the next one begins. */
struct keys_job {
	struct runner *runner; /* NULL: given up */
	struct task *task;
	struct secret_root_spec spec;
	char *name, *directory, *extra, *offload_key, *coordinator, *guix_state;
	char *guix;	  /* the host's /etc/guix; NULL: it is no coordinator */
	GPtrArray *notes; /* char *: for the log */
	char *users[3];
	enum config_inject inject;
	GBytes *message;
	char **host_keys;
	GError *error;
};

/* The files that a guest of a coordinator needs, and its key into the coordinator's list. An acl
 * that we may not write is the administrator's task: the guest is good all the same. */
static gboolean
exchange_signing_keys(struct keys_job *job)
{
	g_autoptr(GError) problem = NULL;
	gboolean added = FALSE;
	g_autofree char *public_key = guest_signing_make(&job->spec, job->guix, &job->error);
	gboolean good = public_key != NULL;
	if (good && !signing_authorize(job->guix, public_key, &added, &problem)) {
		good = g_error_matches(problem, SIGNING_ERROR, SIGNING_ERROR_WRITE);
		if (good)
			g_ptr_array_add(
			    job->notes,
			    g_strdup_printf("%s; until its key is there, what it has built is not "
					    "taken: guix archive --authorize "
					    "<%s/" GUEST_SIGNING_FOLDER "/signing-key.pub",
					    problem->message, job->directory));
		else
			job->error = g_steal_pointer(&problem);
	}
	if (added)
		g_ptr_array_add(job->notes,
				g_strdup_printf("its signing key is in %s/acl now", job->guix));
	return good;
}

static void
keys_work(void *data)
{
	struct keys_job *job = data;
	if (!secret_root_ensure(&job->spec, &job->error))
		return;
	if (job->guix && signing_possible(job->guix) && !exchange_signing_keys(job))
		return;
	if (!coordinator_grant(job->coordinator, job->guix_state, job->offload_key, &job->error))
		return;
	job->host_keys = guest_host_keys(job->inject, job->extra, job->directory, &job->error);
	if (!job->host_keys || job->inject != CONFIG_INJECT_SECRET_SERVICE)
		return;
	GPtrArray *files = secret_root_read(job->directory, &job->error);
	if (!files)
		return;
	job->message = secret_service_message(files, &job->error);
	g_ptr_array_unref(files);
}

static void prepared(struct runner *r);

static void
keys_done(void *data)
{
	struct keys_job *job = data;
	struct runner *r = job->runner;
	r->keys = NULL;
	for (guint i = 0; i < job->notes->len; i++)
		tell_hird(r, FALSE, g_ptr_array_index(job->notes, i));
	if (job->error) {
		start_failed(r, job->error->message);
		return;
	}
	g_clear_pointer(&r->message, g_bytes_unref);
	g_strfreev(r->host_keys);
	r->message = g_steal_pointer(&job->message);
	r->host_keys = g_steal_pointer(&job->host_keys);
	r->have_keys = TRUE;
	g_free(r->coordinator_key);
	r->coordinator_key = coordinator_key(r->offload_key);
	r->host->ops->publish(r->host->hird); /* from now on it can be told of */
	prepared(r);
}

static void
keys_free(void *data)
{
	struct keys_job *job = data;
	g_free(job->name);
	g_free(job->directory);
	g_free(job->extra);
	g_free(job->offload_key);
	g_free(job->coordinator);
	g_free(job->guix_state);
	g_free(job->guix);
	g_ptr_array_unref(job->notes);
	for (guint i = 0; i < G_N_ELEMENTS(job->users); i++)
		g_free(job->users[i]);
	g_clear_pointer(&job->message, g_bytes_unref);
	g_strfreev(job->host_keys);
	g_clear_error(&job->error);
	g_free(job);
}

void
runner_make_keys(struct runner *r)
{
	const struct config_guest *guest = guest_of(r);
	struct keys_job *job = g_new0(struct keys_job, 1);
	job->runner = r;
	job->name = g_strdup(guest->name);
	job->directory = g_strdup(r->secrets);
	job->extra = g_build_filename(r->host->config->secrets_directory, guest->name, NULL);
	job->offload_key = g_strdup(r->offload_key);
	job->coordinator = g_strdup(r->host->config->coordinator_user);
	job->guix_state = g_strdup(r->host->config->guix_state_directory);
	job->users[0] = g_strdup(guest->admin_user);
	if (strcmp(guest->user, guest->admin_user) && guest->offloading)
		job->users[1] = g_strdup(guest->user);
	gboolean deliver = guest->inject == CONFIG_INJECT_SECRET_SERVICE;
	job->inject = guest->inject;
	job->notes = g_ptr_array_new_with_free_func(g_free);
	if (deliver && guest->offloading)
		job->guix = g_strdup(r->host->config->guix_configuration_directory);
	job->spec = (struct secret_root_spec){.name = job->name,
					      .directory = job->directory,
					      .extra = deliver ? job->extra : NULL,
					      .offload_key = job->offload_key,
					      .users = (const char *const *)job->users};
	r->keys = job;
	job->task = task_run(r->host->writer, keys_work, keys_done, keys_free, job);
}

/* --- disk, acceleration, and all of it --- */

static void
on_disk(struct disk_job *job, const char *format, const GError *error, void *data)
{
	struct runner *r = data;
	g_autofree char *text = error ? g_strdup(error->message) : NULL;
	disk_job_free(r->disk_job);
	r->disk_job = NULL;
	if (text) {
		start_failed(r, text);
		return;
	}
	r->have_disk = TRUE;
	prepared(r);
}

static void
disk_start(struct runner *r)
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
				 .tasks = r->host->tasks};
	r->disk_job = disk_prepare(r->host->loop, &spec, on_disk, r);
}

static void
on_acceleration(gboolean usable, const char *why, void *data)
{
	struct runner *r = data;
	if (!usable && lack_says(why)) { /* it is not known whether KVM is good */
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

static void
prepared(struct runner *r)
{
	if (r->have_acceleration && r->have_keys && r->have_disk)
		childhurd_event(r->c, EVENT_PREPARED, NULL);
}

void
runner_prepare_abandon(struct runner *r)
{
	if (r->keys)
		task_forget(r->keys->task);
	r->keys = NULL;
	disk_job_free(r->disk_job);
	r->disk_job = NULL;
	acceleration_forget(r->host->acceleration, r);
	r->have_acceleration = r->have_keys = r->have_disk = FALSE;
}

/* What can be said at once. NULL: nothing is in the way; else the caller frees it. */
static char *
obstacle(struct runner *r)
{
	const struct config_guest *guest = guest_of(r);
	g_autoptr(GError) error = NULL;
	g_free(r->emulator);
	r->emulator = g_find_program_in_path(guest->emulator);
	if (!r->emulator)
		return g_strdup_printf(
		    "emulator %s: not found; install qemu-system-x86, or set `emulator'",
		    guest->emulator);
	if (!guest_folder_make(r->directory, r->host->qemu_user, &error))
		return g_strdup(error->message);
	g_autoptr(GArray) ports = config_guest_ports(guest);
	for (guint i = 0; i < ports->len; i++) {
		const struct config_port *port = &g_array_index(ports, struct config_port, i);
		if (!port_is_free(port->address, port->port, &error))
			return g_strdup(error->message);
	}
	if (guest->kernel &&
	    !qemu_user_may_read(r->host->qemu_user, "kernel", guest->kernel, &error))
		return g_strdup(error->message);
	for (guint i = 0; i < guest->modules->len; i++) {
		const struct config_module *module = g_ptr_array_index(guest->modules, i);
		if (!qemu_user_may_read(r->host->qemu_user, "module", module->file, &error))
			return g_strdup(error->message);
	}
	if (!console_rotate(r->console_log, &error))
		return g_strdup(error->message);
	return NULL;
}

static void obstacle_met(struct ev_loop *loop, ev_timer *w, int revents);

void
runner_prepare(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	runner_prepare_abandon(r);
	g_free(r->exit_text);
	r->exit_text = obstacle(r);
	if (r->exit_text) {
		ev_timer_init(&r->exit_timer, obstacle_met, 0, 0);
		r->exit_timer.data = r;
		ev_timer_start(r->host->loop, &r->exit_timer);
		return;
	}
	runner_make_keys(r);
	disk_start(r);
	if (guest_of(r)->acceleration == CONFIG_ACCELERATION_TCG) {
		r->kvm = FALSE;
		r->have_acceleration = TRUE;
	} else {
		acceleration_ask(r->host->acceleration, r->emulator, on_acceleration, r);
	}
}

static void
obstacle_met(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct runner *r = w->data;
	g_autofree char *text = g_steal_pointer(&r->exit_text);
	start_failed(r, text);
}
