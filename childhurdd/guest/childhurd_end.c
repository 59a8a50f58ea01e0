/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a guest ends, and what follows: the ways to end its QEMU, the gentlest first, the verdict on
 * what happened, and the next state once QEMU is gone. Verdict and wish decide the next state.
 */
#include "childhurdd/guest/childhurd_internal.h"

#include <math.h>

const char *
failure_name(enum failure failure)
{
	static const char *const names[N_FAILURES] = {
	    [FAILURE_START] = "start",
	    [FAILURE_HOST] = "host",
	    [FAILURE_BOOT_TIMEOUT] = "boot-timeout",
	    [FAILURE_IMPOSTOR] = "impostor",
	    [FAILURE_HUNG] = "hung",
	    [FAILURE_PANIC] = "panic",
	    [FAILURE_HALTED] = "halted",
	    [FAILURE_REBOOTED] = "rebooted",
	    [FAILURE_QEMU_EXIT] = "qemu-exit",
	    [FAILURE_KILL] = "kill",
	};
	return names[failure];
}

enum failure
childhurd_failure_of(const struct childhurd *c, enum event event)
{
	switch (event) {
	case EVENT_START_FAILED:
		return FAILURE_START;
	case EVENT_BROKEN:
		return FAILURE_PANIC;
	case EVENT_HALTED:
		return FAILURE_HALTED;
	case EVENT_REBOOTED:
	case EVENT_POWERED_OFF:
		return FAILURE_REBOOTED;
	case EVENT_DEADLINE:
		if (c->impostor)
			return FAILURE_IMPOSTOR;
		return c->state == STATE_UNRESPONSIVE ? FAILURE_HUNG : FAILURE_BOOT_TIMEOUT;
	default:
		return FAILURE_QEMU_EXIT;
	}
}

void
childhurd_discard_disk(struct childhurd *c)
{
	/* what is saved of a persistent disk belongs to it */
	if (c->cold || c->config->disk == CONFIG_DISK_PERSISTENT)
		c->ops->forget(c);
	c->ops->discard(c);
	c->ops->changed(c, FALSE,
			c->cold ? "its disk and its warm state are discarded"
				: "its disk is discarded");
	c->discard = c->cold = FALSE;
}

static void
give_up(struct childhurd *c, const char *why)
{
	childhurd_set_state(c, STATE_FAILED, why);
}

/* QEMU is gone unexpectedly: try again later, or give up. */
static void
fail_settled(struct childhurd *c)
{
	g_autofree char *what = g_strdup(c->failure ? c->failure : "failed");
	if (c->config->restart == CONFIG_RESTART_NEVER) {
		give_up(c, what);
		return;
	}
	c->failures++;
	if (c->failures >= BACKOFF_TRIES) {
		g_autofree char *why = g_strdup_printf(
		    "gave up after %d failures in a row, the last: %s", c->failures, what);
		give_up(c, why);
		return;
	}
	double delay = fmin(BACKOFF_FIRST * exp2(c->failures - 1), BACKOFF_LONGEST);
	delay *= 0.75 + 0.5 * c->ops->random(c);
	delay = fmin(delay, BACKOFF_LONGEST);
	childhurd_set_state(c, STATE_BACKOFF, what);
	childhurd_set_deadline(c, (gint64)delay);
	g_autofree char *text = g_strdup_printf("failure %d in a row; trying again in %.1f s",
						c->failures, delay / 1000);
	c->ops->changed(c, FALSE, text);
}

/* The guest did not cause this, and was not started, so `restart` does not matter. */
static void
lack_settled(struct childhurd *c)
{
	g_autofree char *what = g_strdup(c->failure);
	double delay = fmin(BACKOFF_FIRST * exp2(c->lacks++), LACK_LONGEST);
	delay *= 0.75 + 0.25 * c->ops->random(c);
	childhurd_set_state(c, STATE_BACKOFF, what);
	childhurd_set_deadline(c, (gint64)delay);
	g_autofree char *text = g_strdup_printf("the host cannot start it now, which does not "
						"count as a failure; trying again in %.1f s",
						delay / 1000);
	c->ops->changed(c, FALSE, text);
}

void
childhurd_settle(struct childhurd *c, const char *why)
{
	c->ops->quiet(c);
	c->ops->leave(c);
	childhurd_stop_saving(c);
	c->qemu = QEMU_GONE;
	c->winding_down = FALSE;
	if (c->discard)
		childhurd_discard_disk(c);
	enum verdict verdict = c->want_up ? c->verdict : VERDICT_NONE;
	switch (verdict) {
	case VERDICT_FAILURE:
		fail_settled(c);
		return;
	case VERDICT_LACK:
		lack_settled(c);
		return;
	case VERDICT_POWERED_OFF:
		if (c->config->restart != CONFIG_RESTART_ALWAYS) {
			c->want_up = FALSE;
			childhurd_set_state(c, STATE_STOPPED, c->failure);
			return;
		}
		break;
	case VERDICT_GIVEN_UP:
		give_up(c, why);
		return;
	case VERDICT_NONE:
		break;
	}
	if (!c->want_up) {
		childhurd_set_state(c, STATE_STOPPED, why);
		return;
	}
	if (c->to_sleep) {
		childhurd_fall_asleep(c, why);
		return;
	}
	if (verdict == VERDICT_POWERED_OFF)
		c->restarts++;
	childhurd_start(c, verdict == VERDICT_POWERED_OFF ? c->failure : why);
}

void
childhurd_hasten(struct childhurd *c)
{
	gint64 now = c->ops->now(c), spoke = c->ops->spoke(c), until = c->rung_until;
	if (!c->now || c->rung == RUNG_KILL)
		return;
	if (c->rung == RUNG_POWER_BUTTON)
		until = MIN(until, now + NOW_BUTTON);
	else if (c->going_down)
		until = MIN(until, MAX(spoke, c->since) + GOING_DOWN_SILENCE);
	else
		until = MIN(until, MAX(spoke, c->since) + NOW_SILENCE);
	childhurd_set_deadline(c, MAX(until - now, 1));
}

gboolean
childhurd_shows_effect(struct childhurd *c)
{
	gint64 now = c->ops->now(c);
	if (!c->now || c->rung != RUNG_HALT || now >= c->rung_until)
		return FALSE;
	childhurd_hasten(c);
	return c->deadline > now + 1;
}

enum rung
childhurd_rung_without_ssh(const struct childhurd *c)
{
	return (c->now && c->config->kernel) || c->going_down ? RUNG_KILL : RUNG_POWER_BUTTON;
}

void
childhurd_climb(struct childhurd *c, enum rung rung)
{
	c->rung = rung;
	childhurd_stop_saving(c);
	switch (rung) {
	case RUNG_SAVE:
		c->saving = TRUE;
		c->ops->quiet(c);
		c->ops->changed(c, TRUE, NULL); /* the next daemon has to know */
		childhurd_set_phase(c, childhurd_phase_saving);
		c->rung_until = c->ops->now(c) + SAVE_LIMIT;
		childhurd_set_deadline(c, SAVE_LIMIT);
		c->ops->save(c);
		break;
	case RUNG_HALT:
		childhurd_set_phase(c, "halting over SSH");
		c->rung_until = c->ops->now(c) + c->config->stop_timeout;
		childhurd_set_deadline(c, c->config->stop_timeout);
		childhurd_hasten(c);
		c->ops->halt(c);
		break;
	case RUNG_POWER_BUTTON:
		c->ops->quiet(c);
		childhurd_set_phase(c, "the power button is pressed");
		c->rung_until = c->ops->now(c) + MIN(c->config->stop_timeout, POWER_BUTTON_LIMIT);
		childhurd_set_deadline(c, c->rung_until - c->ops->now(c));
		childhurd_hasten(c);
		c->ops->power_button(c);
		break;
	case RUNG_KILL:
	case RUNG_NONE:
		c->ops->quiet(c);
		c->kills++;
		childhurd_set_phase(c, "QEMU is being ended");
		childhurd_set_deadline(c, KILL_LIMIT);
		c->ops->kill(c);
		break;
	}
}

void
childhurd_stop(struct childhurd *c, enum rung rung, const char *why)
{
	c->winding_down = FALSE;
	c->kills = 0;
	childhurd_set_state(c, STATE_STOPPING, why);
	c->ops->leave(c);
	childhurd_climb(c, rung);
}

void
childhurd_next_rung(struct childhurd *c, const char *why)
{
	c->unsavable |= c->saving && !c->now; /* else it had little time */
	if (c->rung != RUNG_KILL) {
		static const char *const names[] = {[RUNG_SAVE] = "save",
						    [RUNG_HALT] = "halt over SSH",
						    [RUNG_POWER_BUTTON] = "power button"};
		g_autofree char *text = g_strdup_printf("%s: %s", names[c->rung],
							why ? why : "no effect within its limit");
		c->ops->changed(c, FALSE, text);
		childhurd_climb(c, c->rung == RUNG_SAVE	  ? RUNG_HALT
				   : c->rung == RUNG_HALT ? childhurd_rung_without_ssh(c)
							  : RUNG_KILL);
	} else if (c->kills < KILL_TRIES) {
		childhurd_climb(c, RUNG_KILL);
	} else {
		c->reason = FAILURE_KILL;
		give_up(c, "QEMU could not be ended; look at it with ps and virsh, then stop or "
			   "start this guest");
	}
}

void
childhurd_abandon_launch(struct childhurd *c, const char *why)
{
	c->ops->quiet(c);
	c->ops->leave(c);
	c->rung = RUNG_KILL;
	c->kills = 0;
	childhurd_set_state(c, STATE_STOPPING, why);
	childhurd_set_deadline(c, START_LIMIT);
}

gboolean
childhurd_end_first(struct childhurd *c, const char *why)
{
	c->verdict = VERDICT_NONE;
	if (c->qemu == QEMU_LAUNCHING)
		childhurd_abandon_launch(c, why);
	else if (c->qemu == QEMU_RUNNING)
		childhurd_stop(c, RUNG_KILL, why);
	else
		return FALSE;
	return TRUE;
}

void
childhurd_end_unwanted(struct childhurd *c)
{
	g_autofree char *why = g_strdup(c->why);
	c->qemu = QEMU_RUNNING;
	c->verdict = c->state == STATE_FAILED ? VERDICT_GIVEN_UP : VERDICT_NONE;
	childhurd_stop(c, RUNG_KILL, why);
}

void
childhurd_fail(struct childhurd *c, enum verdict verdict, const char *what)
{
	g_free(c->failure);
	c->failure = g_strdup(what);
	c->verdict = verdict;
	if (c->winding_down) /* the stop has no build to wait for any more */
		c->verdict = VERDICT_NONE;
	if (childhurd_has_qemu(c))
		childhurd_stop(c, RUNG_KILL, what);
	else
		childhurd_settle(c, what);
}

void
childhurd_ended(struct childhurd *c, enum event event, const char *what)
{
	c->qemu = QEMU_GONE;
	if (c->winding_down) {
		childhurd_settle(c, what);
		return;
	}
	g_free(c->failure);
	c->failure = g_strdup(what);
	if (event == EVENT_DIED || !c->proven)
		c->verdict = VERDICT_FAILURE;
	else if (event == EVENT_POWERED_OFF || c->config->restart == CONFIG_RESTART_NEVER)
		c->verdict = VERDICT_POWERED_OFF;
	else /* a reboot: start again at once */
		c->restarts++;
	childhurd_settle(c, what);
}
