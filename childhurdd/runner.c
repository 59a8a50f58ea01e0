/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everything that is asked of the world for one guest. A start is prepared in parallel
 * (acceleration, keys, disk), then QEMU is started by libvirt. QEMU's end is known through a pidfd
 * at once, and judged when libvirt has said why, which it does a few milliseconds later.
 */
#include "childhurdd/runner.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/child.h"
#include "childhurdd/console.h"
#include "childhurdd/disk.h"
#include "childhurdd/domain.h"
#include "childhurdd/enroll.h"
#include "childhurdd/failure.h"
#include "childhurdd/hird.h"
#include "childhurdd/life.h"
#include "childhurdd/ports.h"
#include "childhurdd/starts.h"
#include "offload/coordinator.h"
#include "offload/slots.h"
#include "ssh/keys.h"
#include "ssh/reach.h"
#include "ssh/secret_root.h"
#include "ssh/secret_service.h"

struct runner {
	const struct host *host;
	struct childhurd *c;
	char *directory, *disk, *secrets, *offload_key, *console_log, *record_file, *uuid;
	char *failure, *screen; /* paths of what is kept of the last failure */
	struct record last_record;
	const struct config_guest
	    *next; /* a changed configuration that waits for a restart; NULL: none */
	/* a start under way */
	struct keys_job *keys;
	struct disk_job *disk_job;
	gboolean have_acceleration, have_keys, have_disk;
	char *emulator;
	gboolean kvm;
	/* what a start has made */
	GBytes *message; /* the secrets; NULL when none are delivered */
	char **host_keys;
	/* QEMU */
	struct hypervisor_call *call;
	pid_t pid;
	ev_io exit_watch; /* on the pidfd */
	ev_timer exit_timer;
	gboolean gone;	   /* the process has ended */
	gboolean reported; /* libvirt has said so */
	gboolean reset_asked, power_off_asked;
	gboolean pictured; /* its screen was kept before it was ended */
	ev_timer screen_limit;
	char *exit_text;
	/* its guest */
	struct console *console;
	struct enroll *enroll;
	struct health *health;
	struct life life;
	gboolean boots_kvm; /* the boots that are known ran with KVM */
	ev_timer deadline;
};

static struct runner *
runner_from(struct childhurd *c)
{
	return c->runner;
}

static const struct config_guest *
guest_of(const struct runner *r)
{
	return r->c->config;
}

static void
start_failed(struct runner *r, const char *text)
{
	childhurd_event(r->c, EVENT_START_FAILED, text);
}

static gint64
world_now(struct childhurd *c)
{
	return g_get_monotonic_time() / 1000;
}

/* --- preparing a start: keys --- */

/* Keys and secret root are made in a worker: random numbers, disk, fsync. In the writer, so that
 * one that was given up has ended when the next one begins. */
struct keys_job {
	struct runner *runner; /* NULL: given up */
	struct task *task;
	struct secret_root_spec spec;
	char *name, *directory, *extra, *offload_key, *coordinator;
	char *users[3];
	gboolean deliver;
	GBytes *message;
	char **host_keys;
	GError *error;
};

static void
keys_work(void *data)
{
	struct keys_job *job = data;
	if (!secret_root_ensure(&job->spec, &job->error))
		return;
	if (!coordinator_grant(job->coordinator, job->offload_key, &job->error))
		return;
	/* A guest that has its keys already: what the administrator says they are, or it was given
	 * those made here. */
	if (!job->deliver)
		job->host_keys = secret_root_host_keys(job->extra, NULL);
	if (!job->host_keys)
		job->host_keys = secret_root_host_keys(job->directory, &job->error);
	if (!job->host_keys || !job->deliver)
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
	if (job->error) {
		start_failed(r, job->error->message);
		return;
	}
	g_clear_pointer(&r->message, g_bytes_unref);
	g_strfreev(r->host_keys);
	r->message = g_steal_pointer(&job->message);
	r->host_keys = g_steal_pointer(&job->host_keys);
	r->have_keys = TRUE;
	hird_publish(r->host->hird); /* from now on it can be told of */
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
	for (guint i = 0; i < G_N_ELEMENTS(job->users); i++)
		g_free(job->users[i]);
	g_clear_pointer(&job->message, g_bytes_unref);
	g_strfreev(job->host_keys);
	g_clear_error(&job->error);
	g_free(job);
}

static void
keys_start(struct runner *r)
{
	const struct config_guest *guest = guest_of(r);
	struct keys_job *job = g_new0(struct keys_job, 1);
	job->runner = r;
	job->name = g_strdup(guest->name);
	job->directory = g_strdup(r->secrets);
	job->extra = g_build_filename(r->host->config->secrets_directory, guest->name, NULL);
	job->offload_key = g_strdup(r->offload_key);
	job->coordinator = g_strdup(r->host->config->coordinator_user);
	job->users[0] = g_strdup(guest->admin_user);
	if (strcmp(guest->user, guest->admin_user) && guest->offloading)
		job->users[1] = g_strdup(guest->user);
	job->deliver = guest->inject == CONFIG_INJECT_SECRET_SERVICE;
	job->spec = (struct secret_root_spec){.name = job->name,
					      .directory = job->directory,
					      .extra = job->deliver ? job->extra : NULL,
					      .offload_key = job->offload_key,
					      .users = (const char *const *)job->users};
	r->keys = job;
	job->task = task_run(r->host->writer, keys_work, keys_done, keys_free, job);
}

/* --- preparing a start: disk, acceleration, and all of it --- */

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
				 .keep = guest->disk == CONFIG_DISK_PERSISTENT};
	r->disk_job = disk_prepare(r->host->loop, &spec, on_disk, r);
}

static void
on_acceleration(gboolean usable, const char *why, void *data)
{
	struct runner *r = data;
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

static void
prepare_abandon(struct runner *r)
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
	if (g_mkdir_with_parents(r->directory, 0700) < 0)
		return g_strdup_printf("%s: %s", r->directory, g_strerror(errno));
	if (!port_is_free(guest->listen_address, guest->ssh_port, &error) ||
	    !port_is_free(guest->listen_address, guest->secrets_port, &error))
		return g_strdup(error->message);
	const char *files[] = {guest->kernel, NULL};
	for (guint i = 0; i < guest->modules->len + 1; i++) {
		const struct config_module *module =
		    i ? g_ptr_array_index(guest->modules, i - 1) : NULL;
		const char *file = module ? module->file : files[0];
		if (file && access(file, R_OK) < 0)
			return g_strdup_printf("%s %s: %s", module ? "module" : "kernel", file,
					       g_strerror(errno));
	}
	if (!console_rotate(r->console_log, &error))
		return g_strdup(error->message);
	return NULL;
}

static void obstacle_met(struct ev_loop *loop, ev_timer *w, int revents);

static void
world_prepare(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	prepare_abandon(r);
	g_free(r->exit_text);
	r->exit_text = obstacle(r);
	if (r->exit_text) {
		ev_timer_init(&r->exit_timer, obstacle_met, 0, 0);
		r->exit_timer.data = r;
		ev_timer_start(r->host->loop, &r->exit_timer);
		return;
	}
	keys_start(r);
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

/* --- QEMU's end --- */

static void
exit_watch_stop(struct runner *r)
{
	ev_timer_stop(r->host->loop, &r->exit_timer);
	if (ev_is_active(&r->exit_watch)) {
		ev_io_stop(r->host->loop, &r->exit_watch);
		close(r->exit_watch.fd);
	}
}

static void
guest_gone(struct runner *r)
{
	exit_watch_stop(r);
	r->pid = 0;
	if (r->console)
		console_drain(r->console);
	g_autofree char *text = NULL;
	enum event event = EVENT_DIED;
	if (r->reset_asked) {
		event = EVENT_REBOOTED;
		text = g_strdup("the guest rebooted");
	} else if (r->power_off_asked) {
		event = EVENT_POWERED_OFF;
		text = g_strdup("the guest powered itself off");
	} else {
		text = g_strdup(r->exit_text ? r->exit_text : "QEMU ended");
	}
	g_clear_pointer(&r->exit_text, g_free);
	childhurd_event(r->c, event, text);
}

static void
on_exit_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	guest_gone(w->data);
}

/* Both have to be: the process gone, and libvirt's word why. One of them alone is enough after a
 * while. */
static void
judge_exit(struct runner *r)
{
	if (r->gone && r->reported) {
		guest_gone(r);
		return;
	}
	ev_timer_stop(r->host->loop, &r->exit_timer);
	ev_timer_init(&r->exit_timer, on_exit_timer, (double)EXIT_FALLBACK / 1000, 0);
	r->exit_timer.data = r;
	ev_timer_start(r->host->loop, &r->exit_timer);
}

static void
on_exit_watch(struct ev_loop *loop, ev_io *w, int revents)
{
	struct runner *r = w->data;
	siginfo_t info = {0};
	ev_io_stop(loop, w);
	/* We are the subreaper of the QEMUs we started; those of an earlier daemon are init's. */
	if (waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid) {
		int status =
		    info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
		g_autofree char *text = child_status_text(status);
		g_free(r->exit_text);
		r->exit_text = g_strconcat("QEMU ", text, NULL);
	}
	close(w->fd);
	r->gone = TRUE;
	judge_exit(r);
}

static void
exit_watch_start(struct runner *r, pid_t pid)
{
	exit_watch_stop(r);
	g_clear_pointer(&r->exit_text, g_free);
	r->pid = pid;
	r->gone = r->reported = r->reset_asked = r->power_off_asked = FALSE;
	int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd < 0) {
		r->gone = TRUE;		   /* only libvirt will tell, */
		if (pid && errno == ESRCH) /* or has told already, before anybody listened */
			judge_exit(r);
		return;
	}
	ev_io_init(&r->exit_watch, on_exit_watch, fd, EV_READ);
	r->exit_watch.data = r;
	ev_io_start(r->host->loop, &r->exit_watch);
}

void
runner_domain_event(struct runner *r, enum hypervisor_event event, const char *detail)
{
	switch (event) {
	case HYPERVISOR_RESET_ASKED:
		r->reset_asked = TRUE;
		break;
	case HYPERVISOR_POWER_OFF_ASKED:
		r->power_off_asked = TRUE;
		break;
	case HYPERVISOR_STOPPED:
		if (!r->c->running) /* a start that failed: its call says so */
			break;
		if (!r->exit_text)
			r->exit_text = g_strdup(detail);
		r->reported = TRUE;
		judge_exit(r);
		break;
	case HYPERVISOR_PAUSED:
		childhurd_event(r->c, EVENT_PROBE_FAILED, detail);
		break;
	case HYPERVISOR_LOST:
		break;
	}
}

/* --- QEMU's start, and the gentle and less gentle ways to end it --- */

static void
on_console(struct console *console, enum console_meaning meaning, const char *line,
	   const char *explanation, void *data)
{
	struct runner *r = data;
	if (meaning == CONSOLE_NOTHING)
		return;
	g_autofree char *text = g_strdup_printf("%s: \"%s\"", explanation, line);
	if (meaning == CONSOLE_HALTED)
		childhurd_event(r->c, EVENT_HALTED, text);
	else if (meaning == CONSOLE_PANIC)
		childhurd_event(r->c, EVENT_BROKEN, text);
	else /* it may live on; whether it does, the probes find out */
		hird_event(r->host->hird, r->c, FALSE, text);
}

static void
console_start(struct runner *r, gboolean from_start)
{
	console_free(r->console);
	r->console = console_new(r->host->loop, r->console_log, from_start, on_console, r);
}

static void
on_started(const struct hypervisor_result *result, void *data)
{
	struct runner *r = data;
	r->call = NULL;
	if (result->error) {
		start_failed(r, result->error->message);
		return;
	}
	exit_watch_start(r, result->pid);
	life_begin(&r->life, r->pid, r->console_log, world_now(r->c));
	g_autofree char *text =
	    g_strdup_printf("QEMU runs (process %d, %s)", (int)result->pid, r->kvm ? "kvm" : "tcg");
	childhurd_event(r->c, EVENT_LAUNCHED, text);
}

static void
world_launch(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	const struct config_guest *guest = c->config;
	struct domain_spec spec = {.guest = guest,
				   .uuid = r->uuid,
				   .emulator = r->emulator,
				   .kvm = r->kvm,
				   .disk = guest->image ? r->disk : NULL,
				   .console_log = r->console_log,
				   .secrets_guest_port = REACH_UNUSED_PORT};
	g_autofree char *xml = domain_xml(&spec);
	g_debug("%s: %s", guest->name, xml);
	if (r->kvm != r->boots_kvm) /* what is known of boots says nothing of this one */
		memset(c->boots, 0, sizeof c->boots);
	r->boots_kvm = r->kvm;
	console_start(r, FALSE);
	hypervisor_forget(r->call);
	r->call = hypervisor_start(r->host->hypervisor, guest->name, r->uuid, xml, on_started, r);
}

static void
on_ended(const struct hypervisor_result *result, void *data)
{
	struct runner *r = data;
	r->call = NULL;
	if (result->error)
		hird_event(r->host->hird, r->c, FALSE, result->error->message);
	else if (!r->pid && r->c->state == STATE_STOPPING) /* there was nothing to end */
		childhurd_event(r->c, EVENT_DIED, "QEMU is gone");
}

static void
end_qemu(struct runner *r)
{
	ev_timer_stop(r->host->loop, &r->screen_limit);
	hypervisor_forget(r->call);
	r->call = hypervisor_destroy(r->host->hypervisor, guest_of(r)->name, on_ended, r);
}

static void
on_screen(const struct hypervisor_result *result, void *data)
{
	struct runner *r = data;
	r->call = NULL;
	r->pictured = !result->error && !(result->text && *result->text);
	end_qemu(r);
}

static void
on_screen_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	end_qemu(w->data);
}

/* What is on its screen says more than any log when a kernel has crashed. (QEMU 7.1 and later
 * write a PNG by themselves.) */
static void
keep_screen(struct runner *r)
{
	g_autofree char *command = g_strdup_printf("screendump \"%s\" -f png", r->screen);
	ev_timer_set(&r->screen_limit, (double)FAILURE_SCREEN_LIMIT / 1000, 0);
	ev_timer_start(r->host->loop, &r->screen_limit);
	hypervisor_forget(r->call);
	r->call = hypervisor_monitor(r->host->hypervisor, guest_of(r)->name, command, on_screen, r);
}

static void
world_power_button(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	hypervisor_power_button(r->host->hypervisor, c->config->name, NULL, NULL);
}

static void
world_kill(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	if (r->call && c->launching)
		return; /* it cannot be ended before it is there; EVENT_LAUNCHED comes first */
	if (c->verdict == VERDICT_FAILURE && c->kills == 1 && r->pid && !life_stopped(r->pid)) {
		keep_screen(r);
		return;
	}
	if (c->kills > 1 && ev_is_active(&r->exit_watch)) /* libvirt could not */
		syscall(SYS_pidfd_send_signal, r->exit_watch.fd, SIGKILL, NULL, 0);
	end_qemu(r);
}

static void
world_discard(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	if (unlink(r->disk) < 0 && errno != ENOENT)
		g_warning("%s: cannot discard the disk %s: %s", c->config->name, r->disk,
			  g_strerror(errno));
}

/* --- secrets and health --- */

static void
on_enroll(enum event event, const char *text, void *data)
{
	struct runner *r = data;
	childhurd_event(r->c, event, text);
}

static void
world_enroll(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	enroll_free(r->enroll);
	r->enroll = enroll_new(r->host->loop, r->host->hypervisor, c->config, r->pid, r->message,
			       c->launched_at != 0, on_enroll, r);
}

static void
on_health(enum event event, const char *text, gboolean impostor, void *data)
{
	struct runner *r = data;
	const char *banner = health_report(r->health)->results[HEALTH_BANNER];
	if (banner && !strcmp(banner, "ok"))
		life_sign(&r->life, "an SSH banner", world_now(r->c));
	life_look(&r->life, world_now(r->c));
	if (impostor && g_strcmp0(r->c->phase, text))
		hird_event(r->host->hird, r->c, FALSE, text);
	childhurd_event(r->c, event, text);
}

static void
world_watch(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	health_free(r->health);
	r->health = health_new(r->host->loop, c->config, r->pid, r->host_keys, r->offload_key,
			       on_health, r);
}

static void
world_halt(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	enroll_free(r->enroll);
	r->enroll = NULL;
	if (!r->health)
		world_watch(c);
	health_halt(r->health);
}

static void
world_quiet(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	prepare_abandon(r);
	enroll_free(r->enroll);
	r->enroll = NULL;
	health_free(r->health);
	r->health = NULL;
}

/* --- the rest of the world --- */

static double
world_random(struct childhurd *c)
{
	return g_random_double();
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct runner *r = w->data;
	struct childhurd *c = r->c;
	g_autofree char *text = NULL;
	if (c->state != STATE_BACKOFF && c->state != STATE_STOPPING) {
		life_look(&r->life, world_now(c));
		g_autofree char *seen = c->running ? life_text(&r->life, world_now(c)) : NULL;
		text =
		    g_strdup_printf("%s: no success within its limit%s%s%s%s", state_name(c->state),
				    c->phase ? "; last: " : "", c->phase ? c->phase : "",
				    seen ? "; seen: " : "", seen ? seen : "");
	}
	childhurd_event(c, EVENT_DEADLINE, text);
}

static void
world_timer(struct childhurd *c, gint64 at)
{
	struct runner *r = runner_from(c);
	ev_timer_stop(r->host->loop, &r->deadline);
	if (at < 0)
		return;
	ev_now_update(r->host->loop);
	ev_timer_set(&r->deadline, MAX(0.0, (double)(at - world_now(c)) / 1000), 0);
	ev_timer_start(r->host->loop, &r->deadline);
}

static void
world_queue(struct childhurd *c)
{
	struct runner *r = runner_from(c);
	if (!r->host_keys && !r->keys) /* then it can be told of, however long it waits */
		keys_start(r);
	starts_queue(hird_starts(r->host->hird), c);
}

static void
world_leave(struct childhurd *c)
{
	starts_leave(hird_starts(runner_from(c)->host->hird), c);
}

static void
keep_failure(struct runner *r)
{
	g_auto(GStrv) lines = runner_console_tail(r, FAILURE_LINES);
	if (!r->pictured) /* one that is there is of an earlier failure */
		unlink(r->screen);
	record_write(r->host->writer, r->failure,
		     failure_text(r->c, r->pictured ? r->screen : NULL, lines));
	r->pictured = FALSE;
}

static void
world_changed(struct childhurd *c, gboolean state_changed, const char *text)
{
	struct runner *r = runner_from(c);
	if (state_changed)
		runner_record(r);
	/* without a text it is a wish that changed the list */
	if (state_changed && text && (c->state == STATE_BACKOFF || c->state == STATE_FAILED))
		keep_failure(r);
	hird_event(r->host->hird, c, state_changed, text);
}

static int
world_builds(struct childhurd *c)
{
	const struct config_guest *guest = c->config;
	const struct config *config = runner_from(c)->host->config;
	gboolean visible;
	if (!guest->offloading)
		return 0;
	int taken = slots_taken(config->guix_state_directory, config->host_name, guest->ssh_port,
				guest->parallel_builds, &visible);
	return visible ? taken : -1;
}

static gint64
world_sign(struct childhurd *c)
{
	return runner_from(c)->life.sign;
}

static const struct world_ops world = {
    .now = world_now,
    .random = world_random,
    .timer = world_timer,
    .queue = world_queue,
    .leave = world_leave,
    .prepare = world_prepare,
    .launch = world_launch,
    .enroll = world_enroll,
    .watch = world_watch,
    .quiet = world_quiet,
    .halt = world_halt,
    .power_button = world_power_button,
    .kill = world_kill,
    .discard = world_discard,
    .builds = world_builds,
    .sign = world_sign,
    .changed = world_changed,
};

/* The secrets of the earlier daemon's start, for a guest that did not get them yet. */
static void
load_secrets(struct runner *r)
{
	g_autoptr(GError) error = NULL;
	g_strfreev(r->host_keys);
	r->host_keys = secret_root_host_keys(r->secrets, &error);
	if (r->host_keys && !r->c->enrolled &&
	    guest_of(r)->inject == CONFIG_INJECT_SECRET_SERVICE) {
		GPtrArray *files = secret_root_read(r->secrets, &error);
		if (files) {
			r->message = secret_service_message(files, &error);
			g_ptr_array_unref(files);
		}
	}
	if (error)
		g_warning("%s: %s", r->c->config->name, error->message);
}

void
runner_take_over(struct runner *r, pid_t pid)
{
	struct childhurd *c = r->c;
	const struct record *record = &r->last_record;
	c->enrolled = record->enrolled;
	c->proven = record->proven;
	c->drained = record->drained;
	c->restarts = record->restarts;
	c->want_up = record->known ? record->want_up : TRUE;
	r->kvm = record->kvm;
	g_autofree char *text =
	    g_strdup_printf("taken over from the daemon before (process %d)", (int)pid);
	load_secrets(r);
	exit_watch_start(r, pid);
	life_begin(&r->life, pid, r->console_log, world_now(c));
	console_start(r, FALSE);
	childhurd_event(c, EVENT_FOUND, text);
}

void
runner_record(struct runner *r)
{
	const struct childhurd *c = r->c;
	struct record record = {.want_up = c->want_up,
				.drained = c->drained,
				.enrolled = c->enrolled,
				.proven = c->proven,
				.kvm = r->kvm,
				.restarts = c->restarts};
	memcpy(record.boots, c->boots, sizeof record.boots);
	record_write(r->host->writer, r->record_file, record_text(&record));
}

struct runner *
runner_new(const struct host *host, const struct config_guest *guest)
{
	struct runner *r = g_new0(struct runner, 1);
	r->host = host;
	r->directory = g_build_filename(host->config->state_directory, guest->name, NULL);
	r->disk = g_build_filename(r->directory, "disk.qcow2", NULL);
	r->secrets = g_build_filename(r->directory, "secrets", NULL);
	r->offload_key = g_build_filename(r->directory, "offload_key", NULL);
	r->console_log = g_build_filename(r->directory, "console.log", NULL);
	r->record_file = g_build_filename(r->directory, "state", NULL);
	r->failure = g_build_filename(r->directory, "failure.txt", NULL);
	r->screen = g_build_filename(r->directory, "failure.png", NULL);
	r->uuid = domain_uuid(host->config->state_directory, guest->name);
	r->last_record = record_read(r->record_file);
	g_mkdir_with_parents(r->directory, 0700); /* a start says what is wrong with it */
	ev_timer_init(&r->deadline, on_deadline, 0, 0);
	r->deadline.data = r;
	ev_timer_init(&r->exit_timer, on_exit_timer, 0, 0);
	r->exit_timer.data = r;
	ev_timer_init(&r->screen_limit, on_screen_limit, 0, 0);
	r->screen_limit.data = r;
	r->c = childhurd_new(guest, &world, r);
	memcpy(r->c->boots, r->last_record.boots, sizeof r->c->boots);
	r->boots_kvm = r->last_record.kvm;
	if (g_file_test(r->secrets, G_FILE_TEST_IS_DIR))
		r->host_keys = secret_root_host_keys(r->secrets, NULL);
	return r;
}

void
runner_free(struct runner *r)
{
	if (!r)
		return;
	ev_timer_stop(r->host->loop, &r->deadline);
	ev_timer_stop(r->host->loop, &r->screen_limit);
	world_quiet(r->c);
	exit_watch_stop(r);
	hypervisor_forget(r->call);
	life_clear(&r->life);
	console_free(r->console);
	childhurd_free(r->c);
	g_clear_pointer(&r->message, g_bytes_unref);
	g_strfreev(r->host_keys);
	g_free(r->directory);
	g_free(r->disk);
	g_free(r->secrets);
	g_free(r->offload_key);
	g_free(r->console_log);
	g_free(r->record_file);
	g_free(r->uuid);
	g_free(r->failure);
	g_free(r->screen);
	g_free(r->emulator);
	g_free(r->exit_text);
	g_free(r);
}

/* What QEMU, the overlay or the guest's secrets are not made from. */
static const char *const live_keys[] = {
    "autostart",	  "restart",	  "probe-interval",
    "boot-timeout",	  "hang-timeout", "stop-timeout",
    "probe-command",	  "speed",	  "systems",
    "features",		  "count",	  "parallel-builds",
    "overload-threshold", NULL,
};

static gboolean
all_live(char **keys)
{
	for (; *keys; keys++)
		if (!g_strv_contains(live_keys, *keys))
			return FALSE;
	return TRUE;
}

char **
runner_configure(struct runner *r, const struct config_guest *guest)
{
	struct childhurd *c = r->c;
	char **keys = config_guest_differences(c->config, guest);
	gboolean idle =
	    c->state == STATE_STOPPED || c->state == STATE_BACKOFF || c->state == STATE_FAILED;
	r->next = NULL;
	if (idle || all_live(keys)) {
		c->config = guest;
		if (r->health)
			health_configure(r->health, guest);
		return keys;
	}
	r->next = guest;
	g_autofree char *list = g_strjoinv(", ", keys);
	g_autofree char *why = g_strdup_printf("the configuration changed: %s", list);
	if (c->want_up)
		childhurd_event(c, EVENT_RESTART, why);
	return keys;
}

void
runner_apply(struct runner *r)
{
	if (r->next) {
		r->c->config = r->next;
		memset(r->c->boots, 0, sizeof r->c->boots);
	}
	r->next = NULL;
}

char **
runner_restart_needed(const struct runner *r)
{
	return r->next ? config_guest_differences(r->c->config, r->next) : NULL;
}

struct childhurd *
runner_childhurd(const struct runner *r)
{
	return r->c;
}

struct runner *
runner_of(const struct childhurd *c)
{
	return c->runner;
}

const struct record *
runner_last_record(const struct runner *r)
{
	return &r->last_record;
}

const char *
runner_uuid(const struct runner *r)
{
	return r->uuid;
}

const char *
runner_console_log(const struct runner *r)
{
	return r->console_log;
}

char *
runner_failure(const struct runner *r)
{
	return access(r->failure, F_OK) == 0 ? g_strdup(r->failure) : NULL;
}

const char *
runner_private_key(const struct runner *r)
{
	return r->offload_key;
}

char **
runner_host_keys(const struct runner *r)
{
	return r->host_keys;
}

pid_t
runner_pid(const struct runner *r)
{
	return r->pid;
}

/* proc(5), statm */
gint64
runner_memory(const struct runner *r)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int)r->pid);
	g_autofree char *text = NULL;
	long pages;
	if (!r->pid || !g_file_get_contents(path, &text, NULL, NULL) ||
	    sscanf(text, "%*d %ld", &pages) != 1)
		return 0;
	return (gint64)pages * sysconf(_SC_PAGESIZE);
}

const char *
runner_acceleration(const struct runner *r)
{
	if (!r->c->running)
		return NULL;
	return r->kvm ? "kvm" : "tcg";
}

char **
runner_console_tail(const struct runner *r, guint lines)
{
	return r->console ? console_tail(r->console, lines) : NULL;
}

const struct health_report *
runner_health(const struct runner *r)
{
	return r->health ? health_report(r->health) : NULL;
}
