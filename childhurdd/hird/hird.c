/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The heart of the daemon: owns the worlds, and publishes at every change of a state. */
#include <gio/gio.h>
#include <stdio.h>

#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/hird/metrics.h"
#include "childhurdd/qemu/kvm.h"
#include "childhurdd/system/log_rotate.h"
#include "childhurdd/system/notify.h"
#include "config/base/text.h"
#include "service/states.h"

/* --- events --- */

/* An event that is logged and reported to clients once the change that it makes is published. */
struct told {
	struct control_event event;
	enum state state;
	gboolean taken_over;
	char *guest, *text;
};

static void
log_event(const struct told *told)
{
	/* a guest's text must neither add lines to the log nor control a terminal */
	g_autofree char *text = text_line(told->text, ' ');
	GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;
	const char *state = told->taken_over ? STATE_TAKEN_OVER : told->event.state;
	if (told->event.state && (told->state == STATE_FAILED || told->state == STATE_BACKOFF ||
				  (told->state == STATE_UNRESPONSIVE && !told->taken_over)))
		level = G_LOG_LEVEL_WARNING;
	if (!told->guest)
		g_log(G_LOG_DOMAIN, level, "%s", text);
	else if (told->event.state)
		g_log(G_LOG_DOMAIN, level, "%s: %s: %s", told->guest, state, text);
	else
		g_log(G_LOG_DOMAIN, level, "%s: %s", told->guest, text);
}

static void
told_free(void *data)
{
	struct told *told = data;
	g_free(told->guest);
	g_free(told->text);
	g_free(told);
}

static void
tell(struct hird *h, void *data)
{
	const struct told *told = data;
	if (told->text)
		log_event(told);
	if (h->control)
		control_event(h->control, &told->event);
}

static void
host_event(void *hird, struct childhurd *c, gboolean state_changed, const char *text)
{
	struct hird *h = hird;
	if (state_changed && h->listed)
		hird_publish(h);
	if (state_changed)
		metrics_state(h->metrics, c);
	struct told *told = g_new(struct told, 1);
	told->state = c->state;
	told->taken_over = c->taken_over;
	told->guest = g_strdup(c->config->name);
	told->text = g_strdup(text);
	told->event = (struct control_event){.number = text ? ++h->event_number : 0,
					     .time = g_get_real_time(),
					     .guest = told->guest,
					     .state = state_changed ? state_name(c->state) : NULL,
					     .taken_over = c->taken_over,
					     .text = told->text};
	chronicle_event(h->chronicle, &told->event);
	chronicle_look(h->chronicle, c, told->event.number);
	hird_after_publishing(h, tell, told_free, told);
	if (state_changed || c->winding_down) /* an unresponsive guest's stop changes no state */
		ev_timer_start(h->host.loop, &h->tend);
}

/* --- starts --- */

/* Has this guest, which is no longer configured, ended? */
static gboolean
is_over(const struct childhurd *c)
{
	return c->state == STATE_STOPPED || (c->state == STATE_FAILED && !childhurd_has_qemu(c));
}

static gboolean
has_port_of(const struct config_guest *a, const struct config_guest *b)
{
	g_autoptr(GArray) ports = config_guest_ports(a);
	g_autoptr(GArray) others = config_guest_ports(b);
	for (guint i = 0; i < ports->len; i++)
		for (guint j = 0; j < others->len; j++)
			if (config_port_meets(&g_array_index(ports, struct config_port, i),
					      &g_array_index(others, struct config_port, j)))
				return TRUE;
	return FALSE;
}

static char *
starts_hindrance(void *data, const struct childhurd *c)
{
	const struct hird *h = data;
	const struct childhurd *other;
	for (guint i = 0; (other = roster_guest(&h->roster, i)); i++) {
		gboolean removed = i >= h->roster.worlds->len;
		gboolean there =
		    removed ? !is_over(other) : childhurd_has_qemu(other) || other->has_port;
		if (other != c && there && has_port_of(c->config, other->config))
			return g_strdup_printf(
			    "waiting for %s, %s", other->config->name,
			    removed ? "which is no longer configured and has its ports until it is "
				      "stopped"
				    : "which has its ports until it is restarted");
	}
	return NULL;
}

static guint
starts_places(void *data)
{
	const struct hird *h = data;
	return (guint)h->host.config->parallel_starts;
}

static void
starts_apply(void *data, struct childhurd *c)
{
	world_apply(world_of(c));
}

static gint64
starts_memory_free(void *data)
{
	return starts_memory_host();
}

static gint64
starts_memory_taken(void *data, const struct childhurd *c)
{
	return world_memory(world_of(c));
}

static void
starts_look_after(void *data, gint64 after)
{
	struct hird *h = data;
	ev_timer_stop(h->host.loop, &h->admit);
	ev_timer_set(&h->admit, (double)after / 1000, 0);
	ev_timer_start(h->host.loop, &h->admit);
}

static struct childhurd *
starts_guest(void *data, guint i)
{
	return roster_guest(&((struct hird *)data)->roster, i);
}

static const struct starts_ops starts_ops = {
    .guest = starts_guest,
    .places = starts_places,
    .apply = starts_apply,
    .memory_free = starts_memory_free,
    .hindrance = starts_hindrance,
    .memory_taken = starts_memory_taken,
    .look = starts_look_after,
};

static void
on_admit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct hird *h = w->data;
	starts_look(h->starts);
}

/* --- for guests --- */

static void
host_publish(void *hird)
{
	struct hird *h = hird;
	if (h->listed)
		hird_publish(h);
}

static void
host_queue(void *hird, struct childhurd *c)
{
	struct hird *h = hird;
	starts_queue(h->starts, c);
}

static void
host_leave(void *hird, struct childhurd *c)
{
	struct hird *h = hird;
	starts_leave(h->starts, c);
}

static void
host_probed(void *hird, const struct childhurd *c, double seconds)
{
	struct hird *h = hird;
	metrics_probe(h->metrics, seconds);
	chronicle_probed(h->chronicle, c, seconds);
}

static void
host_failed(void *hird, struct childhurd *c, const char *picture)
{
	struct hird *h = hird;
	chronicle_failed(h->chronicle, c, picture);
}

/* Followers of the machines look at the held guests again. */
static void
tell_followers(struct hird *h, void *data)
{
	if (h->control)
		control_event(h->control, &(struct control_event){0});
}

static void
holds_changed(void *data)
{
	hird_after_publishing(data, tell_followers, NULL, NULL);
}

static gint64
holds_now(void *data)
{
	return g_get_monotonic_time() / 1000;
}

static const struct holds_ops holds_ops = {.now = holds_now, .changed = holds_changed};

static int
host_hold(void *hird, const struct config_guest *guest)
{
	return holds_hold(((struct hird *)hird)->holds, guest->name, guest->ssh_port,
			  guest->parallel_builds);
}

static void
host_release(void *hird, const char *guest)
{
	holds_release(((struct hird *)hird)->holds, guest);
}

static const struct host_ops host_ops = {
    .event = host_event,
    .publish = host_publish,
    .queue = host_queue,
    .leave = host_leave,
    .probed = host_probed,
    .failed = host_failed,
    .hold = host_hold,
    .release = host_release,
};

/* --- for nodes --- */

static void
nodes_publish(void *hird)
{
	host_publish(hird);
}

static void
nodes_event(void *hird, const char *text)
{
	struct hird *h = hird;
	struct told *told = g_new0(struct told, 1);
	told->text = g_strdup(text);
	told->event = (struct control_event){
	    .number = ++h->event_number, .time = g_get_real_time(), .text = told->text};
	chronicle_event(h->chronicle, &told->event);
	hird_after_publishing(h, tell, told_free, told);
}

static void
nodes_init(struct hird *h)
{
	const struct nodes_setup setup = {.loop = h->host.loop,
					  .files = h->host.files,
					  .guix = h->host.guix,
					  .writer = h->host.writer,
					  .state_directory = h->config->state_directory,
					  .publish = nodes_publish,
					  .event = nodes_event,
					  .data = h};
	h->nodes = nodes_new(&setup);
}

/* --- by a timer: waiting for builds, and removing guests that are no longer configured --- */

/* Builds end one by one. Each time hold keeps the free slots from new builds, also in a drained
 * guest. TRUE: some build still has to end. */
static gboolean
tend_builds(struct hird *h, GPtrArray *worlds)
{
	gboolean waiting = FALSE;
	for (guint i = 0; i < worlds->len; i++) {
		struct childhurd *c = world_childhurd(g_ptr_array_index(worlds, i));
		if (!c->winding_down && c->state != STATE_DRAINING)
			continue;
		int builds = c->ops->hold(c);
		if (c->winding_down && builds <= 0)
			childhurd_event(c, EVENT_BUILD_ENDED, NULL);
		waiting |= c->winding_down || builds > 0;
	}
	return waiting;
}

static void
on_tend(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct hird *h = w->data;
	gboolean waiting = tend_builds(h, h->roster.worlds);
	waiting |= tend_builds(h, h->roster.removed);
	for (guint i = h->roster.removed->len; i-- > 0;) {
		struct world *r = g_ptr_array_index(h->roster.removed, i);
		if (is_over(world_childhurd(r))) {
			g_message("%s: gone, it is no longer configured",
				  world_childhurd(r)->config->name);
			chronicle_gone(h->chronicle, world_childhurd(r)->config->name);
			g_ptr_array_remove_index(h->roster.removed, i);
			world_forget(r);
			world_free(r);
		}
	}
	if (!waiting && !h->roster.removed->len)
		ev_timer_stop(loop, w);
}

/* --- logs that grow with what guests do --- */

struct rotation {
	char *folder, *own;
};

static void
rotation_work(void *data)
{
	const struct rotation *rotation = data;
	if (rotation->folder)
		log_rotate_all(rotation->folder);
	log_rotate(rotation->own, LOG_LIMIT, LOG_COPIES, NULL, NULL);
}

static void
rotation_free(void *data)
{
	struct rotation *rotation = data;
	g_free(rotation->folder);
	g_free(rotation->own);
	g_free(rotation);
}

static void
look_at_logs(struct hird *h)
{
	if (lane_busy(h->logs))
		return;
	struct rotation *rotation = g_new0(struct rotation, 1);
	rotation->folder = g_strdup(hypervisor_logs(h->host.hypervisor));
	rotation->own = g_build_filename(h->host.config->state_directory, "libvirt.log", NULL);
	lane_run(h->logs, 0, rotation_work, NULL, rotation_free, rotation);
}

static void
on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	look_at_logs(w->data);
	publish_look(w->data);
}

/* --- the whole --- */

/* Has an earlier daemon had one of the guests? */
static gboolean
had_guests(const struct config *config)
{
	gboolean any = FALSE;
	for (guint i = 0; i < config->guests->len && !any; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		g_autofree char *record =
		    g_build_filename(config->state_directory, guest->name, WORLD_RECORD, NULL);
		any = g_file_test(record, G_FILE_TEST_EXISTS);
	}
	return any;
}

static void
history_init(struct hird *h)
{
	g_autofree char *path = g_build_filename(h->config->state_directory, HISTORY_FILE, NULL);
	gboolean earlier = had_guests(h->config);
	h->chronicle = chronicle_new(h->host.loop, path, earlier, &h->roster);
	h->readers = readers_new(h->host.loop, chronicle_history(h->chronicle));
	/* also while nothing is kept: a reload may begin that, and must not use numbers anew */
	h->event_number = ledger_number_before(path, earlier && h->config->history);
	chronicle_keep(h->chronicle, h->config->history);
}

static void
timers_init(struct hird *h)
{
	ev_timer_init(&h->admit, on_admit, 0, 0);
	ev_timer_init(&h->tend, on_tend, BUILD_POLL, BUILD_POLL);
	ev_timer_init(&h->look, on_look, 0, LOG_LOOK);
	h->admit.data = h->tend.data = h->look.data = h;
	take_over_init(h);
}

/* FALSE: it is not known what is wanted of a guest. The next daemon may find it out. */
static gboolean
worlds_make(struct hird *h, GError **error)
{
	const GPtrArray *guests = h->config->guests;
	for (guint i = 0; i < guests->len; i++) {
		struct world *r = world_new(&h->host, g_ptr_array_index(guests, i));
		g_ptr_array_add(h->roster.worlds, r);
		const struct record *record = world_last_record(r);
		if (record->unread) {
			g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
					    record->damage);
			return FALSE;
		}
	}
	return TRUE;
}

struct hird *
hird_new(struct ev_loop *loop, struct config *config, GError **error)
{
	struct hird *h = g_new0(struct hird, 1);
	h->config = config;
	h->roster.worlds = g_ptr_array_new();
	h->roster.removed = g_ptr_array_new();
	h->starts = starts_new(&starts_ops, h);
	h->holds = holds_new(&holds_ops, h);
	h->names = g_ptr_array_new();
	timers_init(h);
	h->host = (struct host){.loop = loop, .config = config, .ops = &host_ops, .hird = h};
	h->host.tasks = tasks_new(loop, -1);
	h->host.writer = writer_new(loop, NULL);
	h->host.files = tasks_new(loop, -1);
	h->host.guix = lane_new(h->host.files);
	history_init(h);
	publish_init(h);
	nodes_init(h);
	h->loads = lane_new(h->host.files);
	h->logs = lane_new(h->host.files);
	h->host.qemu_user = qemu_user_find(config->qemu_user, error);
	h->host.acceleration = kvm_new(loop, config->state_directory, h->host.qemu_user);
	h->metrics = metrics_new();
	h->metrics_file = metrics_file_new(loop, METRICS_FILE_PERIOD, hird_metrics, h);
	h->selfcheck = selfcheck_new(loop, hird_findings, h);
	selfcheck_loaded(h->selfcheck, config);
	if (h->host.qemu_user && h->host.qemu_user->note)
		g_warning("%s", h->host.qemu_user->note);
	if (h->host.qemu_user)
		h->host.hypervisor = hypervisor_new(
		    h->host.tasks, config->uri, config->state_directory, config->runtime_directory,
		    h->host.qemu_user, take_over_on_domain, h, error);
	struct control_hird serve = hird_serve(h);
	g_autofree char *socket = g_build_filename(config->runtime_directory, "control", NULL);
	if (h->host.hypervisor)
		h->control = control_new(loop, socket, config->control_group, &serve, error);
	if (!h->control) {
		hird_free(h);
		return NULL;
	}
	control_number(h->control, h->event_number);
	if (!worlds_make(h, error)) {
		hird_free(h);
		return NULL;
	}
	metrics_file_set(h->metrics_file, config->metrics_file);
	nodes_configure(h->nodes, config, NULL);
	take_over_begin(h);
	ev_timer_start(loop, &h->look);
	return h;
}

gboolean
hird_broken(const struct hird *h)
{
	return h->broken;
}

static gboolean
any_runs(const GPtrArray *worlds)
{
	for (guint i = 0; i < worlds->len; i++) {
		const struct childhurd *c = world_childhurd(g_ptr_array_index(worlds, i));
		if (childhurd_has_qemu(c))
			return TRUE;
	}
	return FALSE;
}

gboolean
hird_guests_run(const struct hird *h)
{
	return !h->listed || any_runs(h->roster.worlds) || any_runs(h->roster.removed);
}

static void
free_worlds(GPtrArray *worlds)
{
	for (guint i = 0; i < worlds->len; i++)
		world_free(g_ptr_array_index(worlds, i));
	g_ptr_array_unref(worlds);
}

void
hird_free(struct hird *h)
{
	ev_timer_stop(h->host.loop, &h->admit);
	ev_timer_stop(h->host.loop, &h->tend);
	ev_timer_stop(h->host.loop, &h->list);
	ev_timer_stop(h->host.loop, &h->open);
	ev_timer_stop(h->host.loop, &h->look);
	/* The loop still runs here, so guests and clients may still use all of this. */
	metrics_file_set(h->metrics_file, NULL);
	publish_settle(h);
	nodes_free(h->nodes);
	metrics_file_free(h->metrics_file);
	publish_clear(h);
	if (h->control)
		control_free(h->control);
	lane_free(h->loads);
	lane_free(h->logs);
	lane_free(h->host.guix);
	selfcheck_free(h->selfcheck);
	readers_free(h->readers);
	free_worlds(h->roster.worlds);
	free_worlds(h->roster.removed);
	chronicle_free(h->chronicle);
	starts_free(h->starts);
	holds_free(h->holds);
	g_clear_pointer(&h->held, g_array_unref);
	g_ptr_array_unref(h->names);
	g_clear_pointer(&h->machines, g_array_unref);
	g_clear_pointer(&h->node_list, g_array_unref);
	description_clear(&h->description);
	metrics_free(h->metrics);
	kvm_free(h->host.acceleration);
	writer_finish(h->host.writer);
	if (h->host.hypervisor)
		hypervisor_leave(h->host.hypervisor);
	/* The hypervisor's threads may still report, so tasks and this structure are not freed. */
}
