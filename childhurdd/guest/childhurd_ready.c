/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that answers: whether it gets builds, its store and its clock. Work that would disturb a
 * build waits until none runs.
 */
#include "childhurdd/guest/childhurd_internal.h"

const char childhurd_phase_collecting[] = "its garbage is being collected";
const char childhurd_phase_winding_down[] = "waiting for the running build to end";
const char childhurd_phase_saving[] = "its warm state is being saved";

/* Set its clock, if no build runs. The slots keep builds out already. */
static void
set_clock(struct childhurd *c)
{
	gint64 now = c->ops->now(c);
	if ((c->state != STATE_READY && c->state != STATE_DRAINING) || c->setting_clock ||
	    c->collecting || (c->clock_set_at && now - c->clock_set_at < CLOCK_AGAIN))
		return;
	childhurd_list_again(c);
	if (c->ops->hold(c) > 0)
		return;
	c->setting_clock = TRUE;
	c->clock_set_at = now;
	c->ops->set_clock(c);
}

void
childhurd_note_clock(struct childhurd *c, gboolean off, const char *what)
{
	gboolean news = off != c->clock_off;
	c->clock_off = off;
	g_free(c->clock_text);
	c->clock_text = g_strdup(what);
	if (!off)
		c->clock_set_at = 0; /* it has helped */
	if (news) {
		childhurd_list_again(c);
		c->ops->changed(c, FALSE, what);
		childhurd_mind_slots(c);
	}
	if (c->state == STATE_READY && (news || off) && !c->unasked)
		childhurd_set_phase(c, childhurd_ready_phase(c));
	if (off)
		set_clock(c);
}

void
childhurd_ready(struct childhurd *c)
{
	g_autofree char *why = NULL;
	if (childhurd_save_first(c))
		return;
	if (c->state == STATE_RESTORING) {
		gint64 took = c->ops->now(c) - c->since;
		c->warm_failures = 0;
		why = g_strdup_printf("from its warm state in %.1f s", (double)took / 1000);
	} else if (!c->proven && c->launched_at) {
		gint64 took = c->boot_took ? c->boot_took : c->ops->now(c) - c->launched_at;
		childhurd_boots_note(c, took);
		why = g_strdup_printf("%.1f s after QEMU's start", (double)took / 1000);
	} else {
		why = g_strdup("it answers");
	}
	c->enrolled = c->proven = TRUE;
	c->going_down = GOING_DOWN_NOT;
	c->ops->leave(c);
	if (c->winding_down) {
		childhurd_set_state(c, STATE_DRAINING, c->wish);
		childhurd_set_phase(c, childhurd_phase_winding_down);
	} else if (c->drained) {
		childhurd_set_state(c, STATE_DRAINING, "drained");
	} else if (childhurd_is_used_up(c)) {
		childhurd_set_state(c, STATE_DRAINING, why);
		childhurd_recycle(c);
	} else {
		childhurd_set_state(c, STATE_READY, why);
	}
	if (c->clock_off)
		set_clock(c);
}

void
childhurd_come_down(struct childhurd *c, const char *why)
{
	if (c->aim == AIM_PRISTINE && childhurd_restore(c, why))
		return;
	childhurd_stop(c, c->aim == AIM_ASLEEP ? childhurd_rung_to_sleep(c) : RUNG_HALT, why);
}

void
childhurd_wind_down(struct childhurd *c, enum aim aim, const char *why)
{
	c->winding_down = TRUE;
	c->aim = aim;
	g_free(c->wish);
	c->wish = g_strdup(why);
	if (c->state != STATE_UNRESPONSIVE)
		childhurd_set_state(c, STATE_DRAINING, why);
	else
		c->ops->changed(c, FALSE, why);
	if (c->ops->hold(c) <= 0) {
		childhurd_come_down(c, c->wish);
		return;
	}
	childhurd_set_phase(c, childhurd_phase_winding_down);
}

void
childhurd_drain(struct childhurd *c, const char *why)
{
	c->drained = TRUE;
	if (c->state == STATE_READY) {
		childhurd_set_state(c, STATE_DRAINING, why);
	} else {
		c->ops->changed(c, FALSE, "drained: it will not be published");
		childhurd_mind_slots(c);
	}
}

void
childhurd_undrain(struct childhurd *c, const char *why)
{
	c->drained = FALSE;
	if (c->state == STATE_DRAINING) {
		c->winding_down = c->to_sleep = FALSE;
		c->want_up = TRUE;
		c->discard = c->cold = FALSE;
		if (childhurd_is_used_up(c))
			childhurd_recycle(c);
		else
			childhurd_set_state(c, STATE_READY, why);
	} else if (c->winding_down) { /* unresponsive: its stop waits for a build */
		c->winding_down = c->to_sleep = FALSE;
		c->want_up = TRUE;
		c->discard = c->cold = FALSE;
		c->ops->changed(c, FALSE, "it is not stopped any more");
		childhurd_mind_slots(c);
	} else {
		c->ops->changed(c, FALSE, "no longer drained");
		childhurd_mind_slots(c);
	}
}

/* Back onto the list. */
static void
collect_no_more(struct childhurd *c)
{
	c->to_collect = FALSE;
	childhurd_list_again(c);
	childhurd_mind_slots(c);
}

/* Little space is left in its store: make some, if no build runs. */
static void
tidy(struct childhurd *c)
{
	gint64 now = c->ops->now(c);
	gboolean asked = c->to_collect;
	if (!c->config->store_floor || c->collecting || (!asked && c->ops->builds(c) != 0))
		return;
	if (c->config->disk == CONFIG_DISK_EPHEMERAL && c->had_room) {
		childhurd_wind_down(c, AIM_PRISTINE, "its store ran low; it gets a new disk");
		return;
	}
	if (c->collected_at && now - c->collected_at < COLLECT_AGAIN)
		return;
	c->to_collect = TRUE;
	childhurd_list_again(c);
	/* A build began before it was off the list, or a coordinator has not answered yet; the next
	 * probe shows which. */
	if (c->ops->hold(c) > 0) {
		if (asked)
			collect_no_more(c);
		return;
	}
	c->to_collect = FALSE;
	c->collecting = TRUE;
	c->ops->changed(c, FALSE, childhurd_phase_collecting);
	childhurd_set_phase(c, childhurd_phase_collecting);
	c->ops->collect(c);
}

void
childhurd_note_room(struct childhurd *c, enum event event, const char *what)
{
	enum room room = event == EVENT_ROOM  ? ROOM_ENOUGH
			 : event == EVENT_LOW ? ROOM_LOW
					      : ROOM_NONE;
	if (room == ROOM_ENOUGH) {
		c->had_room = TRUE;
		c->collected_at = 0; /* it has helped */
	}
	if (room != c->room) {
		c->room = room;
		c->ops->changed(c, FALSE, what);
	}
	g_free(c->room_text);
	c->room_text = g_strdup(what);
	if (c->state != STATE_READY)
		return;
	if (!c->unasked)
		childhurd_set_phase(c, childhurd_ready_phase(c));
	if (room != ROOM_ENOUGH)
		tidy(c);
	else if (c->to_collect)
		collect_no_more(c);
}
