/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that does not answer, cannot be probed, is paused, or reports that it goes down: how long
 * that may last, and what follows.
 */
#include "childhurdd/guest/childhurd_internal.h"

/* what is &c->unasked or &c->paused; it becomes is_so. */
static void
stall(struct childhurd *c, gboolean *what, gboolean is_so)
{
	gint64 left = c->unasked || c->paused || c->deadline >= 0 ? childhurd_limit_left(c) : -1;
	*what = is_so;
	if (left >= 0)
		childhurd_set_limit(c, left);
}

void
childhurd_hang(struct childhurd *c, const char *what)
{
	gint64 now = c->ops->now(c), quiet = now - c->ops->sign(c);
	if (c->ops->builds(c) > 0 && quiet < c->config->hang_timeout &&
	    now - c->since < HANG_LONGEST) {
		childhurd_set_phase(c, "it does not answer, but a build runs and it shows signs of "
				       "life");
		childhurd_set_deadline(c, c->config->hang_timeout - quiet);
		return;
	}
	childhurd_fail(c, VERDICT_FAILURE, what);
}

void
childhurd_doubt(struct childhurd *c, gint64 limit, const char *what)
{
	if (c->state == STATE_DRAINING && !c->winding_down)
		c->drained = TRUE;
	c->taken_over = FALSE;
	childhurd_set_state(c, STATE_UNRESPONSIVE, what);
	childhurd_set_limit(c, limit);
}

void
childhurd_distrust(struct childhurd *c, const char *what)
{
	if (!c->taken_over)
		return;
	gint64 left = childhurd_limit_left(c);
	c->taken_over = FALSE;
	childhurd_set_state(c, STATE_UNRESPONSIVE, what);
	childhurd_set_limit(c, left);
}

static gboolean
is_listed_state(const struct childhurd *c)
{
	return c->state == STATE_READY || c->state == STATE_DRAINING;
}

void
childhurd_unasked(struct childhurd *c, const char *what)
{
	if (!c->unasked) {
		stall(c, &c->unasked, TRUE);
		c->ops->changed(c, FALSE, what);
	}
	if (!c->paused)
		childhurd_set_phase(c, what);
}

void
childhurd_asked(struct childhurd *c)
{
	if (!c->unasked)
		return;
	stall(c, &c->unasked, FALSE);
	c->ops->changed(c, FALSE, "it can be asked again");
	if (c->paused)
		return;
	if (c->state == STATE_DRAINING)
		childhurd_set_phase(c, c->winding_down ? childhurd_phase_winding_down : NULL);
	else
		childhurd_set_phase(c, c->state == STATE_READY ? childhurd_ready_phase(c) : NULL);
}

void
childhurd_paused(struct childhurd *c, const char *what)
{
	gboolean news = !c->taken_over && (!c->paused || g_strcmp0(c->phase, what));
	childhurd_distrust(c, what);
	stall(c, &c->paused, TRUE);
	if (is_listed_state(c))
		childhurd_doubt(c, c->config->hang_timeout, what);
	else if (news)
		c->ops->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
}

void
childhurd_resumed(struct childhurd *c, const char *what)
{
	if (!c->paused)
		return;
	stall(c, &c->paused, FALSE);
	c->ops->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
	if (c->state == STATE_UNRESPONSIVE && !c->going_down)
		childhurd_set_limit(c, c->config->hang_timeout);
	c->ops->ask(c);
}

void
childhurd_goes_down(struct childhurd *c, enum event event, const char *what)
{
	gboolean first = !c->going_down;
	if (first) {
		c->going_down = GOING_DOWN_SAID;
		c->up_again = FALSE;
	}
	c->goes_for_reboot = event == EVENT_REBOOTING;
	if (c->state == STATE_STOPPING) {
		childhurd_hasten(c);
		return;
	}
	if (!first)
		return;
	if (is_listed_state(c) || c->taken_over) {
		childhurd_doubt(c, c->config->stop_timeout, what);
		return;
	}
	c->ops->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
	childhurd_set_limit(c, MIN(childhurd_limit_left(c), c->config->stop_timeout));
}

void
childhurd_is_down(struct childhurd *c)
{
	const char *what = c->goes_for_reboot
			       ? "it said that it reboots, and does not answer any more"
			       : "it said that it halts, and does not answer any more";
	if (c->going_down == GOING_DOWN_SAID) {
		c->going_down = GOING_DOWN_ASKED;
		childhurd_set_phase(c, "it said that it goes down: does it answer?");
		childhurd_set_limit(c, GOING_DOWN_ANSWER);
		c->ops->ask(c);
		return;
	}
	c->reason = c->goes_for_reboot ? FAILURE_REBOOTED : FAILURE_HALTED;
	if (!c->proven) {
		childhurd_fail(c, VERDICT_FAILURE, what);
	} else if (c->up_again ||
		   (c->goes_for_reboot && c->config->restart != CONFIG_RESTART_NEVER)) {
		c->restarts++;
		childhurd_fail(c, VERDICT_NONE, what);
	} else {
		childhurd_fail(c, VERDICT_POWERED_OFF, what);
	}
}
