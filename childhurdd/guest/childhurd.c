/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The actions behind the table of lifecycle.c: what follows from each event.
 *
 * What people want (want_up, drained) is kept apart from what is the case (state), so that a wish
 * that comes while something else is under way is never lost: when QEMU is gone, childhurd_settle()
 * looks at the wish and goes on from there. A guest is off the list (changed() has published)
 * before anything is done to it.
 *
 * The parts of this are childhurd_state.c, childhurd_ready.c, childhurd_boots.c, childhurd_doubt.c
 * and childhurd_end.c.
 */
#include "childhurdd/guest/childhurd_internal.h"

/* Forget what belonged to one boot. */
static void
new_boot(struct childhurd *c)
{
	c->qemu = QEMU_GONE;
	c->enrolled = c->proven = c->winding_down = FALSE;
	c->had_room = c->impostor = c->unasked = c->paused = c->now = FALSE;
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
childhurd_start(struct childhurd *c, const char *why)
{
	g_autofree char *reason = g_strdup(why);
	new_boot(c);
	c->want_up = TRUE;
	childhurd_set_state(c, STATE_STARTING, reason);
	childhurd_set_phase(c, CHILDHURD_PHASE_QUEUED);
	c->world->queue(c);
}

/* What people want after this. */
static void
note_wish(struct childhurd *c, enum event event)
{
	switch (event) {
	case EVENT_STOP:
	case EVENT_STOP_NOW:
		c->want_up = FALSE;
		c->discard = FALSE;
		break;
	case EVENT_RESET:
	case EVENT_RESET_NOW:
	case EVENT_START:
	case EVENT_RESTART:
	case EVENT_RESTART_NOW:
		if (event == EVENT_RESET || event == EVENT_RESET_NOW)
			c->discard = TRUE;
		else
			c->restarts = c->failures = 0;
		c->up_again = TRUE;
		if (c->state != STATE_STOPPED || event == EVENT_START)
			c->want_up = TRUE;
		break;
	default:
		break;
	}
}

static gboolean
is_now(enum event event)
{
	return event == EVENT_STOP_NOW || event == EVENT_RESTART_NOW || event == EVENT_RESET_NOW;
}

static void
take_over(struct childhurd *c, const char *why)
{
	gboolean going_down = c->winding_down || !c->want_up;
	c->qemu = QEMU_RUNNING;
	if (going_down && c->proven && c->world->hold(c) > 0) {
		/* the earlier daemon waited for that build, too */
		c->world->watch(c);
		childhurd_wind_down(c, why);
		return;
	}
	if (going_down) { /* the earlier daemon was stopping it */
		childhurd_stop(c, c->proven ? RUNG_HALT : childhurd_rung_without_ssh(c), why);
		return;
	}
	if (c->proven) {
		childhurd_set_state(c, STATE_UNRESPONSIVE, why);
		childhurd_set_limit(c, c->config->hang_timeout);
	} else {
		childhurd_set_state(c, STATE_BOOTING, why);
		childhurd_set_limit(c, c->config->boot_timeout);
		if (!c->enrolled)
			c->world->enroll(c);
	}
	c->world->watch(c);
}

void
childhurd_event(struct childhurd *c, enum event event, const char *text)
{
	g_autofree char *what = g_strdup(text);
	gboolean wanted_up = c->want_up;
	enum action action = lifecycle_action(c->state, event);
	if (event <= EVENT_RESET_NOW)
		note_wish(c, event);
	if (event == EVENT_PROBE_OK || event == EVENT_PROBE_FAILED)
		childhurd_asked(c);

	switch (action) {
	case ACTION_UNDEFINED:
		g_warn_if_reached();
		break;
	case ACTION_IGNORE:
		break;
	case ACTION_WANT_UP:
	case ACTION_WANT_DOWN:
		c->verdict = VERDICT_NONE; /* what people want now counts, not why it went down */
		if (c->state == STATE_STOPPING && is_now(event) && !c->now) {
			c->now = TRUE;
			childhurd_hasten(c);
		}
		if (c->want_up != wanted_up)
			c->world->changed(c, FALSE,
					  c->want_up ? "a start follows" : "it stays stopped then");
		break;
	case ACTION_START:
		if (!childhurd_end_first(c, what))
			childhurd_start(c, what);
		break;
	case ACTION_PREPARE:
		childhurd_set_phase(c, "preparing keys and disk");
		childhurd_set_deadline(c, START_LIMIT);
		c->world->prepare(c);
		break;
	case ACTION_LAUNCH:
		c->qemu = QEMU_LAUNCHING;
		childhurd_set_phase(c, "starting QEMU");
		c->world->launch(c);
		break;
	case ACTION_ABANDON:
		if (c->qemu == QEMU_LAUNCHING) {
			childhurd_abandon_launch(c, what);
			break;
		}
		c->world->quiet(c);
		c->world->leave(c);
		childhurd_set_state(c, STATE_STOPPED, what);
		break;
	case ACTION_BOOT:
		c->qemu = QEMU_RUNNING;
		c->launched_at = c->world->now(c);
		c->lacks = 0;
		childhurd_set_state(c, STATE_BOOTING, what);
		childhurd_set_phase(c, "waiting for the guest's network");
		childhurd_set_limit(c, childhurd_boot_limit(c));
		c->world->enroll(c);
		break;
	case ACTION_TAKE_OVER:
		take_over(c, what);
		break;
	case ACTION_ENROLL: {
		gint64 left = childhurd_limit_left(c);
		childhurd_set_state(c, STATE_ENROLLING, what);
		childhurd_set_phase(c, "delivering the secrets");
		childhurd_set_limit(c, left);
		break;
	}
	case ACTION_CONNECT:
		c->enrolled = TRUE;
		if (c->state == STATE_ENROLLING)
			c->world->changed(c, FALSE, what);
		childhurd_set_phase(c, "waiting for the SSH banner");
		c->world->watch(c);
		break;
	case ACTION_READY: /* what it answered before it was paused says nothing */
		if (!c->paused && c->going_down != GOING_DOWN_SAID)
			childhurd_ready(c);
		break;
	case ACTION_DOUBT:
		childhurd_doubt(c, c->config->hang_timeout, what);
		break;
	case ACTION_UNASKED:
		childhurd_unasked(c, what);
		break;
	case ACTION_PAUSED:
		childhurd_paused(c, what);
		break;
	case ACTION_RESUMED:
		childhurd_resumed(c, what);
		break;
	case ACTION_GOING_DOWN:
		childhurd_goes_down(c, event, what);
		break;
	case ACTION_CLOCK:
		childhurd_note_clock(c, event == EVENT_CLOCK_OFF, what);
		break;
	case ACTION_CLOCK_SET:
		c->setting_clock = FALSE;
		c->world->changed(c, FALSE, what);
		break;
	case ACTION_HANG:
		if (c->going_down) {
			childhurd_is_down(c);
			break;
		}
		c->reason = childhurd_failure_of(c, event);
		childhurd_hang(c, what);
		break;
	case ACTION_NOTE:
		if (!c->paused && !c->going_down)
			childhurd_set_phase(c, what);
		break;
	case ACTION_DRAIN:
		childhurd_drain(c, what);
		break;
	case ACTION_UNDRAIN:
		childhurd_undrain(c, what);
		break;
	case ACTION_WIND_DOWN:
		childhurd_wind_down(c, what);
		break;
	case ACTION_BUILD_ENDED:
		if (c->winding_down)
			childhurd_stop(c, RUNG_HALT, c->wish);
		break;
	case ACTION_STORE:
		childhurd_note_room(c, event, what);
		break;
	case ACTION_COLLECTED:
		c->collecting = FALSE;
		c->collected_at = c->world->now(c);
		if (c->state == STATE_READY)
			childhurd_set_phase(c, childhurd_ready_phase(c));
		c->world->changed(c, FALSE, what);
		childhurd_mind_slots(c);
		break;
	case ACTION_STOP:
		c->now = is_now(event);
		childhurd_stop(c, c->proven ? RUNG_HALT : childhurd_rung_without_ssh(c), what);
		break;
	case ACTION_NEXT_RUNG:
		if (event == EVENT_DEADLINE && childhurd_shows_effect(c))
			break;
		if (event == EVENT_DEADLINE || c->rung == RUNG_HALT)
			childhurd_next_rung(c, what);
		break;
	case ACTION_FINISH:
		c->qemu = QEMU_RUNNING;
		if (c->rung != RUNG_KILL || event == EVENT_LAUNCHED)
			childhurd_climb(c, RUNG_KILL);
		break;
	case ACTION_UNWANTED:
		childhurd_end_unwanted(c);
		break;
	case ACTION_GONE:
		c->qemu = QEMU_GONE;
		c->world->changed(c, FALSE, what ? what : "QEMU is gone");
		break;
	case ACTION_STOPPED: { /* as was wanted, so the reason stays */
		g_autofree char *why = g_strdup(c->why);
		childhurd_settle(c, why);
		break;
	}
	case ACTION_LACK:
		c->qemu = QEMU_GONE;
		c->reason = FAILURE_HOST;
		childhurd_fail(c, VERDICT_LACK, what);
		break;
	case ACTION_FAIL:
		if (event == EVENT_DEADLINE && c->going_down) {
			childhurd_is_down(c);
			break;
		}
		if (event == EVENT_DEADLINE && c->state == STATE_STARTING) {
			/* all that is done there is the host's to do */
			c->reason = FAILURE_HOST;
			childhurd_fail(c, VERDICT_LACK, what ? what : "a limit passed");
			break;
		}
		c->reason = childhurd_failure_of(c, event);
		if (event == EVENT_START_FAILED)
			c->qemu = QEMU_GONE;
		childhurd_fail(c, VERDICT_FAILURE, what ? what : "a limit passed");
		break;
	case ACTION_HALTED:
		c->reason = childhurd_failure_of(c, event);
		childhurd_fail(c, c->proven ? VERDICT_POWERED_OFF : VERDICT_FAILURE, what);
		break;
	case ACTION_ENDED:
		c->reason = childhurd_failure_of(c, event);
		childhurd_ended(c, event, what);
		break;
	case ACTION_START_ANEW:
	case ACTION_RESET_START:
		if (childhurd_end_first(c, what))
			break;
		c->world->quiet(c);
		if (action == ACTION_RESET_START)
			childhurd_discard_disk(c);
		childhurd_start(c, what);
		break;
	case ACTION_RESET:
		childhurd_discard_disk(c);
		break;
	case ACTION_RETRY:
		c->restarts += c->verdict != VERDICT_LACK;
		childhurd_start(c, "trying again");
		break;
	case ACTION_FORGET:
		c->failures = 0;
		if (!childhurd_end_first(c, what))
			childhurd_set_state(c, STATE_STOPPED, what);
		break;
	}
	childhurd_list_again(c);
}

struct childhurd *
childhurd_new(const struct config_guest *config, const struct world_ops *world, void *runner)
{
	struct childhurd *c = g_new0(struct childhurd, 1);
	c->config = config_guest_ref(config);
	c->world = world;
	c->runner = runner;
	c->deadline = c->left = -1;
	c->since = world->now(c);
	return c;
}

struct childhurd_kept
childhurd_keep(const struct childhurd *c)
{
	return (struct childhurd_kept){
	    .want_up = c->want_up,
	    .drained = c->drained,
	    .going_down =
		c->winding_down || (c->state == STATE_STOPPING && c->verdict == VERDICT_NONE),
	    .discard = c->discard,
	    .enrolled = c->enrolled,
	    .proven = c->proven,
	    .restarts = c->restarts,
	};
}

void
childhurd_recall(struct childhurd *c, const struct childhurd_kept *kept)
{
	c->want_up = kept->want_up;
	c->drained = kept->drained;
	c->winding_down = kept->going_down;
	c->discard = kept->discard;
	c->enrolled = kept->enrolled;
	c->proven = kept->proven;
	c->restarts = kept->restarts;
}

void
childhurd_recall_drained(struct childhurd *c)
{
	c->drained = TRUE;
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
childhurd_free(struct childhurd *c)
{
	if (!c)
		return;
	g_free(c->why);
	g_free(c->wish);
	g_free(c->phase);
	g_free(c->failure);
	g_free(c->room_text);
	g_free(c->clock_text);
	config_guest_unref(c->config);
	g_free(c);
}
