/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Warm states: when a guest's state is saved, how a guest begins from it and becomes pristine by
 * it, and a guest that is asleep.
 *
 * A restored guest has the clock and the random state of the moment of the save, so nobody is let
 * in before it was stirred: its slots are kept from builds in state restoring, and its own port
 * leads into it only then. A warm start that goes wrong costs the state and not the guest: it
 * boots.
 */
#include "childhurdd/guest/childhurd_internal.h"

/* --- what is possible --- */

static gboolean
warm_is_on(const struct childhurd *c)
{
	return c->config->warm_start == CONFIG_WARM_START_AUTO && c->warm_failures < WARM_TRIES;
}

gboolean
childhurd_can_start_warm(struct childhurd *c)
{
	return warm_is_on(c) && c->ops->warm(c) == WARM_FITS;
}

/* In the QEMU that runs: what a persistent disk has been written to since is kept. */
static gboolean
can_restore(struct childhurd *c)
{
	return c->config->disk == CONFIG_DISK_EPHEMERAL && !c->cold && childhurd_can_start_warm(c);
}

/* The next daemon has to know what is under way. */
static void
keep(struct childhurd *c)
{
	c->ops->changed(c, TRUE, NULL);
}

/* --- saving --- */

void
childhurd_stop_saving(struct childhurd *c)
{
	if (!c->saving)
		return;
	c->saving = FALSE;
	c->ops->forget(c);
}

gboolean
childhurd_save_first(struct childhurd *c)
{
	if (c->proven || c->warm || c->saved || c->unsavable || !warm_is_on(c) ||
	    c->config->disk != CONFIG_DISK_EPHEMERAL || c->ops->warm(c) != WARM_NONE)
		return FALSE;
	c->saving = TRUE;
	childhurd_mind_slots(c);
	if (c->ops->builds(c) > 0) { /* it was the only one listed; the next boot will do */
		c->saving = FALSE;
		childhurd_mind_slots(c);
		return FALSE;
	}
	c->boot_took = c->launched_at ? c->ops->now(c) - c->launched_at : 0;
	c->ops->quiet(c);
	keep(c);
	c->ops->changed(c, FALSE, "it is proven, and its warm state is to be saved");
	childhurd_set_phase(c, childhurd_phase_saving);
	childhurd_set_limit(c, c->config->boot_timeout + SAVE_LIMIT);
	c->ops->save(c);
	return TRUE;
}

void
childhurd_saved(struct childhurd *c, gboolean saved, const char *what)
{
	if (!c->saving)
		return;
	c->saving = FALSE;
	c->unsavable &= !saved; /* one that has failed is tried again at the next boot */
	keep(c);
	c->ops->changed(c, FALSE, what);
	if (c->state == STATE_STOPPING) {
		childhurd_climb(c, saved ? RUNG_KILL : RUNG_HALT);
		return;
	}
	c->enrolled = TRUE;
	childhurd_mind_slots(c);
	childhurd_set_phase(c, "it is proven again");
	childhurd_set_limit(c, c->config->boot_timeout);
	c->saved = TRUE;
	c->ops->watch(c);
}

/* --- starting from it --- */

void
childhurd_restored(struct childhurd *c)
{
	c->discard = FALSE;
	childhurd_set_phase(c, "its clock and its random state are renewed");
	c->ops->stir(c);
}

void
childhurd_stirred(struct childhurd *c)
{
	c->has_port = FALSE; /* it is the guest's */
	c->enrolled = TRUE;
	childhurd_asked(c);
	keep(c);
	childhurd_set_phase(c, childhurd_phase_silent);
	c->ops->watch(c);
}

/* QEMU has the state and runs. */
void
childhurd_begin_warm(struct childhurd *c, const char *why)
{
	childhurd_set_state(c, STATE_RESTORING, why);
	childhurd_set_limit(c, MIN(RESTORE_LIMIT, c->config->boot_timeout));
	childhurd_restored(c);
}

const char *
childhurd_warm_cure(const struct childhurd *c)
{
	return c->config->disk == CONFIG_DISK_PERSISTENT ? "restart" : "reset --cold";
}

void
childhurd_go_cold(struct childhurd *c, const char *what)
{
	g_autofree char *reason = g_strdup(what ? what : "it did not answer within its limit");
	c->warm_failures++;
	c->restarts++;
	c->ops->forget(c);
	g_autofree char *text =
	    c->warm_failures < WARM_TRIES
		? g_strdup_printf("the warm start failed, so its state is discarded and it boots: "
				  "%s",
				  reason)
		: g_strdup_printf("%d warm starts in a row failed, so it boots each time until "
				  "`childhurdctl %s': %s",
				  c->warm_failures, childhurd_warm_cure(c), reason);
	childhurd_fail(c, VERDICT_NONE, text);
}

/* Nothing has failed: the world is another than that of the save. */
void
childhurd_unfit(struct childhurd *c, const char *why)
{
	if (c->state == STATE_STARTING) { /* the world goes on to prepare a boot */
		c->warm = FALSE;
		childhurd_let_go_of_port(c);
		if (why)
			c->ops->changed(c, FALSE, why);
		return;
	}
	childhurd_fail(c, VERDICT_NONE, why ? why : "its warm state is gone: it boots");
}

/* --- pristine --- */

static void
restore(struct childhurd *c, const char *why)
{
	g_autofree char *reason = g_strdup(why);
	c->ops->quiet(c);
	childhurd_forget_boot(c);
	c->warm = TRUE;
	childhurd_set_state(c, STATE_RESTORING, reason);
	childhurd_set_phase(c, "its warm state is being loaded");
	childhurd_set_limit(c, MIN(RESTORE_LIMIT, c->config->boot_timeout));
	c->ops->restore(c);
}

gboolean
childhurd_restore(struct childhurd *c, const char *why)
{
	if ((c->state != STATE_READY && c->state != STATE_DRAINING) || !can_restore(c))
		return FALSE;
	restore(c, why);
	return TRUE;
}

gboolean
childhurd_is_used_up(const struct childhurd *c)
{
	return c->config->recycle_after && c->config->disk == CONFIG_DISK_EPHEMERAL &&
	       c->served >= c->config->recycle_after;
}

void
childhurd_recycle(struct childhurd *c)
{
	g_autofree char *why = g_strdup_printf("%d build%s: it is made pristine", c->served,
					       c->served == 1 ? "" : "s");
	childhurd_wind_down(c, AIM_PRISTINE, why);
}

void
childhurd_count_build(struct childhurd *c)
{
	c->served++;
	if (!c->config->recycle_after)
		return;
	keep(c);
	if (c->state == STATE_READY && childhurd_is_used_up(c))
		childhurd_recycle(c);
	else
		childhurd_mind_slots(c);
}

/* --- asleep --- */

enum rung
childhurd_rung_to_sleep(struct childhurd *c)
{
	if (c->config->disk == CONFIG_DISK_EPHEMERAL)
		return RUNG_KILL; /* nothing of it is kept */
	if (c->proven && c->state != STATE_UNRESPONSIVE && !c->unsavable && warm_is_on(c) &&
	    c->ops->warm(c) != WARM_IMPOSSIBLE)
		return RUNG_SAVE;
	return c->proven ? RUNG_HALT : childhurd_rung_without_ssh(c);
}

void
childhurd_fall_asleep(struct childhurd *c, const char *why)
{
	g_autofree char *reason = g_strdup(why);
	childhurd_new_boot(c);
	c->failures = 0;
	childhurd_set_state(c, STATE_ASLEEP, reason);
}

/* Who woke it a moment ago did not wait, or was refused and did not come again. */
static gboolean
was_woken_in_vain(struct childhurd *c)
{
	return c->vain_at && c->ops->now(c) - c->vain_at < WAKE_AGAIN &&
	       c->ops->used(c) <= c->vain_at;
}

void
childhurd_woken(struct childhurd *c, const char *why)
{
	gboolean asleep = c->state == STATE_ASLEEP;
	if (!c->has_port || c->waking)
		return;
	if (asleep && was_woken_in_vain(c)) {
		childhurd_set_phase(c, "woken a moment ago by somebody who then did not use it: it "
				       "sleeps on, unless who has connected now waits");
		if (c->deadline < 0)
			childhurd_set_deadline(c, WAKE_PATIENCE);
		return;
	}
	c->waking = TRUE;
	if (asleep)
		childhurd_start(c, why);
	else if (c->state == STATE_STARTING)
		childhurd_begin_to_wake(c);
}

void
childhurd_hear_who_waits(struct childhurd *c)
{
	childhurd_set_deadline(c, -1);
	if (c->ops->callers(c) == 0)
		return;
	c->waking = TRUE;
	childhurd_start(c, "somebody connected to it, and waits");
}

void
childhurd_begin_to_wake(struct childhurd *c)
{
	if (!c->waking)
		return;
	if (!c->warm && !childhurd_can_start_warm(c)) {
		childhurd_let_go_of_port(c);
	} else if (c->deadline < 0) { /* it has no place yet */
		c->hurried = TRUE;
		childhurd_set_deadline(c, WAKE_LIMIT);
	}
}

void
childhurd_let_go_of_port(struct childhurd *c)
{
	if (c->waking)
		c->vain_at = c->ops->now(c);
	if (c->waking || c->has_port)
		c->ops->turn_away(c);
	if (c->has_port)
		c->ops->leave_port(c);
	c->waking = c->has_port = FALSE;
}

void
childhurd_take_port(struct childhurd *c)
{
	if (!c->has_port)
		c->ops->take_port(c);
	c->has_port = TRUE;
}

void
childhurd_answer_callers(struct childhurd *c)
{
	switch (c->state) {
	case STATE_ASLEEP: /* people sent it back to sleep */
		if (c->waking)
			c->ops->turn_away(c);
		c->waking = FALSE;
		break;
	case STATE_STARTING:
	case STATE_RESTORING:
		break;
	case STATE_READY:
	case STATE_DRAINING:
		if (c->waking)
			c->vain_at = c->ops->pass_on(c) ? 0 : c->ops->now(c);
		c->waking = FALSE;
		break;
	default:
		childhurd_let_go_of_port(c);
	}
}
