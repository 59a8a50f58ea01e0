/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One guest's world: its secrets, its health, and its files. world_prepare.c and world_keys.c
 * prepare a start, world_disk.c makes its disk, world_warm.c has its warm state, world_port.c its
 * port while it sleeps, world_qemu.c runs QEMU, world_take_over.c goes on with a QEMU that runs
 * already, world_builds.c knows the builds, world_notes.c limits what is logged beside the states,
 * and world_config.c applies another configuration.
 */
#include <gio/gio.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/console.h"
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/serial.h"
#include "childhurdd/world/enroll.h"
#include "childhurdd/world/failure.h"
#include "childhurdd/world/world_internal.h"
#include "config/base/atomic_file.h"
#include "offload/coordinator.h"
#include "offload/slots.h"
#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"

/* Guix gives no build to a machine with less (guix/scripts/offload.scm, %minimum-disk-space). */
#define GUIX_ROOM (G_GINT64_CONSTANT(100) << 20)

/* --- secrets and health --- */

static void
on_enroll(enum event event, const char *text, void *data)
{
	struct world *r = data;
	childhurd_event(r->c, event, text);
	if (event == EVENT_ENROLLED) /* not a state, but the next daemon must know it */
		world_record(r);
}

static void
enroll_begin(struct world *r)
{
	gboolean sent = guest_of(r)->inject == CONFIG_INJECT_SECRET_SERVICE;
	r->enroll = enroll_new(r->host->loop, r->host->hypervisor, guest_of(r), &r->qemu,
			       sent ? r->message : NULL, r->c->launched_at != 0, on_enroll, r);
}

static void
world_enroll(struct childhurd *c)
{
	struct world *r = world_from(c);
	g_clear_pointer(&r->enroll, enroll_free);
	world_with_secrets(r, enroll_begin);
}

static void
enroll_end(struct world *r)
{
	g_clear_pointer(&r->reading, lane_forget);
	g_clear_pointer(&r->enroll, enroll_free);
}

/* Report the space in its store. This comes before the guest is ready, so one without space for a
 * build is not published. */
static void
tell_room(struct world *r)
{
	gint64 room = health_report(r->health)->store_free, floor = guest_of(r)->store_floor;
	if (room < 0 || !guest_of(r)->offloading)
		return;
	g_autofree char *text =
	    g_strdup_printf("its store has %" G_GINT64_FORMAT " MiB free", room >> 20);
	g_autofree char *full =
	    g_strdup_printf("%s, and Guix wants 100 MiB: it is not published", text);
	g_autofree char *low = g_strdup_printf(
	    "%s, less than store-floor (%" G_GINT64_FORMAT " MiB)", text, floor >> 20);
	if (room < GUIX_ROOM)
		childhurd_event(r->c, EVENT_FULL, full);
	else if (room < floor)
		childhurd_event(r->c, EVENT_LOW, low);
	else
		childhurd_event(r->c, EVENT_ROOM, text);
}

/* Report its clock, unless the guest lives at another date (`clock`), or its clock is unknown. */
static void
tell_clock(struct world *r)
{
	const struct health_report *report = health_report(r->health);
	const struct config_guest *guest = guest_of(r);
	if (guest->clock || isnan(report->skew))
		return;
	gboolean off =
	    fabs(report->skew) - report->skew_within > (double)guest->clock_skew_limit / 1000;
	g_autofree char *text =
	    g_strdup_printf("its clock is %.0f s %s the host's%s", fabs(report->skew),
			    report->skew < 0 ? "behind" : "ahead of",
			    off ? ": it is not published, and set when no build runs"
				: ", within clock-skew-limit");
	childhurd_event(r->c, off ? EVENT_CLOCK_OFF : EVENT_CLOCK_GOOD, text);
}

static void
on_health(enum event event, const char *text, gboolean impostor, void *data)
{
	struct world *r = data;
	gint64 heard = health_report(r->health)->heard;
	if (heard > r->vitals.sign)
		vitals_sign(&r->vitals, heard);
	vitals_look(&r->vitals, monotonic_now());
	if (impostor && g_strcmp0(r->c->phase, text))
		world_note(r, NOTE_IMPOSTOR, text);
	if (event != EVENT_UNASKED) {
		childhurd_note_host_key(r->c, impostor);
		childhurd_note_silence(r->c, health_report(r->health)->silent);
	}
	if (event == EVENT_STIRRED) {
		if (r->c->state == STATE_RESTORING)
			world_warm_stirred(r);
		else
			health_ask(r->health);
		return;
	}
	if (event == EVENT_PROBE_OK) {
		r->host->ops->probed(r->host->hird, r->c,
				     (double)health_report(r->health)->ms[HEALTH_COMMAND] / 1000);
		tell_room(r);
		tell_clock(r);
		enroll_finish(r->enroll); /* whatever the record has */
	}
	childhurd_event(r->c, event, text);
}

void
world_health_begin(struct world *r)
{
	health_free(r->health);
	r->health = health_new(r->host->loop, guest_of(r), r->qemu.pid, r->host_keys,
			       r->offload_key, on_health, r);
	health_pause(r->health, r->pause != HYPERVISOR_RUNS);
}

static void
world_watch(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (r->stirred)
		health_ask(r->health);
	else
		world_health_begin(r);
	if (c->saved && !r->stirred) /* the second proof of this boot */
		health_saved(r->health);
	r->stirred = FALSE;
}

static void
world_halt(struct childhurd *c)
{
	struct world *r = world_from(c);
	enroll_end(r);
	if (!r->health)
		world_watch(c);
	health_halt(r->health);
}

static void
world_quiet(struct childhurd *c)
{
	struct world *r = world_from(c);
	world_prepare_abandon(r);
	world_warm_abandon(r);
	enroll_end(r);
	health_free(r->health);
	r->health = NULL;
	r->stirred = FALSE;
}

/* --- time, and what is kept --- */

static gint64
world_now(struct childhurd *c)
{
	return monotonic_now();
}

/* --- the rest of the world --- */

static double
world_random(struct childhurd *c)
{
	return g_random_double();
}

char *
world_complaint(const struct world *r)
{
	enum state state = r->c->state;
	if (state != STATE_BOOTING && state != STATE_ENROLLING && state != STATE_RESTORING &&
	    state != STATE_UNRESPONSIVE)
		return NULL;
	g_autofree char *line = NULL;
	const char *stall = r->console ? console_stalled(r->console, monotonic_now(), &line) : NULL;
	return stall ? g_strdup_printf("%s: \"%s\"", stall, line) : g_strdup(r->complaint);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct world *r = w->data;
	struct childhurd *c = r->c;
	g_autofree char *text = NULL;
	if (c->state != STATE_BACKOFF && c->state != STATE_STOPPING) {
		vitals_look(&r->vitals, monotonic_now());
		g_autofree char *seen =
		    c->qemu == QEMU_RUNNING ? vitals_text(&r->vitals, monotonic_now()) : NULL;
		g_autofree char *complaint = world_complaint(r);
		text = g_strdup_printf("%s: no success within its limit%s%s%s%s%s%s",
				       state_name(c->state), c->phase ? "; last: " : "",
				       c->phase ? c->phase : "", seen ? "; seen: " : "",
				       seen ? seen : "", complaint ? "; its console: " : "",
				       complaint ? complaint : "");
	}
	childhurd_event(c, EVENT_DEADLINE, text);
}

static void
world_timer(struct childhurd *c, gint64 at)
{
	struct world *r = world_from(c);
	ev_timer_stop(r->host->loop, &r->deadline);
	if (at < 0)
		return;
	ev_now_update(r->host->loop);
	ev_timer_set(&r->deadline, MAX(0.0, (double)(at - monotonic_now()) / 1000), 0);
	ev_timer_start(r->host->loop, &r->deadline);
}

static void
world_queue(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (!r->host_keys && !r->keys) /* so that it can be published, however long it waits */
		world_make_keys(r);
	r->host->ops->queue(r->host->hird, c);
}

static void
world_leave(struct childhurd *c)
{
	struct world *r = world_from(c);
	r->host->ops->leave(r->host->hird, c);
}

static void
keep_failure(struct world *r)
{
	g_auto(GStrv) lines = world_console_tail(r, FAILURE_LINES);
	if (!r->pictured) /* a picture from an earlier failure */
		unlink(r->screen);
	writer_put(r->host->writer, r->failure,
		   failure_text(r->c, r->pictured ? r->screen : NULL, lines));
	r->host->ops->failed(r->host->hird, r->c, r->pictured ? r->screen : NULL);
	r->pictured = FALSE;
	r->failed = TRUE;
}

static void
world_changed(struct childhurd *c, gboolean state_changed, const char *text)
{
	struct world *r = world_from(c);
	if (state_changed) {
		world_mind_use(r);
		world_record(r);
	}
	/* without a text only a wish changed the list */
	if (state_changed && text && (c->state == STATE_BACKOFF || c->state == STATE_FAILED))
		keep_failure(r);
	tell_hird(r, state_changed, text);
}

static void
world_collect(struct childhurd *c)
{
	health_collect(world_from(c)->health, 2 * c->config->store_floor);
}

static void
world_set_clock(struct childhurd *c)
{
	health_set_clock(world_from(c)->health);
}

static void
world_ask(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (r->health)
		health_ask(r->health);
}

static gint64
world_sign(struct childhurd *c)
{
	return world_from(c)->vitals.sign;
}

static gint64
world_spoke(struct childhurd *c)
{
	return world_from(c)->spoke;
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
    .warm = world_warm,
    .save = world_save,
    .restore = world_restore,
    .stir = world_stir,
    .forget = world_forget_warm,
    .take_port = world_take_port,
    .leave_port = world_leave_port,
    .callers = world_callers,
    .pass_on = world_pass_on,
    .turn_away = world_turn_away,
    .builds = world_builds,
    .hold = world_hold,
    .release = world_release,
    .collect = world_collect,
    .set_clock = world_set_clock,
    .ask = world_ask,
    .sign = world_sign,
    .spoke = world_spoke,
    .used = world_used,
    .changed = world_changed,
};

void
world_record(struct world *r)
{
	const struct childhurd *c = r->c;
	struct record record = {
	    .kept = childhurd_keep(c),
	    .kvm = r->kvm,
	    .emulator = g_strdup(r->emulator),
	    .guest = config_guest_words(c->config),
	    .host_keys = g_strdupv(r->host_keys),
	    .coordinators = g_strdupv(r->coordinators),
	};
	record.kept.discard |= r->discard != NULL;
	memcpy(record.boots, c->boots, sizeof record.boots);
	writer_put(r->host->writer, r->record_file, record_text(&record));
	record_clear(&record);
}

const char *
world_record_file(const struct world *r)
{
	return r->record_file;
}

char **
world_unwritten(const struct world *r)
{
	const char *const files[] = {r->record_file, r->failure};
	g_autoptr(GPtrArray) whys = g_ptr_array_new_with_free_func(g_free);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++)
		if (writer_why(r->host->writer, files[i]))
			g_ptr_array_add(whys, g_strdup(writer_why(r->host->writer, files[i])));
	if (!whys->len)
		return NULL;
	g_ptr_array_add(whys, NULL);
	return (char **)g_ptr_array_steal(whys, NULL);
}

void
world_forget(const struct world *r)
{
	writer_forget(r->host->writer, r->record_file);
	writer_forget(r->host->writer, r->failure);
	world_kind_forget(r);
}

struct world *
world_new(const struct host *host, const struct config_guest *guest)
{
	struct world *r = g_new0(struct world, 1);
	r->host = host;
	r->files = lane_new(host->files);
	r->directory = g_build_filename(host->config->state_directory, guest->name, NULL);
	r->disk = g_build_filename(r->directory, "disk.qcow2", NULL);
	r->secrets = g_build_filename(r->directory, "secrets", NULL);
	r->offload_key = g_build_filename(r->directory, "offload_key", NULL);
	r->console_log = g_build_filename(r->directory, "console.log", NULL);
	r->serial = serial_path(r->directory);
	r->record_file = g_build_filename(r->directory, WORLD_RECORD, NULL);
	r->failure = g_build_filename(r->directory, "failure.txt", NULL);
	r->screen = g_build_filename(r->directory, "failure.png", NULL);
	r->failed = access(r->failure, F_OK) == 0;
	r->qemu.uuid = domain_uuid(host->config->state_directory, guest->name);
	disk_spare_tidy(r->files, r->disk);
	atomic_file_tidy(r->record_file);
	atomic_file_tidy(r->failure);
	r->last_record = record_read(r->record_file);
	if (r->last_record.damage)
		g_warning("%s: %s", guest->name, r->last_record.damage);
	g_mkdir_with_parents(r->directory, 0700); /* if this fails, a start reports why */
	ev_timer_init(&r->deadline, on_deadline, 0, 0);
	r->deadline.data = r;
	world_notes_init(r);
	world_qemu_init(r);
	world_warm_init(r);
	world_port_init(r);
	world_use_init(r);
	world_kind_recall(r);
	const struct config_guest *settled = world_settle(r, guest);
	r->c = childhurd_new(settled, &world, r);
	config_guest_unref(settled);
	childhurd_boots_recall(r->c, r->last_record.boots);
	r->boots_kvm = r->last_record.kvm;
	r->host_keys = g_strdupv(r->last_record.host_keys);
	r->coordinators = g_strdupv(r->last_record.coordinators);
	world_know_keys(r);
	return r;
}

void
world_free(struct world *r)
{
	if (!r)
		return;
	ev_timer_stop(r->host->loop, &r->deadline);
	world_notes_clear(r);
	world_use_clear(r);
	world_quiet(r->c);
	world_warm_clear(r);
	world_port_clear(r);
	world_kind_clear(r);
	disk_job_free(r->spare_job);
	lane_free(r->files);
	world_qemu_clear(r);
	childhurd_free(r->c);
	g_clear_pointer(&r->message, g_bytes_unref);
	g_strfreev(r->host_keys);
	g_strfreev(r->coordinators_made);
	g_strfreev(r->coordinators);
	g_free(r->directory);
	g_free(r->disk);
	g_free(r->secrets);
	g_free(r->offload_key);
	g_free(r->coordinator_key);
	g_free(r->signing_key);
	g_free(r->console_log);
	g_free(r->serial);
	g_free(r->record_file);
	g_free(r->qemu.uuid);
	g_free(r->failure);
	g_free(r->screen);
	g_free(r->emulator);
	g_free(r->exit_text);
	slots_free(r->slots);
	record_clear(&r->last_record);
	config_guest_unref(r->found);
	config_guest_unref(r->next);
	g_free(r);
}

struct childhurd *
world_childhurd(const struct world *r)
{
	return r->c;
}

struct world *
world_of(const struct childhurd *c)
{
	return c->world;
}

const struct record *
world_last_record(const struct world *r)
{
	return &r->last_record;
}

const char *
world_console_log(const struct world *r)
{
	return r->console_log;
}

char *
world_failure(const struct world *r)
{
	return r->failed && !writer_why(r->host->writer, r->failure) ? g_strdup(r->failure) : NULL;
}

const char *
world_private_key(const struct world *r)
{
	return r->offload_key;
}

const char *
world_coordinator_key(const struct world *r)
{
	return r->coordinator_key;
}

const char *
world_signing_key(const struct world *r)
{
	return r->signing_key;
}

char *
world_waits_for(const struct world *r)
{
	return lane_waits_for(r->files);
}

char **
world_host_keys(const struct world *r)
{
	return r->host_keys;
}

const struct hypervisor_qemu *
world_qemu(const struct world *r)
{
	return &r->qemu;
}

gint64
world_memory(const struct world *r)
{
	return vitals_memory(&r->vitals);
}

const char *
world_acceleration(const struct world *r)
{
	if (r->c->qemu != QEMU_RUNNING)
		return NULL;
	return r->kvm ? "kvm" : "tcg";
}

char **
world_console_tail(const struct world *r, guint lines)
{
	return r->console ? console_tail(r->console, lines) : NULL;
}

int
world_console_connect(const struct world *r, GError **error)
{
	if (r->c->qemu == QEMU_RUNNING)
		return serial_connect(r->serial, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED,
		    "it is %s and has no console: QEMU does not run", state_name(r->c->state));
	return -1;
}

const struct health_report *
world_health(const struct world *r)
{
	return r->health ? health_report(r->health) : NULL;
}
