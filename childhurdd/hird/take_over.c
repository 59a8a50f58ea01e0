/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds the guests that run already. At its start, and after it lost the connection, the daemon
 * asks the hypervisor until it answers. Then it takes over or ends the guests that run, starts
 * others, and opens the control socket.
 */
#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/system/notify.h"

#define LIST_RETRY 2.0 /* s until the hypervisor is asked again which guests run */
#define LIST_LIMIT 5.0 /* s that clients wait for its first answer; then commands are refused */

/* A guest of ours that is no longer configured. It is stopped once no build runs, as after a
 * reload. If nothing is known of it, its QEMU is ended at once. */
static void
end_stranger(struct hird *h, const struct hypervisor_domain *domain)
{
	struct world *r = domain->qemu.pid ? world_adopt(&h->host, domain->name) : NULL;
	g_warning("%s: runs, but is no longer configured; %s", domain->name,
		  r ? "it is stopped, when no build runs" : "it is ended");
	if (!r) {
		hypervisor_destroy(h->host.hypervisor, &domain->qemu, NULL, NULL);
		return;
	}
	g_ptr_array_add(h->roster.removed, r);
	world_take_over(r, &domain->qemu);
	childhurd_event(world_childhurd(r), EVENT_STOP, "no longer configured");
}

static void
end_strangers(struct hird *h, GPtrArray *domains)
{
	for (guint i = 0; i < domains->len; i++) {
		const struct hypervisor_domain *domain = g_ptr_array_index(domains, i);
		g_autofree char *uuid = domain_uuid(h->host.config->state_directory, domain->name);
		/* a guest that a reload has removed meanwhile is stopping already */
		if (!roster_find_any(&h->roster, domain->name) && !strcmp(uuid, domain->qemu.uuid))
			end_stranger(h, domain);
	}
}

static void
take_over_found(struct hird *h, GPtrArray *domains)
{
	for (guint i = 0; i < domains->len; i++) {
		const struct hypervisor_domain *domain = g_ptr_array_index(domains, i);
		struct world *r = roster_find(&h->roster, domain->name);
		/* without a process it has ended, and libvirt does not know yet */
		if (r && !strcmp(world_qemu(r)->uuid, domain->qemu.uuid) && domain->qemu.pid)
			world_take_over(r, &domain->qemu);
	}
}

/*
 * The connection was lost and has come back. A pidfd has reported each QEMU that ended meanwhile.
 * But a start whose reply was lost may have succeeded, and then a QEMU runs that its guest does not
 * know.
 */
static void
end_unknown(struct hird *h, GPtrArray *domains)
{
	for (guint i = 0; i < domains->len; i++) {
		const struct hypervisor_domain *domain = g_ptr_array_index(domains, i);
		struct world *r = roster_find(&h->roster, domain->name);
		if (!r || strcmp(world_qemu(r)->uuid, domain->qemu.uuid))
			continue;
		const struct childhurd *c = world_childhurd(r);
		if (!childhurd_has_qemu(c)) {
			g_warning("%s: its QEMU came up while the hypervisor was away; it is ended",
				  domain->name);
			hypervisor_destroy(h->host.hypervisor, &domain->qemu, NULL, NULL);
		}
	}
}

static void
start_at_begin(struct world *r)
{
	struct childhurd *c = world_childhurd(r);
	const struct record *record = world_last_record(r);
	const struct childhurd_kept *kept = &record->kept;
	if (kept->drained)
		childhurd_recall_drained(c);
	childhurd_recall_warm_failures(c, kept->warm_failures);
	if (kept->discard) {
		childhurd_event(c, kept->cold ? EVENT_RESET_COLD : EVENT_RESET,
				"reset before the daemon was started");
		world_record(r);
	}
	if (record->known && !kept->want_up)
		childhurd_recall_stopped(c, "stopped before the daemon was started");
	else if (record->known && kept->to_sleep)
		childhurd_event(c, EVENT_SLEEP, "it was asleep before");
	else if (!record->known && c->config->autostart == CONFIG_AUTOSTART_ASLEEP)
		childhurd_event(c, EVENT_SLEEP, "autostart = asleep");
	else if (c->config->autostart != CONFIG_AUTOSTART_NO || kept->want_up)
		childhurd_event(c, EVENT_START, record->known ? "it was up before" : "autostart");
}

/* Open the socket only once the hypervisor has reported which guests run, has failed, or LIST_LIMIT
 * has passed. */
static void
open_control(struct hird *h)
{
	if (h->opened)
		return;
	h->opened = TRUE;
	ev_timer_stop(h->host.loop, &h->open);
	control_open(h->control);
	notify_send(h->listed ? "READY=1" : "READY=1\nSTATUS=the hypervisor does not answer yet");
}

/* Guests that are no longer configured are off the list now, so they may be ended. */
static void
on_list_written(struct hird *h, void *data)
{
	end_strangers(h, data);
	open_control(h);
	control_event(h->control, &(struct control_event){0}); /* it is known now who is stopped */
}

static void
on_list_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	open_control(w->data);
}

static void
on_listed(const struct hypervisor_result *result, void *data)
{
	struct hird *h = data;
	if (result->error && hypervisor_embedded(h->host.hypervisor)) {
		g_critical("%s", result->error->message);
		h->broken = TRUE;
		ev_break(h->host.loop, EVBREAK_ALL);
		return;
	}
	if (result->error) {
		g_warning("%s; trying again", result->error->message);
		open_control(h);
		ev_timer_stop(h->host.loop, &h->list);
		ev_timer_set(&h->list, LIST_RETRY, 0);
		ev_timer_start(h->host.loop, &h->list);
		return;
	}
	if (h->listed) {
		g_message("the hypervisor is there again");
		end_unknown(h, result->domains);
		return;
	}
	h->listed = TRUE;
	take_over_found(h, result->domains);
	chronicle_begin(h->chronicle);
	for (guint i = 0; i < h->roster.worlds->len; i++) {
		struct world *r = g_ptr_array_index(h->roster.worlds, i);
		if (world_childhurd(r)->state == STATE_STOPPED)
			start_at_begin(r);
	}
	hird_publish(h);
	hird_after_publishing(h, on_list_written, (GDestroyNotify)g_ptr_array_unref,
			      g_ptr_array_ref(result->domains));
}

static void
on_list(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct hird *h = w->data;
	hypervisor_list(h->host.hypervisor, on_listed, h);
}

void
take_over_on_domain(enum hypervisor_event event, const struct hypervisor_qemu *qemu,
		    const char *detail, void *data)
{
	struct hird *h = data;
	if (event == HYPERVISOR_LOST) {
		g_warning("the connection to the hypervisor is lost; the guests run on");
		ev_timer_stop(h->host.loop, &h->list);
		ev_timer_set(&h->list, LIST_RETRY, 0);
		ev_timer_start(h->host.loop, &h->list);
		return;
	}
	const struct childhurd *c;
	for (guint i = 0; (c = roster_guest(&h->roster, i)); i++)
		if (!strcmp(world_qemu(world_of(c))->uuid, qemu->uuid)) {
			world_domain_event(world_of(c), event, qemu->id, detail);
			return;
		}
}

void
take_over_init(struct hird *h)
{
	ev_timer_init(&h->list, on_list, 0, 0);
	ev_timer_init(&h->open, on_list_limit, LIST_LIMIT, 0);
	h->list.data = h->open.data = h;
}

void
take_over_begin(struct hird *h)
{
	on_list(h->host.loop, &h->list, 0);
	ev_timer_start(h->host.loop, &h->open);
}
