/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's state, its limit, and its place in the list of machines. A state changes in one place
 * only, which publishes it before anything follows from it.
 */
#include "childhurdd/guest/childhurd_internal.h"

void
childhurd_set_deadline(struct childhurd *c, gint64 after)
{
	c->deadline = after < 0 ? -1 : c->ops->now(c) + after;
	c->ops->timer(c, c->deadline);
}

void
childhurd_set_limit(struct childhurd *c, gint64 after)
{
	gboolean waits = c->unasked || c->paused;
	c->left = waits ? MAX(after, 1) : -1;
	childhurd_set_deadline(c, waits ? -1 : MAX(after, 1));
}

gint64
childhurd_limit_left(struct childhurd *c)
{
	return c->unasked || c->paused ? c->left : c->deadline - c->ops->now(c);
}

static enum listing
listing_of(const struct childhurd *c)
{
	if (childhurd_published(c))
		return LISTING_READY;
	return childhurd_coming_up(c) ? LISTING_COMING : LISTING_NOT;
}

void
childhurd_mind_slots(struct childhurd *c)
{
	if (c->state == STATE_DRAINING || c->state == STATE_STOPPING ||
	    c->state == STATE_RESTORING || c->winding_down || c->to_collect || c->collecting ||
	    c->saving ||
	    ((c->clock_off || c->drained || childhurd_is_used_up(c)) && c->qemu == QEMU_RUNNING))
		c->ops->hold(c);
	else
		c->ops->release(c);
}

const char *
childhurd_ready_phase(const struct childhurd *c)
{
	if (c->clock_off)
		return c->clock_text;
	if (c->collecting)
		return childhurd_phase_collecting;
	return c->room != ROOM_ENOUGH ? c->room_text : NULL;
}

void
childhurd_set_state(struct childhurd *c, enum state state, const char *why)
{
	g_autofree char *old = c->why;
	if (c->state == STATE_READY && c->ops->now(c) - c->since >= BACKOFF_FORGET)
		c->failures = 0;
	c->why = g_strdup(why ? why : old);
	c->state = state;
	c->taken_over &= state == STATE_UNRESPONSIVE;
	c->since = c->ops->now(c);
	g_free(c->phase);
	c->phase = state == STATE_READY ? g_strdup(childhurd_ready_phase(c)) : NULL;
	childhurd_set_deadline(c, -1);
	c->left = -1;
	c->hurried = FALSE;
	if (state == STATE_ASLEEP) /* it is published with it */
		childhurd_take_port(c);
	if (state != STATE_READY && state != STATE_DRAINING) /* the session has ended */
		c->to_collect = c->collecting = c->setting_clock = FALSE;
	c->listing = listing_of(c);
	c->ops->changed(c, TRUE, c->why);
	childhurd_mind_slots(c);
	childhurd_answer_callers(c);
}

void
childhurd_list_again(struct childhurd *c)
{
	if (c->listing == listing_of(c))
		return;
	c->listing = listing_of(c);
	c->ops->changed(c, TRUE, NULL);
}

void
childhurd_set_phase(struct childhurd *c, const char *phase)
{
	if (g_strcmp0(c->phase, phase) == 0)
		return;
	g_free(c->phase);
	c->phase = g_strdup(phase);
	c->ops->changed(c, FALSE, NULL);
}

gboolean
childhurd_published(const struct childhurd *c)
{
	if (c->state == STATE_ASLEEP)
		return !c->drained;
	return c->state == STATE_READY && c->room != ROOM_NONE && !c->to_collect &&
	       !c->collecting && !c->clock_off;
}

gboolean
childhurd_coming_up(const struct childhurd *c)
{
	switch (c->state) {
	case STATE_STARTING:
	case STATE_BOOTING:
	case STATE_ENROLLING:
	case STATE_RESTORING:
	case STATE_UNRESPONSIVE:
	case STATE_BACKOFF:
		return c->want_up && !c->drained;
	case STATE_READY:
		return !childhurd_published(c);
	case STATE_DRAINING:
	case STATE_STOPPING:
		return c->want_up && !c->drained && (c->winding_down || c->state == STATE_STOPPING);
	default:
		return FALSE;
	}
}
