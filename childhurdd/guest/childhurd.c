/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The actions behind the table of lifecycle.c.
 *
 * What people want (want_up, drained) is kept apart from what is the case (state), so that a wish
 * that comes while something else is under way is never lost: when QEMU is gone, settle() looks at
 * the wish and goes on from there. A guest is off the list (changed() has published) before
 * anything is done to it.
 */
#include "childhurdd/guest/childhurd.h"

#include <math.h>
#include <string.h>

#define COLLECTING   "its garbage is being collected"
#define WINDING_DOWN "waiting for the running build to end"

static void start(struct childhurd *c, const char *why);

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

/* What it would be if this event, in the present state, made a failure. */
static enum failure
failure_of(const struct childhurd *c, enum event event)
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

static void
set_deadline(struct childhurd *c, gint64 after)
{
	c->deadline = after < 0 ? -1 : c->world->now(c) + after;
	c->world->timer(c, c->deadline);
}

/* The limit of a guest that is watched: it waits while nothing can be said of the guest. */
static void
set_limit(struct childhurd *c, gint64 after)
{
	gboolean waits = c->unasked || c->paused;
	c->left = waits ? MAX(after, 1) : -1;
	set_deadline(c, waits ? -1 : MAX(after, 1));
}

static gint64
limit_left(struct childhurd *c)
{
	return c->unasked || c->paused ? c->left : c->deadline - c->world->now(c);
}

/* One of the two, which are in c, begins or ends. */
static void
stall(struct childhurd *c, gboolean *what, gboolean is_so)
{
	gint64 left = c->unasked || c->paused || c->deadline >= 0 ? limit_left(c) : -1;
	*what = is_so;
	if (left >= 0)
		set_limit(c, left);
}

static enum listing
listing_of(const struct childhurd *c)
{
	if (childhurd_published(c))
		return LISTING_READY;
	return childhurd_coming_up(c) ? LISTING_COMING : LISTING_NOT;
}

/* Builds are kept out of a guest that is to get none from anybody, and else let in. */
static void
mind_slots(struct childhurd *c)
{
	if (c->state == STATE_DRAINING || c->state == STATE_STOPPING || c->winding_down ||
	    c->collecting || ((c->clock_off || c->drained) && c->running))
		c->world->hold(c);
	else
		c->world->release(c);
}

/* What keeps a ready guest off the list, NULL: nothing. */
static const char *
ready_phase(const struct childhurd *c)
{
	if (c->clock_off)
		return c->clock_text;
	if (c->collecting)
		return COLLECTING;
	return c->room != ROOM_ENOUGH ? c->room_text : NULL;
}

/* The one place where a state changes: logged, published and kept before anything follows from it.
 */
static void
set_state(struct childhurd *c, enum state state, const char *why)
{
	g_autofree char *old = c->why;
	if (c->state == STATE_READY && c->world->now(c) - c->since >= BACKOFF_FORGET)
		c->failures = 0;
	c->why = g_strdup(why ? why : old);
	c->state = state;
	c->since = c->world->now(c);
	g_free(c->phase);
	c->phase = state == STATE_READY ? g_strdup(ready_phase(c)) : NULL;
	set_deadline(c, -1);
	c->left = -1;
	if (state != STATE_READY && state != STATE_DRAINING) /* the session has ended */
		c->collecting = c->setting_clock = FALSE;
	c->listing = listing_of(c);
	c->world->changed(c, TRUE, c->why);
	mind_slots(c);
}

/* A wish, or what is known of it, can put a guest on the list or take it off. */
static void
list_again(struct childhurd *c)
{
	if (c->listing == listing_of(c))
		return;
	c->listing = listing_of(c);
	c->world->changed(c, TRUE, NULL);
}

void
childhurd_set_phase(struct childhurd *c, const char *phase)
{
	if (g_strcmp0(c->phase, phase) == 0)
		return;
	g_free(c->phase);
	c->phase = g_strdup(phase);
	c->world->changed(c, FALSE, NULL);
}

gboolean
childhurd_published(const struct childhurd *c)
{
	return c->state == STATE_READY && c->room != ROOM_NONE && !c->collecting && !c->clock_off;
}

gboolean
childhurd_coming_up(const struct childhurd *c)
{
	switch (c->state) {
	case STATE_STARTING:
	case STATE_BOOTING:
	case STATE_ENROLLING:
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

/* Forget what belonged to one boot. */
static void
new_boot(struct childhurd *c)
{
	c->enrolled = c->proven = c->winding_down = c->running = c->launching = FALSE;
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

static void
discard_disk(struct childhurd *c)
{
	c->world->discard(c);
	c->discard = FALSE;
	c->world->changed(c, FALSE, "its disk is discarded");
}

static void
give_up(struct childhurd *c, const char *why)
{
	set_state(c, STATE_FAILED, why);
}

/* QEMU is gone and it should not have: again, later, or not at all. */
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
	delay *= 0.75 + 0.5 * c->world->random(c);
	delay = fmin(delay, BACKOFF_LONGEST);
	set_state(c, STATE_BACKOFF, what);
	set_deadline(c, (gint64)delay);
	g_autofree char *text = g_strdup_printf("failure %d in a row; trying again in %.1f s",
						c->failures, delay / 1000);
	c->world->changed(c, FALSE, text);
}

/* The guest has no part in it, and whatever `restart` says, it was not even started. */
static void
lack_settled(struct childhurd *c)
{
	g_autofree char *what = g_strdup(c->failure);
	double delay = fmin(BACKOFF_FIRST * exp2(c->lacks++), LACK_LONGEST);
	delay *= 0.75 + 0.25 * c->world->random(c);
	set_state(c, STATE_BACKOFF, what);
	set_deadline(c, (gint64)delay);
	g_autofree char *text = g_strdup_printf("the host cannot start it now, which does not "
						"count as a failure; trying again in %.1f s",
						delay / 1000);
	c->world->changed(c, FALSE, text);
}

/* QEMU is gone: what now? */
static void
settle(struct childhurd *c, const char *why)
{
	c->world->quiet(c);
	c->world->leave(c);
	c->running = c->launching = c->winding_down = FALSE;
	if (c->discard)
		discard_disk(c);
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
			set_state(c, STATE_STOPPED, c->failure);
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
		set_state(c, STATE_STOPPED, why);
		return;
	}
	if (verdict == VERDICT_POWERED_OFF)
		c->restarts++;
	start(c, verdict == VERDICT_POWERED_OFF ? c->failure : why);
}

static void
start(struct childhurd *c, const char *why)
{
	g_autofree char *reason = g_strdup(why);
	new_boot(c);
	c->want_up = TRUE;
	set_state(c, STATE_STARTING, reason);
	childhurd_set_phase(c, CHILDHURD_PHASE_QUEUED);
	c->world->queue(c);
}

/* With --now a gentle way has time only as long as it shows effect. */
static void
hasten(struct childhurd *c)
{
	gint64 now = c->world->now(c), spoke = c->world->spoke(c), until = c->rung_until;
	if (!c->now || c->rung == RUNG_KILL)
		return;
	if (c->rung == RUNG_POWER_BUTTON)
		until = MIN(until, now + NOW_BUTTON);
	else if (c->going_down)
		until = MIN(until, MAX(spoke, c->since) + GOING_DOWN_SILENCE);
	else
		until = MIN(until, MAX(spoke, c->since) + NOW_SILENCE);
	set_deadline(c, MAX(until - now, 1));
}

/* The rung's limit passed, or only what there is of it with --now: has anything been seen since? */
static gboolean
shows_effect(struct childhurd *c)
{
	gint64 now = c->world->now(c);
	if (!c->now || c->rung != RUNG_HALT || now >= c->rung_until)
		return FALSE;
	hasten(c);
	return c->deadline > now + 1;
}

/* A Mach that QEMU loads itself heeds no power button as a rule, which --now does not wait for; who
 * goes down already needs none. */
static enum rung
rung_without_ssh(const struct childhurd *c)
{
	return (c->now && c->config->kernel) || c->going_down ? RUNG_KILL : RUNG_POWER_BUTTON;
}

static void
climb(struct childhurd *c, enum rung rung)
{
	c->rung = rung;
	switch (rung) {
	case RUNG_HALT:
		childhurd_set_phase(c, "halting over SSH");
		c->rung_until = c->world->now(c) + c->config->stop_timeout;
		set_deadline(c, c->config->stop_timeout);
		hasten(c);
		c->world->halt(c);
		break;
	case RUNG_POWER_BUTTON:
		c->world->quiet(c);
		childhurd_set_phase(c, "the power button is pressed");
		c->rung_until = c->world->now(c) + MIN(c->config->stop_timeout, POWER_BUTTON_LIMIT);
		set_deadline(c, c->rung_until - c->world->now(c));
		hasten(c);
		c->world->power_button(c);
		break;
	case RUNG_KILL:
	case RUNG_NONE:
		c->world->quiet(c);
		c->kills++;
		childhurd_set_phase(c, "QEMU is being ended");
		set_deadline(c, KILL_LIMIT);
		c->world->kill(c);
		break;
	}
}

/* Off the list, then down, beginning with the gentlest way that can work. */
static void
stop(struct childhurd *c, enum rung rung, const char *why)
{
	c->winding_down = FALSE;
	c->kills = 0;
	set_state(c, STATE_STOPPING, why);
	c->world->leave(c);
	climb(c, rung);
}

static void
next_rung(struct childhurd *c, const char *why)
{
	if (c->rung != RUNG_KILL) {
		g_autofree char *text = g_strdup_printf(
		    "%s: %s", c->rung == RUNG_HALT ? "halt over SSH" : "power button",
		    why ? why : "no effect within its limit");
		c->world->changed(c, FALSE, text);
		climb(c, c->rung == RUNG_HALT ? rung_without_ssh(c) : RUNG_KILL);
	} else if (c->kills < KILL_TRIES) {
		climb(c, RUNG_KILL);
	} else {
		c->reason = FAILURE_KILL;
		give_up(c, "QEMU could not be ended; look at it with ps and virsh, then stop or "
			   "start this guest");
	}
}

/* The hypervisor is at it and cannot be interrupted: whether QEMU came up, it will say. */
static void
abandon_launch(struct childhurd *c, const char *why)
{
	c->world->quiet(c);
	c->world->leave(c);
	c->rung = RUNG_KILL;
	c->kills = 0;
	set_state(c, STATE_STOPPING, why);
	set_deadline(c, START_LIMIT);
}

/* People want something of a guest that is not up. Is there a QEMU all the same, or may one still
 * come up? Then that has to end first, and what they want follows. */
static gboolean
end_first(struct childhurd *c, const char *why)
{
	c->verdict = VERDICT_NONE;
	if (c->launching)
		abandon_launch(c, why);
	else if (c->running)
		stop(c, RUNG_KILL, why);
	else
		return FALSE;
	return TRUE;
}

/* A QEMU came up that was given up before. Who gave up does not begin anew because of it. */
static void
end_unwanted(struct childhurd *c)
{
	g_autofree char *why = g_strdup(c->why);
	c->launching = FALSE;
	c->running = TRUE;
	c->verdict = c->state == STATE_FAILED ? VERDICT_GIVEN_UP : VERDICT_NONE;
	stop(c, RUNG_KILL, why);
}

/* Something is wrong with a guest that people want up. */
static void
fail(struct childhurd *c, enum verdict verdict, const char *what)
{
	g_free(c->failure);
	c->failure = g_strdup(what);
	c->verdict = verdict;
	if (c->winding_down) /* the stop that waited for a build has nothing to wait for any more */
		c->verdict = VERDICT_NONE;
	if (c->running || c->launching)
		stop(c, RUNG_KILL, what);
	else
		settle(c, what);
}

static void
ended(struct childhurd *c, enum event event, const char *what)
{
	c->running = FALSE;
	if (c->winding_down) {
		settle(c, what);
		return;
	}
	g_free(c->failure);
	c->failure = g_strdup(what);
	if (event == EVENT_DIED || !c->proven)
		c->verdict = VERDICT_FAILURE;
	else if (event == EVENT_POWERED_OFF || c->config->restart == CONFIG_RESTART_NEVER)
		c->verdict = VERDICT_POWERED_OFF;
	else /* a reboot: up again, at once */
		c->restarts++;
	settle(c, what);
}

/*
 * hang-timeout passed without an answer. A build in it is not broken as long as the guest shows
 * that it lives.
 */
static void
hang(struct childhurd *c, const char *what)
{
	gint64 now = c->world->now(c), quiet = now - c->world->sign(c);
	if (c->world->builds(c) > 0 && quiet < c->config->hang_timeout &&
	    now - c->since < HANG_LONGEST) {
		childhurd_set_phase(c, "it does not answer, but a build runs and it shows signs of "
				       "life");
		set_deadline(c, c->config->hang_timeout - quiet);
		return;
	}
	fail(c, VERDICT_FAILURE, what);
}

/*
 * What a boot may take: learned from the last ones, so that one that hangs is known long before
 * boot-timeout. After a failure, and before all of BOOTS_KEPT are known, boot-timeout holds.
 */
static gint64
boot_limit(const struct childhurd *c)
{
	gint64 longest = 0;
	for (int i = 0; i < BOOTS_KEPT; i++) {
		if (!c->boots[i] || c->failures)
			return c->config->boot_timeout;
		longest = MAX(longest, c->boots[i]);
	}
	return MIN(MAX(longest * BOOT_PATIENCE, BOOT_LEAST), c->config->boot_timeout);
}

/* When no build runs in it. Its slots are kept from builds already. */
static void
set_clock(struct childhurd *c)
{
	gint64 now = c->world->now(c);
	if ((c->state != STATE_READY && c->state != STATE_DRAINING) || c->setting_clock ||
	    c->collecting || (c->clock_set_at && now - c->clock_set_at < CLOCK_AGAIN))
		return;
	list_again(c);
	if (c->world->hold(c) > 0)
		return;
	c->setting_clock = TRUE;
	c->clock_set_at = now;
	c->world->set_clock(c);
}

static void
note_clock(struct childhurd *c, gboolean off, const char *what)
{
	gboolean news = off != c->clock_off;
	c->clock_off = off;
	g_free(c->clock_text);
	c->clock_text = g_strdup(what);
	if (!off)
		c->clock_set_at = 0; /* it has helped */
	if (news) {
		list_again(c);
		c->world->changed(c, FALSE, what);
		mind_slots(c);
	}
	if (c->state == STATE_READY && (news || off) && !c->unasked)
		childhurd_set_phase(c, ready_phase(c));
	if (off)
		set_clock(c);
}

static void
ready(struct childhurd *c)
{
	g_autofree char *why = NULL;
	if (!c->proven && c->launched_at) {
		gint64 took = c->world->now(c) - c->launched_at;
		memmove(&c->boots[1], c->boots, sizeof c->boots - sizeof *c->boots);
		c->boots[0] = took;
		why = g_strdup_printf("%.1f s after QEMU's start", (double)took / 1000);
	} else {
		why = g_strdup("it answers");
	}
	c->enrolled = c->proven = TRUE;
	c->going_down = GOING_DOWN_NOT;
	c->world->leave(c);
	if (c->winding_down) {
		set_state(c, STATE_DRAINING, c->wish);
		childhurd_set_phase(c, WINDING_DOWN);
	} else if (c->drained) {
		set_state(c, STATE_DRAINING, "drained");
	} else {
		set_state(c, STATE_READY, why);
	}
	if (c->clock_off)
		set_clock(c);
}

static void
wind_down(struct childhurd *c, const char *why)
{
	c->winding_down = TRUE;
	g_free(c->wish);
	c->wish = g_strdup(why);
	if (c->state != STATE_UNRESPONSIVE)
		set_state(c, STATE_DRAINING, why);
	else
		c->world->changed(c, FALSE, why);
	if (c->world->hold(c) <= 0) {
		stop(c, RUNG_HALT, why);
		return;
	}
	childhurd_set_phase(c, WINDING_DOWN);
}

static void
drain(struct childhurd *c, const char *why)
{
	c->drained = TRUE;
	if (c->state == STATE_READY) {
		set_state(c, STATE_DRAINING, why);
	} else {
		c->world->changed(c, FALSE, "drained: it will not be published");
		mind_slots(c);
	}
}

static void
undrain(struct childhurd *c, const char *why)
{
	c->drained = FALSE;
	if (c->state == STATE_DRAINING) {
		c->winding_down = FALSE;
		c->want_up = TRUE;
		c->discard = FALSE;
		set_state(c, STATE_READY, why);
	} else if (c->winding_down) { /* unresponsive: it waits for its build, and then stops */
		c->winding_down = FALSE;
		c->want_up = TRUE;
		c->discard = FALSE;
		c->world->changed(c, FALSE, "it is not stopped any more");
		mind_slots(c);
	} else {
		c->world->changed(c, FALSE, "no longer drained");
		mind_slots(c);
	}
}

/* Little room is left in its store: make some, when no build runs. */
static void
tidy(struct childhurd *c)
{
	gint64 now = c->world->now(c);
	if (!c->config->store_floor || c->collecting || c->world->builds(c) != 0)
		return;
	if (c->config->disk == CONFIG_DISK_EPHEMERAL && c->had_room) {
		wind_down(c, "its store ran low; it gets a new disk");
		return;
	}
	if (c->collected_at && now - c->collected_at < COLLECT_AGAIN)
		return;
	c->collecting = TRUE;
	list_again(c);
	if (c->world->hold(c) > 0) { /* a build came before it was off the list */
		c->collecting = FALSE;
		mind_slots(c);
		return;
	}
	c->world->changed(c, FALSE, COLLECTING);
	childhurd_set_phase(c, COLLECTING);
	c->world->collect(c);
}

static void
note_room(struct childhurd *c, enum event event, const char *what)
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
		c->world->changed(c, FALSE, what);
	}
	g_free(c->room_text);
	c->room_text = g_strdup(what);
	if (c->state != STATE_READY)
		return;
	if (!c->unasked)
		childhurd_set_phase(c, ready_phase(c));
	if (room != ROOM_ENOUGH)
		tidy(c);
}

/* Off the list for what was seen of it from outside: a probe is not waited for. */
static void
doubt(struct childhurd *c, gint64 limit, const char *what)
{
	if (c->state == STATE_DRAINING && !c->winding_down)
		c->drained = TRUE;
	set_state(c, STATE_UNRESPONSIVE, what);
	set_limit(c, limit);
}

static gboolean
is_listed_state(const struct childhurd *c)
{
	return c->state == STATE_READY || c->state == STATE_DRAINING;
}

static void
unasked(struct childhurd *c, const char *what)
{
	if (!c->unasked) {
		stall(c, &c->unasked, TRUE);
		c->world->changed(c, FALSE, what);
	}
	if (!c->paused)
		childhurd_set_phase(c, what);
}

/* A probe was made. */
static void
asked(struct childhurd *c)
{
	if (!c->unasked)
		return;
	stall(c, &c->unasked, FALSE);
	c->world->changed(c, FALSE, "it can be asked again");
	if (c->paused)
		return;
	if (c->state == STATE_DRAINING)
		childhurd_set_phase(c, c->winding_down ? WINDING_DOWN : NULL);
	else
		childhurd_set_phase(c, c->state == STATE_READY ? ready_phase(c) : NULL);
}

static void
paused(struct childhurd *c, const char *what)
{
	gboolean news = !c->paused || g_strcmp0(c->phase, what);
	stall(c, &c->paused, TRUE);
	if (is_listed_state(c))
		doubt(c, c->config->hang_timeout, what);
	else if (news)
		c->world->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
}

static void
resumed(struct childhurd *c, const char *what)
{
	if (!c->paused)
		return;
	stall(c, &c->paused, FALSE);
	c->world->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
	if (c->state == STATE_UNRESPONSIVE && !c->going_down)
		set_limit(c, c->config->hang_timeout);
	c->world->ask(c);
}

/*
 * The console says so. It is off the list at once, whoever wrote that, and has stop-timeout to be
 * gone. If it answers after that, the line was not true; if not, it is down, whatever its last line
 * is.
 */
static void
goes_down(struct childhurd *c, enum event event, const char *what)
{
	gboolean first = !c->going_down;
	if (first) {
		c->going_down = GOING_DOWN_SAID;
		c->up_again = FALSE;
	}
	c->goes_for_reboot = event == EVENT_REBOOTING;
	if (c->state == STATE_STOPPING) {
		hasten(c);
		return;
	}
	if (!first)
		return;
	if (is_listed_state(c)) {
		doubt(c, c->config->stop_timeout, what);
		return;
	}
	c->world->changed(c, FALSE, what);
	childhurd_set_phase(c, what);
	set_limit(c, MIN(limit_left(c), c->config->stop_timeout));
}

/* A limit of a guest passed that goes down. */
static void
is_down(struct childhurd *c)
{
	const char *what = c->goes_for_reboot
			       ? "it said that it reboots, and does not answer any more"
			       : "it said that it halts, and does not answer any more";
	if (c->going_down == GOING_DOWN_SAID) {
		c->going_down = GOING_DOWN_ASKED;
		childhurd_set_phase(c, "it said that it goes down: does it answer?");
		set_limit(c, GOING_DOWN_ANSWER);
		c->world->ask(c);
		return;
	}
	c->reason = c->goes_for_reboot ? FAILURE_REBOOTED : FAILURE_HALTED;
	if (!c->proven) {
		fail(c, VERDICT_FAILURE, what);
	} else if (c->up_again ||
		   (c->goes_for_reboot && c->config->restart != CONFIG_RESTART_NEVER)) {
		c->restarts++;
		fail(c, VERDICT_NONE, what);
	} else {
		fail(c, VERDICT_POWERED_OFF, what);
	}
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
	c->running = TRUE;
	if (going_down && c->proven && c->world->hold(c) > 0) {
		/* the earlier daemon waited for that build, too */
		c->world->watch(c);
		wind_down(c, why);
		return;
	}
	if (going_down) { /* the earlier daemon was stopping it */
		stop(c, c->proven ? RUNG_HALT : rung_without_ssh(c), why);
		return;
	}
	if (c->proven) {
		set_state(c, STATE_UNRESPONSIVE, why);
		set_limit(c, c->config->hang_timeout);
	} else {
		set_state(c, STATE_BOOTING, why);
		set_limit(c, c->config->boot_timeout);
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
		asked(c);

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
			hasten(c);
		}
		if (c->want_up != wanted_up)
			c->world->changed(c, FALSE,
					  c->want_up ? "a start follows" : "it stays stopped then");
		break;
	case ACTION_START:
		if (!end_first(c, what))
			start(c, what);
		break;
	case ACTION_PREPARE:
		childhurd_set_phase(c, "preparing keys and disk");
		set_deadline(c, START_LIMIT);
		c->world->prepare(c);
		break;
	case ACTION_LAUNCH:
		c->launching = TRUE;
		childhurd_set_phase(c, "starting QEMU");
		c->world->launch(c);
		break;
	case ACTION_ABANDON:
		if (c->launching) {
			abandon_launch(c, what);
			break;
		}
		c->world->quiet(c);
		c->world->leave(c);
		set_state(c, STATE_STOPPED, what);
		break;
	case ACTION_BOOT:
		c->launching = FALSE;
		c->running = TRUE;
		c->launched_at = c->world->now(c);
		c->lacks = 0;
		set_state(c, STATE_BOOTING, what);
		childhurd_set_phase(c, "waiting for the guest's network");
		set_limit(c, boot_limit(c));
		c->world->enroll(c);
		break;
	case ACTION_TAKE_OVER:
		take_over(c, what);
		break;
	case ACTION_ENROLL: {
		gint64 left = limit_left(c);
		set_state(c, STATE_ENROLLING, what);
		childhurd_set_phase(c, "delivering the secrets");
		set_limit(c, left);
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
			ready(c);
		break;
	case ACTION_DOUBT:
		doubt(c, c->config->hang_timeout, what);
		break;
	case ACTION_UNASKED:
		unasked(c, what);
		break;
	case ACTION_PAUSED:
		paused(c, what);
		break;
	case ACTION_RESUMED:
		resumed(c, what);
		break;
	case ACTION_GOING_DOWN:
		goes_down(c, event, what);
		break;
	case ACTION_CLOCK:
		note_clock(c, event == EVENT_CLOCK_OFF, what);
		break;
	case ACTION_CLOCK_SET:
		c->setting_clock = FALSE;
		c->world->changed(c, FALSE, what);
		break;
	case ACTION_HANG:
		if (c->going_down) {
			is_down(c);
			break;
		}
		c->reason = failure_of(c, event);
		hang(c, what);
		break;
	case ACTION_NOTE:
		if (!c->paused && !c->going_down)
			childhurd_set_phase(c, what);
		break;
	case ACTION_DRAIN:
		drain(c, what);
		break;
	case ACTION_UNDRAIN:
		undrain(c, what);
		break;
	case ACTION_WIND_DOWN:
		wind_down(c, what);
		break;
	case ACTION_BUILD_ENDED:
		if (c->winding_down)
			stop(c, RUNG_HALT, c->wish);
		break;
	case ACTION_STORE:
		note_room(c, event, what);
		break;
	case ACTION_COLLECTED:
		c->collecting = FALSE;
		c->collected_at = c->world->now(c);
		if (c->state == STATE_READY)
			childhurd_set_phase(c, ready_phase(c));
		c->world->changed(c, FALSE, what);
		mind_slots(c);
		break;
	case ACTION_STOP:
		c->now = is_now(event);
		stop(c, c->proven ? RUNG_HALT : rung_without_ssh(c), what);
		break;
	case ACTION_NEXT_RUNG:
		if (event == EVENT_DEADLINE && shows_effect(c))
			break;
		if (event == EVENT_DEADLINE || c->rung == RUNG_HALT)
			next_rung(c, what);
		break;
	case ACTION_FINISH:
		c->launching = FALSE;
		c->running = TRUE;
		if (c->rung != RUNG_KILL || event == EVENT_LAUNCHED)
			climb(c, RUNG_KILL);
		break;
	case ACTION_UNWANTED:
		end_unwanted(c);
		break;
	case ACTION_GONE:
		c->running = c->launching = FALSE;
		c->world->changed(c, FALSE, what ? what : "QEMU is gone");
		break;
	case ACTION_STOPPED: { /* as was wanted, so the reason stays */
		g_autofree char *why = g_strdup(c->why);
		settle(c, why);
		break;
	}
	case ACTION_LACK:
		c->launching = FALSE;
		c->reason = FAILURE_HOST;
		fail(c, VERDICT_LACK, what);
		break;
	case ACTION_FAIL:
		if (event == EVENT_DEADLINE && c->going_down) {
			is_down(c);
			break;
		}
		if (event == EVENT_DEADLINE && c->state == STATE_STARTING) {
			/* all that is done there is the host's to do */
			c->reason = FAILURE_HOST;
			fail(c, VERDICT_LACK, what ? what : "a limit passed");
			break;
		}
		c->reason = failure_of(c, event);
		if (event == EVENT_START_FAILED)
			c->launching = FALSE;
		fail(c, VERDICT_FAILURE, what ? what : "a limit passed");
		break;
	case ACTION_HALTED:
		c->reason = failure_of(c, event);
		fail(c, c->proven ? VERDICT_POWERED_OFF : VERDICT_FAILURE, what);
		break;
	case ACTION_ENDED:
		c->reason = failure_of(c, event);
		ended(c, event, what);
		break;
	case ACTION_START_ANEW:
	case ACTION_RESET_START:
		if (end_first(c, what))
			break;
		c->world->quiet(c);
		if (action == ACTION_RESET_START)
			discard_disk(c);
		start(c, what);
		break;
	case ACTION_RESET:
		discard_disk(c);
		break;
	case ACTION_RETRY:
		c->restarts += c->verdict != VERDICT_LACK;
		start(c, "trying again");
		break;
	case ACTION_FORGET:
		c->failures = 0;
		if (!end_first(c, what))
			set_state(c, STATE_STOPPED, what);
		break;
	}
	list_again(c);
}

struct childhurd *
childhurd_new(const struct config_guest *config, const struct world_ops *world, void *runner)
{
	struct childhurd *c = g_new0(struct childhurd, 1);
	c->config = config;
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
	g_free(c);
}
