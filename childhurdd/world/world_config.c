/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Another configuration for a guest: what changes at once, and what waits for a restart. */
#include "childhurdd/world/coordinators.h"
#include "childhurdd/world/world_internal.h"

/* The keys on which neither QEMU nor the overlay nor the guest's secrets depend. */
static const char *const live_keys[] = {
    "autostart",
    "warm-start",
    "prepare-command",
    "recycle-after",
    "idle-timeout",
    "restart",
    "probe-interval",
    "boot-timeout",
    "hang-timeout",
    "stop-timeout",
    "probe-command",
    "speed",
    "systems",
    "features",
    "count",
    "parallel-builds",
    "overload-threshold",
    "store-floor",
    "clock-skew-limit",
    NULL,
};

static gboolean
all_live(char **keys)
{
	for (; *keys; keys++)
		if (!g_strv_contains(live_keys, *keys))
			return FALSE;
	return TRUE;
}

/* Set the configuration that waits for a restart; NULL: none. */
static void
set_next(struct world *r, const struct config_guest *guest)
{
	const struct config_guest *old = r->next;
	r->next = config_guest_ref(guest);
	config_guest_unref(old);
}

char **
world_differences(const struct world *r, const struct config_guest *guest, gboolean *restart)
{
	const struct config_guest *settled = world_settle(r, guest);
	char **keys = config_guest_differences(r->c->config, settled);
	config_guest_unref(settled);
	*restart = !childhurd_is_at_rest(r->c) && !all_live(keys);
	return keys;
}

static char **
configure(struct world *r, const struct config_guest *guest)
{
	struct childhurd *c = r->c;
	char **keys = config_guest_differences(c->config, guest);
	set_next(r, NULL);
	if (childhurd_is_at_rest(c) || all_live(keys)) {
		if (c->has_port)
			world_leave_port(c);
		childhurd_configure(c, guest);
		if (c->has_port)
			world_take_port(c);
		world_mind_use(r);
		if (r->health)
			health_configure(r->health, guest);
		return keys;
	}
	set_next(r, guest);
	g_autofree char *list = g_strjoinv(", ", keys);
	g_autofree char *why = g_strdup_printf("the configuration changed: %s", list);
	if (c->want_up)
		childhurd_event(c, EVENT_RESTART, why);
	return keys;
}

char **
world_configure(struct world *r, const struct config_guest *guest)
{
	const struct config_guest *settled = world_settle(r, guest);
	char **keys = configure(r, settled);
	config_guest_unref(settled);
	return keys;
}

void
world_apply(struct world *r)
{
	if (r->next) {
		childhurd_configure(r->c, r->next);
		childhurd_boots_forget(r->c);
	}
	set_next(r, NULL);
}

char **
world_coordinators_wait(const struct world *r)
{
	const struct config_guest *next = r->next ? r->next : r->c->config;
	g_auto(GStrv) now = coordinators_use(next) ? coordinators_marks(r->host->config) : NULL;
	return coordinators_differences(r->qemu.id ? r->coordinators : now, now);
}

char **
world_restart_needed(const struct world *r)
{
	return r->next ? config_guest_differences(r->c->config, r->next) : NULL;
}
