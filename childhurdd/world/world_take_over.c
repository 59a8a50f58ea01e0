/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest that an earlier daemon started: it goes on as its record describes it. */
#include "childhurdd/qemu/console.h"
#include "childhurdd/world/host_keys.h"
#include "childhurdd/world/world_internal.h"

static void
recall_host_keys(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	g_autoptr(GError) error = NULL;
	g_autofree char *extra = extra_of(r);
	r->host_keys = guest_host_keys(guest->inject, extra, r->secrets, &error);
	if (error)
		g_warning("%s: %s", guest->name, error->message);
}

void
world_take_over(struct world *r, const struct hypervisor_qemu *qemu)
{
	struct childhurd *c = r->c;
	const struct record *record = &r->last_record;
	const struct config_guest *wanted = config_guest_ref(c->config);
	if (!r->found && record->guest)
		r->found =
		    config_guest_from(wanted->name, (const char *const *)record->guest, wanted);
	if (r->found)
		childhurd_configure(c, r->found);
	childhurd_recall(c, &record->kept);
	if (!record->known)
		childhurd_recall_up(c);
	r->kvm = record->kvm;
	r->emulator = g_strdup(record->emulator);
	if (record->kept.saving)
		world_warm_may_stand(r);
	/* This text stays visible once it is down. */
	g_autofree char *text =
	    record->kept.going_down
		? g_strdup("it was on its way down when the earlier daemon ended")
		: g_strdup_printf("taken over from the earlier daemon (process %d)",
				  (int)qemu->pid);
	if (!r->host_keys) /* an older version wrote the record, without them */
		recall_host_keys(r);
	world_console_start(r);
	console_recall(r->console);
	world_watch_qemu(r, qemu->id, qemu->pid);
	childhurd_event(c, EVENT_FOUND, text);
	world_look_at_pause(r);
	if (c->config != wanted) /* changed meanwhile: do as a reload does */
		g_strfreev(world_configure(r, wanted));
	config_guest_unref(wanted);
}

struct world *
world_adopt(const struct host *host, const char *name)
{
	g_autofree char *path =
	    g_build_filename(host->config->state_directory, name, WORLD_RECORD, NULL);
	struct record record = record_read(path);
	struct config_guest *guest =
	    record.guest ? config_guest_from(name, (const char *const *)record.guest, NULL) : NULL;
	struct world *r = guest ? world_new(host, guest) : NULL;
	if (record.damage)
		g_warning("%s: %s", name, record.damage);
	if (r)
		r->found = guest;
	record_clear(&record);
	return r;
}
