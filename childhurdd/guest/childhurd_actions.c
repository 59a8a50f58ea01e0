/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The actions of the table in lifecycle.c: one function for each, in the order of enum action. What
 * takes more than a few lines is in the other childhurd_*.c.
 */
#include "childhurdd/guest/childhurd_internal.h"

static gboolean
is_now(enum event event)
{
	return event == EVENT_STOP_NOW || event == EVENT_RESTART_NOW || event == EVENT_RESET_NOW ||
	       event == EVENT_RESET_COLD_NOW;
}

static void
act_ignore(struct childhurd *c, const struct cause *cause)
{
}

/* The wish is noted already; what is under way goes on. */
static void
act_want(struct childhurd *c, const struct cause *cause)
{
	c->verdict = VERDICT_NONE; /* the wish counts now, not why it went down */
	if (c->state == STATE_STOPPING && is_now(cause->event) && !c->now) {
		c->now = TRUE;
		childhurd_hasten(c);
	}
	if (c->want_up != cause->wanted_up)
		c->ops->changed(c, FALSE, c->want_up ? "a start follows" : "it stays stopped then");
}

static void
act_start(struct childhurd *c, const struct cause *cause)
{
	if (!childhurd_end_first(c, cause->text))
		childhurd_start(c, cause->text);
}

static void
act_prepare(struct childhurd *c, const struct cause *cause)
{
	c->hurried = FALSE;
	c->warm = childhurd_can_start_warm(c);
	if (!c->warm)
		childhurd_let_go_of_port(c);
	childhurd_set_phase(c, "preparing keys and disk");
	childhurd_set_deadline(c, START_LIMIT);
	c->ops->prepare(c);
}

static void
act_launch(struct childhurd *c, const struct cause *cause)
{
	c->qemu = QEMU_LAUNCHING;
	if (c->has_port && !c->warm) { /* else until it is stirred */
		c->ops->leave_port(c);
		c->has_port = FALSE;
	}
	if (c->warm) /* the next daemon has to know what it finds */
		c->ops->changed(c, TRUE, NULL);
	else if (c->config->disk == CONFIG_DISK_PERSISTENT)
		c->ops->forget(c); /* it is about to differ from the disk */
	childhurd_set_phase(c, "starting QEMU");
	c->ops->launch(c);
}

static void
act_abandon(struct childhurd *c, const struct cause *cause)
{
	if (c->qemu == QEMU_LAUNCHING) {
		childhurd_abandon_launch(c, cause->text);
		return;
	}
	c->ops->quiet(c);
	c->ops->leave(c);
	if (c->want_up) /* it is to sleep */
		childhurd_fall_asleep(c, cause->text);
	else
		childhurd_set_state(c, STATE_STOPPED, cause->text);
}

static void
act_boot(struct childhurd *c, const struct cause *cause)
{
	c->qemu = QEMU_RUNNING;
	c->launched_at = c->ops->now(c);
	c->lacks = 0;
	if (c->warm) {
		childhurd_begin_warm(c, cause->text);
		return;
	}
	childhurd_set_state(c, STATE_BOOTING, cause->text);
	childhurd_set_phase(c, "waiting for the guest's network");
	childhurd_set_limit(c, childhurd_boot_limit(c));
	c->ops->enroll(c);
}

static void
act_take_over(struct childhurd *c, const struct cause *cause)
{
	gboolean going_down = c->winding_down || !c->want_up;
	gboolean half = (c->warm && !c->enrolled) || (c->saving && !going_down);
	c->qemu = QEMU_RUNNING;
	childhurd_stop_saving(c);
	if (half) { /* between two states, and nobody was let in */
		childhurd_stop(c, RUNG_KILL, cause->text);
		return;
	}
	if (going_down && c->proven && !c->now && c->ops->hold(c) > 0) {
		/* the earlier daemon waited for a build */
		c->ops->watch(c);
		childhurd_wind_down(c, c->to_sleep ? AIM_ASLEEP : AIM_DOWN, cause->text);
		return;
	}
	if (going_down) { /* the earlier daemon was stopping it */
		enum rung rung = c->to_sleep && c->want_up ? childhurd_rung_to_sleep(c)
				 : c->proven		   ? RUNG_HALT
							   : childhurd_rung_without_ssh(c);
		childhurd_stop(c, rung, cause->text);
		return;
	}
	if (c->proven) {
		c->taken_over = TRUE;
		childhurd_set_state(c, STATE_UNRESPONSIVE, cause->text);
		childhurd_set_phase(c, "it is being probed");
		childhurd_set_limit(c, c->config->hang_timeout);
	} else {
		childhurd_set_state(c, STATE_BOOTING, cause->text);
		childhurd_set_limit(c, c->config->boot_timeout);
		if (!c->enrolled)
			c->ops->enroll(c);
	}
	c->ops->watch(c);
}

static void
act_enroll(struct childhurd *c, const struct cause *cause)
{
	gint64 left = childhurd_limit_left(c);
	childhurd_set_state(c, STATE_ENROLLING, cause->text);
	childhurd_set_phase(c, "delivering the secrets");
	childhurd_set_limit(c, left);
}

static void
act_connect(struct childhurd *c, const struct cause *cause)
{
	c->enrolled = TRUE;
	if (c->state == STATE_ENROLLING)
		c->ops->changed(c, FALSE, cause->text);
	childhurd_set_phase(c, childhurd_phase_silent);
	c->ops->watch(c);
}

/* An answer from before it was paused proves nothing. */
static void
act_ready(struct childhurd *c, const struct cause *cause)
{
	gboolean stale = c->saving || (c->state == STATE_RESTORING && !c->enrolled);
	if (!c->paused && c->going_down != GOING_DOWN_SAID && !stale)
		childhurd_ready(c);
}

static void
act_doubt(struct childhurd *c, const struct cause *cause)
{
	childhurd_doubt(c, c->config->hang_timeout, cause->text);
}

static void
act_unasked(struct childhurd *c, const struct cause *cause)
{
	childhurd_unasked(c, cause->text);
}

static void
act_paused(struct childhurd *c, const struct cause *cause)
{
	if (c->saving) /* that pauses it */
		return;
	childhurd_paused(c, cause->text);
}

static void
act_resumed(struct childhurd *c, const struct cause *cause)
{
	childhurd_resumed(c, cause->text);
}

static void
act_going_down(struct childhurd *c, const struct cause *cause)
{
	childhurd_goes_down(c, cause->event, cause->text);
}

static void
act_clock(struct childhurd *c, const struct cause *cause)
{
	childhurd_note_clock(c, cause->event == EVENT_CLOCK_OFF, cause->text);
}

static void
act_clock_set(struct childhurd *c, const struct cause *cause)
{
	c->setting_clock = FALSE;
	c->ops->changed(c, FALSE, cause->text);
}

static void
act_hang(struct childhurd *c, const struct cause *cause)
{
	if (c->going_down) {
		childhurd_is_down(c);
		return;
	}
	c->reason = childhurd_failure_of(c, cause->event);
	childhurd_hang(c, cause->text);
}

static void
act_note(struct childhurd *c, const struct cause *cause)
{
	gboolean normal = cause->event == EVENT_PROBE_FAILED && childhurd_may_be_silent(c);
	if (c->paused || c->going_down)
		return;
	childhurd_distrust(c, cause->text);
	childhurd_set_phase(c, normal ? childhurd_phase_silent : cause->text);
}

static void
act_drain(struct childhurd *c, const struct cause *cause)
{
	childhurd_drain(c, cause->text);
}

static void
act_undrain(struct childhurd *c, const struct cause *cause)
{
	childhurd_undrain(c, cause->text);
}

static void
act_wind_down(struct childhurd *c, const struct cause *cause)
{
	gboolean reset = cause->event == EVENT_RESET || cause->event == EVENT_RESET_COLD;
	childhurd_wind_down(c, reset ? AIM_PRISTINE : AIM_DOWN, cause->text);
}

static void
act_build_ended(struct childhurd *c, const struct cause *cause)
{
	if (c->winding_down)
		childhurd_come_down(c, c->wish);
}

static void
act_store(struct childhurd *c, const struct cause *cause)
{
	childhurd_note_room(c, cause->event, cause->text);
}

static void
act_collected(struct childhurd *c, const struct cause *cause)
{
	c->collecting = FALSE;
	c->collected_at = c->ops->now(c);
	if (c->state == STATE_READY)
		childhurd_set_phase(c, childhurd_ready_phase(c));
	c->ops->changed(c, FALSE, cause->text);
	childhurd_mind_slots(c);
}

static void
act_stop(struct childhurd *c, const struct cause *cause)
{
	c->now = is_now(cause->event);
	enum rung rung = cause->event == EVENT_SLEEP ? childhurd_rung_to_sleep(c)
			 : c->proven		     ? RUNG_HALT
			 : c->saving		     ? RUNG_KILL /* it stands still */
						     : childhurd_rung_without_ssh(c);
	childhurd_stop(c, rung, cause->text);
}

static void
act_next_rung(struct childhurd *c, const struct cause *cause)
{
	if (cause->event == EVENT_DEADLINE && childhurd_shows_effect(c))
		return;
	if (cause->event == EVENT_DEADLINE || c->rung == RUNG_HALT)
		childhurd_next_rung(c, cause->text);
}

static void
act_finish(struct childhurd *c, const struct cause *cause)
{
	c->qemu = QEMU_RUNNING;
	if (c->rung != RUNG_KILL || cause->event == EVENT_LAUNCHED)
		childhurd_climb(c, RUNG_KILL);
}

static void
act_unwanted(struct childhurd *c, const struct cause *cause)
{
	childhurd_end_unwanted(c);
}

/* It was asked for, so the reason stays. */
static void
act_stopped(struct childhurd *c, const struct cause *cause)
{
	g_autofree char *why = g_strdup(c->why);
	childhurd_settle(c, why);
}

static void
act_fail(struct childhurd *c, const struct cause *cause)
{
	const char *what = cause->text ? cause->text : "a limit passed";
	if (cause->event == EVENT_DEADLINE && c->hurried) { /* whoever waits, not the start */
		c->hurried = FALSE;
		childhurd_let_go_of_port(c);
		childhurd_set_deadline(c, -1);
		return;
	}
	if (cause->event == EVENT_START_FAILED && c->warm && c->qemu == QEMU_LAUNCHING) {
		c->qemu = QEMU_GONE;
		childhurd_go_cold(c, what);
		return;
	}
	c->unsavable |= c->saving;
	if (cause->event == EVENT_DEADLINE && c->going_down) {
		childhurd_is_down(c);
		return;
	}
	if (cause->event == EVENT_DEADLINE && c->state == STATE_STARTING) {
		/* only the host works on this phase */
		c->reason = FAILURE_HOST;
		childhurd_fail(c, VERDICT_LACK, what);
		return;
	}
	c->reason = childhurd_failure_of(c, cause->event);
	if (cause->event == EVENT_START_FAILED && c->qemu == QEMU_LAUNCHING)
		c->qemu = QEMU_GONE;
	childhurd_fail(c, VERDICT_FAILURE, what);
}

static void
act_lack(struct childhurd *c, const struct cause *cause)
{
	if (c->qemu == QEMU_LAUNCHING)
		c->qemu = QEMU_GONE;
	c->reason = FAILURE_HOST;
	childhurd_fail(c, VERDICT_LACK, cause->text);
}

static void
act_halted(struct childhurd *c, const struct cause *cause)
{
	c->reason = childhurd_failure_of(c, cause->event);
	childhurd_fail(c, c->proven ? VERDICT_POWERED_OFF : VERDICT_FAILURE, cause->text);
}

static void
act_ended(struct childhurd *c, const struct cause *cause)
{
	c->unsavable |= c->saving;
	c->reason = childhurd_failure_of(c, cause->event);
	childhurd_ended(c, cause->event, cause->text);
}

static void
act_reset(struct childhurd *c, const struct cause *cause)
{
	childhurd_discard_disk(c);
}

static void
act_fall_asleep(struct childhurd *c, const struct cause *cause)
{
	if (!childhurd_end_first(c, cause->text))
		childhurd_fall_asleep(c, cause->text);
}

static void
act_sleep(struct childhurd *c, const struct cause *cause)
{
	childhurd_wind_down(c, AIM_ASLEEP, cause->text);
}

static void
act_idle(struct childhurd *c, const struct cause *cause)
{
	if (c->ops->builds(c) > 0)
		return;
	c->to_sleep = TRUE;
	childhurd_wind_down(c, AIM_ASLEEP, cause->text);
}

static void
act_woken(struct childhurd *c, const struct cause *cause)
{
	childhurd_woken(c, cause->text);
}

static void
act_hear(struct childhurd *c, const struct cause *cause)
{
	childhurd_hear_who_waits(c);
}

static void
act_saved(struct childhurd *c, const struct cause *cause)
{
	childhurd_saved(c, cause->event == EVENT_SAVED, cause->text);
}

static void
act_restored(struct childhurd *c, const struct cause *cause)
{
	childhurd_restored(c);
}

static void
act_stirred(struct childhurd *c, const struct cause *cause)
{
	childhurd_stirred(c);
}

static void
act_cold(struct childhurd *c, const struct cause *cause)
{
	if (cause->event == EVENT_DIED || cause->event == EVENT_REBOOTED ||
	    cause->event == EVENT_POWERED_OFF)
		c->qemu = QEMU_GONE;
	childhurd_go_cold(c, cause->text);
}

static void
act_unfit(struct childhurd *c, const struct cause *cause)
{
	childhurd_unfit(c, cause->text);
}

static void
act_reset_now(struct childhurd *c, const struct cause *cause)
{
	if (!childhurd_restore(c, cause->text))
		act_stop(c, cause);
}

static void
act_count(struct childhurd *c, const struct cause *cause)
{
	childhurd_count_build(c);
}

static void
act_start_anew(struct childhurd *c, const struct cause *cause)
{
	if (childhurd_end_first(c, cause->text))
		return;
	c->ops->quiet(c);
	childhurd_start(c, cause->text);
}

static void
act_reset_start(struct childhurd *c, const struct cause *cause)
{
	if (childhurd_end_first(c, cause->text))
		return;
	c->ops->quiet(c);
	childhurd_discard_disk(c);
	childhurd_start(c, cause->text);
}

static void
act_retry(struct childhurd *c, const struct cause *cause)
{
	c->restarts += c->verdict != VERDICT_LACK;
	childhurd_start(c, "trying again");
}

static void
act_forget(struct childhurd *c, const struct cause *cause)
{
	c->failures = 0;
	if (!childhurd_end_first(c, cause->text))
		childhurd_set_state(c, STATE_STOPPED, cause->text);
}

static void
act_gone(struct childhurd *c, const struct cause *cause)
{
	c->qemu = QEMU_GONE;
	c->ops->changed(c, FALSE, cause->text ? cause->text : "QEMU is gone");
}

const childhurd_action childhurd_actions[N_ACTIONS] = {
    [ACTION_IGNORE] = act_ignore,
    [ACTION_WANT_UP] = act_want,
    [ACTION_WANT_DOWN] = act_want,
    [ACTION_START] = act_start,
    [ACTION_PREPARE] = act_prepare,
    [ACTION_LAUNCH] = act_launch,
    [ACTION_ABANDON] = act_abandon,
    [ACTION_BOOT] = act_boot,
    [ACTION_TAKE_OVER] = act_take_over,
    [ACTION_ENROLL] = act_enroll,
    [ACTION_CONNECT] = act_connect,
    [ACTION_READY] = act_ready,
    [ACTION_DOUBT] = act_doubt,
    [ACTION_UNASKED] = act_unasked,
    [ACTION_PAUSED] = act_paused,
    [ACTION_RESUMED] = act_resumed,
    [ACTION_GOING_DOWN] = act_going_down,
    [ACTION_CLOCK] = act_clock,
    [ACTION_CLOCK_SET] = act_clock_set,
    [ACTION_HANG] = act_hang,
    [ACTION_NOTE] = act_note,
    [ACTION_DRAIN] = act_drain,
    [ACTION_UNDRAIN] = act_undrain,
    [ACTION_WIND_DOWN] = act_wind_down,
    [ACTION_BUILD_ENDED] = act_build_ended,
    [ACTION_STORE] = act_store,
    [ACTION_COLLECTED] = act_collected,
    [ACTION_STOP] = act_stop,
    [ACTION_NEXT_RUNG] = act_next_rung,
    [ACTION_FINISH] = act_finish,
    [ACTION_UNWANTED] = act_unwanted,
    [ACTION_STOPPED] = act_stopped,
    [ACTION_FAIL] = act_fail,
    [ACTION_LACK] = act_lack,
    [ACTION_HALTED] = act_halted,
    [ACTION_ENDED] = act_ended,
    [ACTION_RESET] = act_reset,
    [ACTION_START_ANEW] = act_start_anew,
    [ACTION_RESET_START] = act_reset_start,
    [ACTION_RETRY] = act_retry,
    [ACTION_FORGET] = act_forget,
    [ACTION_FALL_ASLEEP] = act_fall_asleep,
    [ACTION_SLEEP] = act_sleep,
    [ACTION_IDLE] = act_idle,
    [ACTION_WOKEN] = act_woken,
    [ACTION_HEAR] = act_hear,
    [ACTION_SAVED] = act_saved,
    [ACTION_RESTORED] = act_restored,
    [ACTION_STIRRED] = act_stirred,
    [ACTION_COLD] = act_cold,
    [ACTION_UNFIT] = act_unfit,
    [ACTION_RESET_NOW] = act_reset_now,
    [ACTION_COUNT] = act_count,
    [ACTION_GONE] = act_gone,
};
