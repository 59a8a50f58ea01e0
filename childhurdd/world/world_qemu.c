/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A world's QEMU: libvirt starts it, and it is watched and ended here. A pidfd reports its end at
 * once. The end is judged a few milliseconds later, when libvirt has reported the reason.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/qemu/console.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/folder.h"
#include "childhurdd/qemu/screenshot.h"
#include "childhurdd/system/child.h"
#include "childhurdd/system/descriptors.h"
#include "childhurdd/system/process.h"
#include "childhurdd/world/failure.h"
#include "childhurdd/world/world_internal.h"
#include "ssh/reach.h"

/* --- QEMU's end --- */

/* Whether a guest is paused only matters while its QEMU runs. */
static void
pause_forget(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->pause_timer);
	hypervisor_forget(r->pause_call);
	r->pause_call = NULL;
	r->look_again = FALSE;
	r->goes_on_since = 0;
	r->pause = HYPERVISOR_RUNS;
}

static void
exit_watch_stop(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->exit_timer);
	if (ev_is_active(&r->exit_watch)) {
		ev_io_stop(r->host->loop, &r->exit_watch);
		close(r->exit_watch.fd);
	}
}

static void
guest_gone(struct world *r)
{
	exit_watch_stop(r);
	pause_forget(r);
	r->qemu.id = r->qemu.pid = 0;
	/* neither a picture of its screen nor its end is needed any more */
	ev_timer_stop(r->host->loop, &r->screen_limit);
	g_clear_pointer(&r->call, hypervisor_forget);
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

/* An end needs both: the process is gone, and libvirt has reported why. After EXIT_FALLBACK one of
 * them is enough. */
static void
judge_exit(struct world *r)
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
	struct world *r = w->data;
	siginfo_t info = {0};
	ev_io_stop(loop, w);
	/* This process is the subreaper of the QEMUs it started; those of an earlier daemon are
	 * init's. */
	if (waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid) {
		int status =
		    info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
		g_autofree char *text = child_status_text(status);
		g_free(r->exit_text);
		r->exit_text = g_strconcat("QEMU ", text, NULL);
		/* What a guest asks for lets QEMU exit, so libvirt has no other reason; and it may
		 * look for the process 0.2 s later once more. */
		if (info.si_code != CLD_EXITED)
			r->reported = TRUE;
	}
	close(w->fd);
	r->gone = TRUE;
	judge_exit(r);
}

/* A process that has ended and has not been waited for has no words: it is another, too. */
static gboolean
is_another(pid_t pid, char **words, void *data)
{
	return g_strcmp0(process_option(words, "-uuid"), data) != 0;
}

static void
exit_watch_start(struct world *r, pid_t pid)
{
	exit_watch_stop(r);
	g_clear_pointer(&r->exit_text, g_free);
	r->gone = r->reported = r->reset_asked = r->power_off_asked = FALSE;
	int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd >= 0 && process_is(pid, is_another, r->qemu.uuid)) { /* the pid was used again */
		close(fd);
		fd = -1;
		errno = ESRCH;
	}
	if (fd < 0) {
		r->gone = TRUE;		   /* only libvirt will report its end, or */
		if (pid && errno == ESRCH) /* has reported it already, before this world listened */
			judge_exit(r);
		return;
	}
	ev_io_init(&r->exit_watch, on_exit_watch, fd, EV_READ);
	r->exit_watch.data = r;
	ev_io_start(r->host->loop, &r->exit_watch);
}

void
world_watch_qemu(struct world *r, int id, pid_t pid)
{
	r->qemu.id = id;
	r->qemu.pid = pid;
	pause_forget(r);
	vitals_begin(&r->vitals, pid, r->console_log, monotonic_now());
	exit_watch_start(r, pid);
}

/* --- a QEMU that has paused its guest --- */

static void
pause_retry(struct world *r, gint64 after)
{
	ev_timer_stop(r->host->loop, &r->pause_timer);
	ev_timer_set(&r->pause_timer, (double)after / 1000, 0);
	ev_timer_start(r->host->loop, &r->pause_timer);
}

static char *
pause_text(const struct world *r)
{
	switch (r->pause) {
	case HYPERVISOR_NO_ROOM:
		return g_strdup_printf("paused by QEMU: there is no room left for its disk in %s; "
				       "make room there, and it goes on by itself",
				       r->directory);
	case HYPERVISOR_IO_ERROR:
		return g_strdup_printf("paused by QEMU: this host cannot read or write its disk "
				       "(%s%s%s); when it can again, the guest goes on by itself",
				       r->disk, guest_of(r)->image ? ", on top of " : "",
				       guest_of(r)->image ? guest_of(r)->image : "");
	default:
		return g_strdup("paused by somebody; virsh resume lets it go on");
	}
}

/* A guest that was paused and is seen to run: how long it still has to, in ms. */
static gint64
has_to_run(struct world *r)
{
	gint64 now = monotonic_now();
	if (!r->goes_on_since)
		r->goes_on_since = now;
	return r->goes_on_since + PAUSE_CONFIRM - now;
}

void
world_pause_known(const struct hypervisor_result *result, void *data)
{
	struct world *r = data;
	gboolean was = r->pause != HYPERVISOR_RUNS;
	r->pause_call = NULL;
	if (r->look_again) {
		world_look_at_pause(r);
		return;
	}
	if (result->error) { /* the end of a QEMU is reported elsewhere */
		g_debug("%s: is it paused? %s", guest_of(r)->name, result->error->message);
		pause_retry(r, PAUSE_RETRY);
		return;
	}
	gint64 left = was && result->running == HYPERVISOR_RUNS ? has_to_run(r) : 0;
	if (left > 0) { /* whatever makes the daemon look meanwhile */
		pause_retry(r, left);
		return;
	}
	r->goes_on_since = 0;
	r->pause = result->running;
	if (r->pause == HYPERVISOR_BROKEN) {
		g_autofree char *text =
		    g_strdup_printf("QEMU cannot go on with the guest: %s", result->text);
		childhurd_event(r->c, EVENT_BROKEN, text);
		return;
	}
	gboolean paused = r->pause != HYPERVISOR_RUNS;
	if (r->health)
		health_pause(r->health, paused);
	if (paused) {
		g_autofree char *text = pause_text(r);
		pause_retry(r, PAUSE_RETRY);
		childhurd_event(r->c, EVENT_PAUSED, text);
	} else if (was) {
		childhurd_event(r->c, EVENT_RESUMED, "QEMU lets the guest go on");
	}
}

void
world_look_at_pause(struct world *r)
{
	r->look_again = r->pause_call != NULL;
	if (r->look_again)
		return;
	ev_timer_stop(r->host->loop, &r->pause_timer);
	r->pause_call = hypervisor_look(r->host->hypervisor, &r->qemu, world_pause_known, r);
}

static void
on_pause_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct world *r = w->data;
	gboolean ours = r->pause == HYPERVISOR_NO_ROOM || r->pause == HYPERVISOR_IO_ERROR;
	if (!ours || r->goes_on_since) { /* only what paused it may resume it */
		world_look_at_pause(r);
		return;
	}
	r->look_again = FALSE;
	r->pause_call = hypervisor_resume(r->host->hypervisor, &r->qemu, world_pause_known, r);
}

void
world_domain_event(struct world *r, enum hypervisor_event event, int id, const char *detail)
{
	/* libvirt reports later than it acts, so the end of the previous QEMU may be reported while
	 * the next one runs. The end of a QEMU whose start failed is reported, too, but the call of
	 * the start has returned that. */
	if (!r->qemu.id || id != r->qemu.id)
		return;
	switch (event) {
	case HYPERVISOR_STARTED:
		break;
	case HYPERVISOR_RESET_ASKED:
		r->reset_asked = TRUE;
		break;
	case HYPERVISOR_POWER_OFF_ASKED:
		r->power_off_asked = TRUE;
		break;
	case HYPERVISOR_STOPPED:
		if (!r->exit_text)
			r->exit_text = g_strdup(detail);
		r->reported = TRUE;
		judge_exit(r);
		break;
	case HYPERVISOR_PAUSED:
		world_look_at_pause(r);
		break;
	case HYPERVISOR_LOST:
		break;
	}
}

/* --- QEMU's start, and the ways to end it --- */

static void
on_console(struct console *console, enum console_meaning meaning, const char *line,
	   const char *explanation, void *data)
{
	struct world *r = data;
	r->spoke = monotonic_now();
	if (meaning == CONSOLE_NOTHING)
		return;
	g_autofree char *text = g_strdup_printf("%s: \"%s\"", explanation, line);
	if (meaning == CONSOLE_HALTED)
		childhurd_event(r->c, EVENT_HALTED, text);
	else if (meaning == CONSOLE_HALTING)
		childhurd_event(r->c, EVENT_HALTING, text);
	else if (meaning == CONSOLE_REBOOTING)
		childhurd_event(r->c, EVENT_REBOOTING, text);
	else if (meaning == CONSOLE_PANIC)
		childhurd_event(r->c, EVENT_BROKEN, text);
	else { /* it may live on: the probes find out */
		g_free(r->complaint);
		r->complaint = g_strdup(text);
		world_note(r, meaning == CONSOLE_DISK ? NOTE_DISK : NOTE_MEMORY, text);
	}
}

void
world_console_start(struct world *r)
{
	console_free(r->console);
	g_clear_pointer(&r->complaint, g_free);
	r->console = console_new(r->host->loop, r->console_log, FALSE, on_console, r);
}

static gboolean
has_no_sandbox(pid_t pid, char **words, void *data)
{
	return !process_option(words, "-sandbox");
}

/* A libvirtd may ignore what the domain asks for. */
static void
check_privileges(struct world *r, pid_t pid)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d", (int)pid);
	struct stat st;
	if (!pid || hypervisor_embedded(r->host->hypervisor))
		return;
	if (stat(folder, &st) == 0 && st.st_uid == 0)
		tell_hird(r, FALSE,
			  "its QEMU runs as root: libvirtd ignores the user it was given; name an "
			  "ordinary user in its qemu.conf");
	if (process_is(pid, has_no_sandbox, NULL))
		tell_hird(r, FALSE,
			  "its QEMU runs without a sandbox: set seccomp_sandbox = 1 in libvirtd's "
			  "qemu.conf");
}

static void
on_started(const struct hypervisor_result *result, void *data)
{
	struct world *r = data;
	r->call = NULL;
	if (result->error) {
		start_failed(r, result->error->message);
		return;
	}
	world_watch_qemu(r, result->id, result->pid);
	if (result->pid && hypervisor_embedded(r->host->hypervisor))
		descriptors_give_back(result->pid);
	check_privileges(r, result->pid);
	world_make_spare(r);
	g_autofree char *text =
	    g_strdup_printf("QEMU runs (process %d, %s)", (int)result->pid, r->kvm ? "kvm" : "tcg");
	childhurd_event(r->c, EVENT_LAUNCHED, text);
}

struct domain_spec
world_domain(const struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	return (struct domain_spec){
	    .guest = guest,
	    .uuid = r->qemu.uuid,
	    .emulator = r->emulator ? r->emulator : guest->emulator,
	    .kvm = r->kvm,
	    .disk = guest->image ? r->disk : NULL,
	    .console_log = r->console_log,
	    .serial_socket = r->serial,
	    .secrets_guest_port = REACH_UNUSED_PORT,
	    .label = hypervisor_of_system(r->host->hypervisor) ? r->host->qemu_user : NULL};
}

void
world_launch_now(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	struct domain_spec spec = world_domain(r);
	spec.load = world_warm_load(r);
	g_autofree char *xml = domain_xml(&spec);
	g_debug("%s: %s", guest->name, xml);
	if (r->kvm != r->boots_kvm) /* this boot will take another time than the stored ones */
		childhurd_boots_forget(r->c);
	r->boots_kvm = r->kvm;
	if (!r->earlier_keys) {
		g_strfreev(r->coordinators);
		r->coordinators = g_strdupv(r->coordinators_made);
	}
	world_console_start(r);
	hypervisor_forget(r->call);
	r->call =
	    hypervisor_start(r->host->hypervisor, guest->name, r->qemu.uuid, xml, on_started, r);
}

static void
on_ended(const struct hypervisor_result *result, void *data)
{
	struct world *r = data;
	r->call = NULL;
	if (result->error)
		tell_hird(r, FALSE, result->error->message);
	else if (!r->qemu.pid && r->c->state == STATE_STOPPING) /* nothing else reports its end */
		guest_gone(r);
}

static void
end_qemu(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->screen_limit);
	hypervisor_forget(r->call);
	r->call = hypervisor_destroy(r->host->hypervisor, &r->qemu, on_ended, r);
}

static void
on_screen(const struct hypervisor_result *result, void *data)
{
	struct world *r = data;
	r->call = NULL;
	r->pictured = !result->error && !(result->text && *result->text);
	end_qemu(r);
}

static void
on_screen_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	end_qemu(w->data);
}

/* After a crash of its kernel, the screen shows more than any log. */
static void
keep_screen(struct world *r)
{
	ev_timer_set(&r->screen_limit, (double)FAILURE_SCREEN_LIMIT / 1000, 0);
	ev_timer_start(r->host->loop, &r->screen_limit);
	hypervisor_forget(r->call);
	r->call = screenshot_take(r->host->hypervisor, &r->qemu, r->screen, r->host->qemu_user,
				  on_screen, r);
}

void
world_power_button(struct childhurd *c)
{
	struct world *r = world_from(c);
	hypervisor_power_button(r->host->hypervisor, &r->qemu, NULL, NULL);
}

void
world_kill(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (r->call && c->qemu == QEMU_LAUNCHING)
		return; /* EVENT_LAUNCHED comes first: QEMU cannot be ended before it runs */
	if (c->verdict == VERDICT_FAILURE && c->kills == 1 && r->qemu.pid &&
	    !vitals_stopped(r->qemu.pid)) {
		keep_screen(r);
		return;
	}
	if (c->kills > 1 && ev_is_active(&r->exit_watch)) /* libvirt has failed to */
		syscall(SYS_pidfd_send_signal, r->exit_watch.fd, SIGKILL, NULL, 0);
	end_qemu(r);
}

void
world_qemu_init(struct world *r)
{
	ev_timer_init(&r->exit_timer, on_exit_timer, 0, 0);
	ev_timer_init(&r->screen_limit, on_screen_limit, 0, 0);
	ev_timer_init(&r->pause_timer, on_pause_timer, 0, 0);
	r->exit_timer.data = r->screen_limit.data = r->pause_timer.data = r;
}

void
world_qemu_clear(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->screen_limit);
	exit_watch_stop(r);
	pause_forget(r);
	hypervisor_forget(r->call);
	vitals_clear(&r->vitals);
	g_free(r->complaint);
	console_free(r->console);
}
