/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One childhurd: what the operators want of it, and what happens to it.
 *
 * The wish (want_up, drained) is kept apart from the state, so a wish that arrives while something
 * else is under way is never lost: once QEMU is gone, childhurd_settle() reads the wish and goes on
 * from there. A guest is off the list (changed() publishes) before anything is done to it. The
 * slots keep out a build whose coordinator read the list a moment before.
 *
 * The other parts are childhurd_actions.c, childhurd_state.c, childhurd_ready.c, childhurd_boots.c,
 * childhurd_doubt.c, childhurd_warm.c and childhurd_end.c.
 */
#include "childhurdd/guest/childhurd_internal.h"

void
childhurd_forget_boot(struct childhurd *c)
{
	c->warm = c->saving = c->saved = FALSE;
	c->served = 0;
	c->boot_took = 0;
	c->enrolled = c->proven = c->winding_down = FALSE;
	c->had_room = c->impostor = c->silent = c->unasked = c->paused = c->now = FALSE;
	c->clock_off = c->setting_clock = FALSE;
	c->clock_set_at = 0;
	c->going_down = GOING_DOWN_NOT;
	c->room = ROOM_ENOUGH;
	c->collected_at = 0;
	c->rung = RUNG_NONE;
	c->kills = 0;
	c->verdict = VERDICT_NONE;
	g_clear_pointer(&c->failure, g_free);
}

void
childhurd_new_boot(struct childhurd *c)
{
	c->qemu = QEMU_GONE;
	childhurd_forget_boot(c);
}

void
childhurd_start(struct childhurd *c, const char *why)
{
	g_autofree char *reason = g_strdup(why);
	childhurd_new_boot(c);
	c->want_up = TRUE;
	c->to_sleep = FALSE;
	c->waking |= c->has_port && c->ops->callers(c) > 0;
	childhurd_set_state(c, STATE_STARTING, reason);
	childhurd_set_phase(c, CHILDHURD_PHASE_QUEUED);
	c->ops->queue(c);
	childhurd_begin_to_wake(c);
}

/* What the operators want after this event. */
static void
note_wish(struct childhurd *c, enum event event)
{
	switch (event) {
	case EVENT_STOP:
	case EVENT_STOP_NOW:
		c->want_up = c->to_sleep = FALSE;
		c->discard = c->cold = FALSE;
		break;
	case EVENT_RESET_COLD:
	case EVENT_RESET_COLD_NOW:
		c->cold = TRUE;
		c->unsavable = FALSE;
		c->warm_failures = 0;
		G_GNUC_FALLTHROUGH;
	case EVENT_RESET:
	case EVENT_RESET_NOW:
		c->discard = TRUE;
		c->up_again = TRUE;
		c->to_sleep = c->to_sleep && c->state == STATE_ASLEEP;
		c->want_up |= c->state != STATE_STOPPED;
		break;
	case EVENT_START:
	case EVENT_RESTART:
	case EVENT_RESTART_NOW:
		if (c->config->disk == CONFIG_DISK_PERSISTENT) { /* a reset costs its disk */
			c->unsavable = FALSE;
			c->warm_failures = 0;
		}
		c->restarts = c->failures = 0;
		c->up_again = TRUE;
		c->to_sleep = FALSE;
		c->want_up |= c->state != STATE_STOPPED || event == EVENT_START;
		break;
	case EVENT_SLEEP:
		c->restarts = c->failures = 0;
		c->up_again = c->want_up = c->to_sleep = TRUE;
		break;
	default:
		break;
	}
}

void
childhurd_event(struct childhurd *c, enum event event, const char *text)
{
	g_autofree char *copy = g_strdup(text); /* it may be one of c's own */
	enum action action = lifecycle_action(c->state, event);
	struct cause cause = {event, copy, c->want_up};
	g_return_if_fail(childhurd_actions[action]);
	note_wish(c, event);
	if (event == EVENT_PROBE_OK || event == EVENT_PROBE_FAILED)
		childhurd_asked(c);
	childhurd_actions[action](c, &cause);
	childhurd_list_again(c);
}

struct childhurd *
childhurd_new(const struct config_guest *config, const struct world_ops *ops, void *world)
{
	struct childhurd *c = g_new0(struct childhurd, 1);
	c->config = config_guest_ref(config);
	c->ops = ops;
	c->world = world;
	c->deadline = c->left = -1;
	c->since = ops->now(c);
	return c;
}

struct childhurd_kept
childhurd_keep(const struct childhurd *c)
{
	gboolean stopping = c->state == STATE_STOPPING && c->verdict == VERDICT_NONE;
	return (struct childhurd_kept){
	    .want_up = c->want_up,
	    .drained = c->drained,
	    .going_down = c->winding_down || stopping,
	    .now = c->now && stopping,
	    .discard = c->discard,
	    .enrolled = c->enrolled,
	    .proven = c->proven,
	    .saving = c->saving,
	    .restoring = c->warm && !c->enrolled && childhurd_has_qemu(c),
	    .cold = c->cold,
	    .to_sleep = c->to_sleep,
	    .served = c->served,
	    .warm_failures = c->warm_failures,
	    .restarts = c->restarts,
	};
}

void
childhurd_recall(struct childhurd *c, const struct childhurd_kept *kept)
{
	c->want_up = kept->want_up;
	c->drained = kept->drained;
	c->winding_down = kept->going_down;
	c->now = kept->now;
	c->discard = kept->discard;
	c->enrolled = kept->enrolled;
	c->proven = kept->proven;
	c->saving = kept->saving;
	c->warm = kept->restoring;
	c->cold = kept->cold;
	c->to_sleep = kept->to_sleep;
	c->served = kept->served;
	c->warm_failures = kept->warm_failures;
	c->restarts = kept->restarts;
}

void
childhurd_recall_drained(struct childhurd *c)
{
	c->drained = TRUE;
}

void
childhurd_recall_warm_failures(struct childhurd *c, int failures)
{
	c->warm_failures = failures;
}

void
childhurd_recall_up(struct childhurd *c)
{
	c->want_up = TRUE;
}

void
childhurd_recall_stopped(struct childhurd *c, const char *why)
{
	g_free(c->why);
	c->why = g_strdup(why);
}

void
childhurd_configure(struct childhurd *c, const struct config_guest *config)
{
	const struct config_guest *old = c->config;
	c->config = config_guest_ref(config);
	config_guest_unref(old);
}

void
childhurd_note_host_key(struct childhurd *c, gboolean impostor)
{
	c->impostor = impostor;
}

void
childhurd_note_silence(struct childhurd *c, gboolean silent)
{
	c->silent = silent;
}

void
childhurd_free(struct childhurd *c)
{
	g_free(c->why);
	g_free(c->wish);
	g_free(c->phase);
	g_free(c->failure);
	g_free(c->room_text);
	g_free(c->clock_text);
	config_guest_unref(c->config);
	g_free(c);
}
