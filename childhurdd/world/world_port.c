/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's port while it is asleep: the calls of struct world_ops about it. */
#include "childhurdd/world/door.h"
#include "childhurdd/world/world_internal.h"

static void
on_caller(void *data)
{
	const struct world *r = data;
	childhurd_event(r->c, EVENT_WOKEN, "somebody connected to it");
}

static void
on_no_port(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	const struct world *r = watcher->data;
	childhurd_event(r->c, EVENT_START, "its port cannot be had while it is asleep");
}

/* A guest that cannot have its port is started: its start says what is wrong, and tries again. */
void
world_take_port(struct childhurd *c)
{
	struct world *r = world_from(c);
	const struct config_guest *guest = c->config;
	g_autoptr(GError) error = NULL;
	g_clear_pointer(&r->message, g_bytes_unref); /* it may sleep for long */
	if (!r->host_keys && !r->keys)		     /* it is published with them */
		world_make_keys(r);
	if (!r->door)
		r->door = door_new(r->host->loop, on_caller, r);
	if (door_open(r->door, guest->listen_address, guest->ssh_port, &error))
		return;
	g_warning("%s: %s", guest->name, error->message);
	ev_timer_stop(r->host->loop, &r->no_port);
	ev_timer_set(&r->no_port, 0, 0);
	ev_timer_start(r->host->loop, &r->no_port);
}

void
world_leave_port(struct childhurd *c)
{
	struct world *r = world_from(c);
	ev_timer_stop(r->host->loop, &r->no_port);
	door_close(r->door);
}

int
world_callers(struct childhurd *c)
{
	return (int)door_callers(world_from(c)->door);
}

int
world_pass_on(struct childhurd *c)
{
	struct world *r = world_from(c);
	return (int)door_pass_on(r->door, qemu_user_identity(r->host->qemu_user));
}

void
world_turn_away(struct childhurd *c)
{
	door_turn_away(world_from(c)->door);
}

void
world_port_init(struct world *r)
{
	ev_timer_init(&r->no_port, on_no_port, 0, 0);
	r->no_port.data = r;
}

void
world_port_clear(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->no_port);
	door_free(r->door);
}
