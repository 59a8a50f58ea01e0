/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The simulated world of hird.c's test (hird_world.h): what is due when, the answers to childhurd.c
 * and starts.c, and what happens by itself.
 */
#include "tests/unit/childhurdd/hird/hird_world.h"

/* --- chance and time --- */

static gboolean
chance(struct hird_world *w, int percent)
{
	return g_rand_int_range(w->rand, 0, 100) < percent;
}

static gint64
between(struct hird_world *w, gint64 from, gint64 to)
{
	return from + (gint64)(g_rand_double(w->rand) * (double)(to - from));
}

/* TRUE in that many percent of cases, but never in a good world. */
static gboolean
bad(struct hird_world *w, int percent)
{
	return !w->good && chance(w, percent);
}

static gboolean
earlier(const struct due *a, const struct due *b)
{
	return a->at < b->at || (a->at == b->at && (gint)(a->order - b->order) < 0);
}

#define PROBE_AGAIN (2 * WORLD_SECOND) /* after a failed one, more or less */

#define DUE(w, i) g_array_index((w)->heap, struct due, i)

static void
heap_push(struct hird_world *w, struct due due)
{
	g_array_append_val(w->heap, due);
	guint i = w->heap->len - 1;
	for (; i && earlier(&due, &DUE(w, (i - 1) / 2)); i = (i - 1) / 2)
		DUE(w, i) = DUE(w, (i - 1) / 2);
	DUE(w, i) = due;
}

static struct due
heap_pop(struct hird_world *w)
{
	struct due first = DUE(w, 0), last = DUE(w, w->heap->len - 1);
	g_array_set_size(w->heap, w->heap->len - 1);
	guint n = w->heap->len, i = 0;
	for (guint child; n && (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && earlier(&DUE(w, child + 1), &DUE(w, child)))
			child++;
		if (!earlier(&DUE(w, child), &last))
			break;
		DUE(w, i) = DUE(w, child);
	}
	if (n)
		DUE(w, i) = last;
	return first;
}

static void
due_at(struct being *b, enum thing thing, gint64 at, int detail)
{
	struct hird_world *w = b->world;
	b->stamps[thing]++;
	w->asked[thing]++;
	heap_push(w, (struct due){at, w->order++, b->stamps[thing], (guint8)b->index, (guint8)thing,
				  (guint8)detail});
}

static void
due_in(struct being *b, enum thing thing, gint64 from, gint64 to, int detail)
{
	due_at(b, thing, b->world->now + between(b->world, from, to), detail);
}

static void
call_off(struct being *b, enum thing thing)
{
	b->stamps[thing]++;
}

static void
hird_world_due(struct hird_world *w, enum thing thing, gint64 from, gint64 to)
{
	w->stamps[thing]++;
	heap_push(w, (struct due){w->now + between(w, from, to), w->order++, w->stamps[thing], 0,
				  (guint8)thing, 0});
}

/* --- the promises --- */

static void
write_list(struct being *b)
{
	struct hird_world *w = b->world;
	w->listed[b->as]--;
	if (b->as == PUBLISHED_READY)
		b->listed_until = w->now;
	b->as = b->keys ? publisher_as(b->c) : PUBLISHED_NOT;
	w->listed[b->as]++;
}

/* Before the daemon does anything to a guest, it must be off the list and have no build. */
static void
check_end(struct being *b)
{
	PROMISE(b, b->as != PUBLISHED_READY);
	gboolean builds = b->alive && b->builds && b->build_boot == b->boot && !b->invisible;
	PROMISE(b, !builds || b->excused);
}

static void
check_being(struct being *b)
{
	struct hird_world *w = b->world;
	const struct childhurd *c = b->c;
	/* the list is right, and has no guest that is not proven ready */
	PROMISE(b, b->as == (b->keys ? publisher_as(c) : PUBLISHED_NOT));
	if (b->as == PUBLISHED_READY && c->state == STATE_ASLEEP) {
		PROMISE(b, b->listening);
		PROMISE(b, !c->drained);
	} else if (b->as == PUBLISHED_READY) {
		PROMISE(b, b->alive || b->reporting);
		PROMISE(b, b->proven_boot == b->boot);
		PROMISE(b, b->stirred);
		PROMISE(b, !c->drained && !c->winding_down && c->want_up);
	}
	if (c->want_up && !c->drained && b->keys && b->config.offloading &&
	    c->state != STATE_STOPPED && c->state != STATE_FAILED)
		PROMISE(b, w->listed[PUBLISHED_READY] + w->listed[PUBLISHED_COMING] > 0);
	PROMISE(b, !c->drained || b->as == PUBLISHED_NOT);
	PROMISE(b, b->as != PUBLISHED_READY || !b->held);
	PROMISE(b, b->as != PUBLISHED_READY || c->room != ROOM_NONE);
	PROMISE(b, b->as != PUBLISHED_READY || !c->clock_off);
	PROMISE(b, b->as != PUBLISHED_READY || !c->paused);
	PROMISE(b, b->as != PUBLISHED_READY || !c->going_down);
	PROMISE(b, !c->setting_clock || b->held || b->invisible);
	PROMISE(b, c->state != STATE_STOPPED || !b->held);
	PROMISE(b, !c->collecting || b->held);
	/* its port is held by one of QEMU, the daemon */
	gboolean closed = b->from_state && (b->launching || !b->stirred); /* to all but us */
	PROMISE(b, !b->listening || closed || (!b->alive && !b->launching));
	PROMISE(b, b->listening == c->has_port);
	PROMISE(b, !b->listening || c->state == STATE_ASLEEP || c->state == STATE_STARTING ||
		       c->state == STATE_RESTORING);
	PROMISE(b, c->state != STATE_ASLEEP || b->listening);
	/* who waits there is waited for, or refused */
	PROMISE(b, !c->waking || c->state == STATE_STARTING || c->state == STATE_RESTORING);
	PROMISE(b, !b->caller || c->waking || b->listening);
	PROMISE(b, c->state != STATE_RESTORING || b->held || b->invisible);
	PROMISE(b, !c->saving || b->held || b->invisible);
	/* no QEMU that its guest does not know, and no second one */
	if (c->state == STATE_STOPPED || c->state == STATE_BACKOFF || c->state == STATE_ASLEEP)
		PROMISE(b, !b->alive && !b->launching);
	if (c->state == STATE_STARTING && c->qemu != QEMU_LAUNCHING)
		PROMISE(b, !b->alive && !b->launching);
	if (c->state == STATE_FAILED)
		PROMISE(b, childhurd_has_qemu(c) || (!b->alive && !b->launching));
	/* nothing waits for ever, except for what the host lacks */
	gboolean watched = c->state == STATE_BOOTING || c->state == STATE_ENROLLING ||
			   c->state == STATE_RESTORING || c->state == STATE_UNRESPONSIVE;
	if (watched && (c->unasked || c->paused))
		PROMISE(b, c->left > 0 && b->timer < 0);
	else if (watched || c->state == STATE_STOPPING || c->state == STATE_BACKOFF ||
		 (c->state == STATE_STARTING && b->place))
		PROMISE(b, b->timer >= w->now);
	if (c->state == STATE_STARTING && !b->place)
		PROMISE(b, b->queued);
	if (b->queued)
		PROMISE(b, w->look || w->places >= (int)w->parallel);
	if (c->state == STATE_DRAINING)
		PROMISE(b, c->winding_down || c->drained);
	/* the operators' wishes are not forgotten */
	PROMISE(b, !b->wish_up || c->want_up);
	/* places */
	PROMISE(b, w->places <= (int)w->parallel);
	PROMISE(b, b->place == starts_has_place(w->starts, c));
	if (b->place)
		PROMISE(b, c->state == STATE_STARTING || c->state == STATE_BOOTING ||
			       c->state == STATE_ENROLLING || c->state == STATE_RESTORING);
}

static gint64
sign_of(const struct being *b)
{
	return b->hung && b->hung_at ? b->hung_at : b->world->now;
}

/* Does the guest hang, and not only fail to answer? Then its build is lost anyway. */
static gboolean
hangs(const struct being *b)
{
	gint64 now = b->world->now;
	return now - sign_of(b) >= b->config.hang_timeout || now - b->c->since >= HANG_LONGEST;
}

/* As hird.c does: look at the slots while the end of a build is awaited. */
static void
tend(struct being *b)
{
	if ((!b->c->winding_down && b->c->state != STATE_DRAINING) || b->tending)
		return;
	b->tending = TRUE;
	due_at(b, THING_TEND, b->world->now + (gint64)(BUILD_POLL * 1000), 0);
}

static void
happen_as(struct being *b, enum event event, const char *text)
{
	struct hird_world *w = b->world;
	w->events++;
	w->seen_events[event]++;
	if ((event == EVENT_HALTED || event == EVENT_POWERED_OFF || event == EVENT_REBOOTED ||
	     event == EVENT_HALTING || event == EVENT_REBOOTING) &&
	    b->c->state != STATE_STOPPING)
		b->wish_up = FALSE; /* the key restart decides */
	childhurd_event(b->c, event, text);
	tend(b);
	check_being(b);
}

static void
happen(struct being *b, enum event event)
{
	happen_as(b, event, event_name(event));
}

/* --- QEMU --- */

static void
born(struct being *b)
{
	g_assert_false(b->alive);
	b->alive = TRUE;
	b->hung = b->excused = b->paused = FALSE;
	b->secrets = b->from_state;
	b->stirred = !b->from_state;
	b->hung = b->from_state && b->bad_state;
	b->has_state &= !b->from_state || b->config.disk == CONFIG_DISK_EPHEMERAL;
	b->served = 0;
	b->used = b->world->now;
	b->skewed = bad(b->world, 5);
	b->spoke = b->world->now;
	b->hung_at = 0;
	b->watched = b->reporting = FALSE;
	b->born = b->world->now;
	b->boot++;
	if (b->config.disk == CONFIG_DISK_EPHEMERAL || b->store == 0)
		b->store = EVENT_ROOM;
}

static void
dies(struct being *b, enum event how)
{
	if (!b->alive)
		return;
	b->alive = FALSE;
	b->death = how;
	call_off(b, THING_EXIT);
	call_off(b, THING_CONSOLE);
	call_off(b, THING_WAKES);
	call_off(b, THING_ROOM);
	if (b->builds) /* Guix notices that the guest is gone */
		due_in(b, THING_BUILD_ENDS, 0, 5 * WORLD_SECOND, 0);
	if (b->watched) {
		b->reporting = TRUE;
		due_in(b, THING_REPORT, 1, 2 * WORLD_SECOND, 0);
	}
}

/* Memory that QEMU uses. A guest touches all of its memory within two minutes. */
static gint64
taken(const struct being *b)
{
	gint64 age = MIN(b->world->now - b->born, 2 * WORLD_MINUTE);
	return b->alive ? MAX(4096, b->config.memory_size / (2 * WORLD_MINUTE) * age) : 0;
}

/* --- answers to childhurd.c --- */

static struct being *
being_of(const struct childhurd *c)
{
	return c->world;
}

static gint64
sim_now(struct childhurd *c)
{
	return being_of(c)->world->now;
}

static double
sim_random(struct childhurd *c)
{
	return g_rand_double(being_of(c)->world->rand);
}

static void
sim_timer(struct childhurd *c, gint64 at)
{
	struct being *b = being_of(c);
	b->timer = at;
	if (at < 0)
		call_off(b, THING_TIMER);
	else
		due_at(b, THING_TIMER, at, 0);
}

static void
sim_queue(struct childhurd *c)
{
	struct being *b = being_of(c);
	b->world->places -= b->place;
	b->place = FALSE;
	b->queued = TRUE;
	starts_queue(b->world->starts, c);
}

static void
sim_leave(struct childhurd *c)
{
	struct being *b = being_of(c);
	b->world->places -= b->place;
	b->queued = b->place = FALSE;
	starts_leave(b->world->starts, c);
}

/* Called on EVENT_ADMITTED, within starts_look. It must be this guest's turn, and the host must
 * have all the memory promised to admitted guests, however much of it they use yet. */
static void
admitted(struct being *b)
{
	struct hird_world *w = b->world;
	gint64 promised = 0, unknown = 0;
	for (guint i = 0; i < w->n; i++) {
		struct being *other = &w->beings[i];
		if (other->alive || ((other->place || other->c->qemu == QEMU_LAUNCHING) &&
				     other->c->qemu != QEMU_RUNNING))
			promised += other->config.memory_size;
		if (other->alive && other->c->qemu != QEMU_RUNNING)
			unknown += taken(other);
	}
	for (guint i = 0; i < b->index; i++) /* those before it cannot fit at all */
		PROMISE(b, !w->beings[i].queued ||
			       w->beings[i].config.memory_size + STARTS_MEMORY_RESERVE >
				   w->memory - w->pressure - unknown);
	PROMISE(b, promised + b->config.memory_size + STARTS_MEMORY_RESERVE <=
		       w->memory - w->pressure);
	b->queued = FALSE;
	b->place = TRUE;
	w->places++;
	w->events++;
	w->seen_events[EVENT_ADMITTED]++;
}

static void
sim_prepare(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	admitted(b);
	if (bad(w, 2))
		call_off(b, THING_PREPARED); /* it never comes */
	else
		due_in(b, THING_PREPARED, 1, bad(w, 2) ? START_LIMIT * 2 : 2 * WORLD_SECOND,
		       w->lacks	   ? EVENT_START_LACKED
		       : bad(w, 5) ? EVENT_START_FAILED
				   : EVENT_PREPARED);
}

static void
sim_launch(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	PROMISE(b, !b->alive);
	PROMISE(b, !b->launching);
	PROMISE(b, b->place);
	PROMISE(b, !b->listening || c->warm);
	PROMISE(b, !c->warm || b->has_state);
	/* a state of a disk that is written to fits no more */
	PROMISE(b, c->warm || !b->has_state || b->config.disk == CONFIG_DISK_EPHEMERAL);
	b->launching = TRUE;
	b->from_state = c->warm;
	call_off(b, THING_BORN);
	call_off(b, THING_LAUNCHED);
	gint64 longest = bad(w, 3) ? WORLD_HOUR : 500;
	if (bad(w, 4)) {
		due_in(b, THING_LAUNCHED, 10, longest, 1);
	} else {
		gint64 at = w->now + between(w, 5, longest);
		due_at(b, THING_BORN, at, 0);
		due_at(b, THING_LAUNCHED, at + between(w, 1, longest), 0);
	}
	if (bad(w, 1)) /* no reply, whether QEMU comes up or not */
		call_off(b, THING_LAUNCHED);
}

static void
sim_enroll(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	if (!bad(w, 4))
		due_in(b, THING_GREETED, WORLD_SECOND, 20 * WORLD_SECOND, bad(w, 4));
}

static void
sim_watch(struct childhurd *c)
{
	due_in(being_of(c), THING_PROBE, 100, 5 * WORLD_SECOND, 0);
}

static void
sim_quiet(struct childhurd *c)
{
	struct being *b = being_of(c);
	call_off(b, THING_PREPARED);
	call_off(b, THING_GREETED);
	call_off(b, THING_ENROLLED);
	call_off(b, THING_PROBE);
	call_off(b, THING_REFUSED);
	call_off(b, THING_COLLECTED);
	call_off(b, THING_CLOCK_SET);
	call_off(b, THING_SAVED);
	call_off(b, THING_RESTORED);
	call_off(b, THING_STIRRED);
}

static enum warm
sim_warm(struct childhurd *c)
{
	const struct being *b = being_of(c);
	if (!b->warm_possible)
		return WARM_IMPOSSIBLE;
	return b->has_state ? WARM_FITS : WARM_NONE;
}

static void
sim_save(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	PROMISE(b, b->alive || b->reporting);
	PROMISE(b, b->held || b->invisible);
	PROMISE(b, !b->builds || b->build_boot != b->boot || b->invisible || b->excused);
	if (!bad(w, 5))
		due_in(b, THING_SAVED, 100, bad(w, 5) ? 2 * SAVE_LIMIT : 30 * WORLD_SECOND,
		       bad(w, 5));
}

static void
sim_restore(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	check_end(b); /* what is in it ends */
	PROMISE(b, b->alive || b->reporting);
	PROMISE(b, b->held || b->invisible);
	PROMISE(b, b->has_state);
	b->boot++;
	b->stirred = FALSE;
	b->served = 0;
	w->in_place++;
	if (b->builds)
		due_in(b, THING_BUILD_ENDS, 0, 5 * WORLD_SECOND, 0);
	if (!bad(w, 2))
		due_in(b, THING_RESTORED, 50, 2 * WORLD_SECOND, bad(w, 2));
}

static void
sim_stir(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	PROMISE(b, c->state == STATE_RESTORING);
	if (!bad(w, 2))
		due_in(b, THING_STIRRED, 500, 5 * WORLD_SECOND, bad(w, 2));
}

static void
sim_forget(struct childhurd *c)
{
	struct being *b = being_of(c);
	b->has_state = FALSE;
	call_off(b, THING_SAVED);
}

static void
sim_take_port(struct childhurd *c)
{
	struct being *b = being_of(c);
	PROMISE(b, !b->alive && !b->launching && !b->listening);
	b->listening = TRUE;
}

static void
sim_leave_port(struct childhurd *c)
{
	struct being *b = being_of(c);
	PROMISE(b, b->listening || b->from_state); /* or the world has left it at the stir */
	b->listening = FALSE;
}

static void
begin_build(struct being *b)
{
	b->builds = 1;
	b->built = b->world->now;
	b->build_boot = b->boot;
	PROMISE(b, b->stirred);
	PROMISE(b, !b->config.recycle_after || b->served < b->config.recycle_after || b->invisible);
	due_in(b, THING_BUILD_ENDS, WORLD_SECOND, 20 * WORLD_MINUTE, 0);
}

static int
sim_callers(struct childhurd *c)
{
	return being_of(c)->caller;
}

static int
sim_pass_on(struct childhurd *c)
{
	struct being *b = being_of(c);
	if (!b->caller)
		return 0;
	b->caller = FALSE;
	b->world->passed_on++;
	if (b->alive && b->proven_boot == b->boot && !b->builds)
		begin_build(b);
	return 1;
}

static void
sim_turn_away(struct childhurd *c)
{
	being_of(c)->caller = FALSE;
}

/* The guest goes down by itself: QEMU ends, or Mach has halted and QEMU stays. */
static void
goes_down(struct being *b, gint64 longest)
{
	if (!b->alive)
		return;
	if (bad(b->world, 40))
		due_in(b, THING_CONSOLE, 10, longest, EVENT_HALTED);
	else
		due_in(b, THING_EXIT, 10, longest, EVENT_POWERED_OFF);
}

static void
sim_halt(struct childhurd *c)
{
	struct being *b = being_of(c);
	check_end(b);
	if (b->hung || bad(b->world, 15))
		due_in(b, THING_REFUSED, 10, 90 * WORLD_SECOND, 0);
	else if (!bad(b->world, 10))
		goes_down(b, 20 * WORLD_SECOND);
}

static void
sim_power_button(struct childhurd *c)
{
	struct being *b = being_of(c);
	check_end(b);
	if (!b->hung && !bad(b->world, 50))
		goes_down(b, 10 * WORLD_SECOND);
}

static void
sim_kill(struct childhurd *c)
{
	struct being *b = being_of(c);
	struct hird_world *w = b->world;
	check_end(b);
	if (b->launching && c->qemu == QEMU_LAUNCHING)
		return; /* as in world.c: a QEMU cannot be ended before it runs */
	b->launching = FALSE;
	call_off(b, THING_BORN);
	call_off(b, THING_LAUNCHED);
	b->watched = TRUE; /* the daemon asked for the end, so it hears of it */
	if (bad(w, 10))
		return;
	if (b->alive)
		due_in(b, THING_EXIT, 1, bad(w, 20) ? 3 * KILL_LIMIT : 300, EVENT_DIED);
	else
		due_in(b, THING_ENDED, 1, 300, 0);
}

static void
sim_discard(struct childhurd *c)
{
	struct being *b = being_of(c);
	PROMISE(b, !b->alive && !b->launching);
	PROMISE(b, !b->has_state || b->config.disk == CONFIG_DISK_EPHEMERAL);
}

static int
sim_builds(struct childhurd *c)
{
	struct being *b = being_of(c);
	return b->invisible ? -1 : b->builds + b->caller;
}

static int
sim_hold(struct childhurd *c)
{
	struct being *b = being_of(c);
	if (b->invisible)
		return -1;
	b->held = TRUE;
	return b->builds + b->caller;
}

static void
sim_release(struct childhurd *c)
{
	being_of(c)->held = FALSE;
}

static void
sim_collect(struct childhurd *c)
{
	struct being *b = being_of(c);
	PROMISE(b, b->alive || b->reporting);
	PROMISE(b, !b->builds);
	due_in(b, THING_COLLECTED, WORLD_SECOND, 10 * WORLD_MINUTE, 0);
}

static void
sim_set_clock(struct childhurd *c)
{
	struct being *b = being_of(c);
	PROMISE(b, b->alive || b->reporting);
	PROMISE(b, !b->builds || b->invisible || b->build_boot != b->boot);
	due_in(b, THING_CLOCK_SET, 10, WORLD_SECOND, 0);
}

static void
sim_ask(struct childhurd *c)
{
	due_in(being_of(c), THING_PROBE, 0, WORLD_SECOND, 0);
}

static gint64
sim_spoke(struct childhurd *c)
{
	return being_of(c)->spoke;
}

static gint64
sim_used(struct childhurd *c)
{
	return being_of(c)->built;
}

static gint64
sim_sign(struct childhurd *c)
{
	return sign_of(being_of(c));
}

static void
keep_record(struct being *b)
{
	b->kept = childhurd_keep(b->c);
}

static void
sim_changed(struct childhurd *c, gboolean state_changed, const char *text)
{
	struct being *b = being_of(c);
	if (text && g_str_has_prefix(text, "waiting for memory"))
		b->world->memory_waits++;
	if (!state_changed)
		return;
	b->world->seen_states[c->state]++;
	if (c->state == STATE_READY)
		b->ready_times++;
	keep_record(b);
	if (!b->world->dying)
		write_list(b);
}

static const struct world_ops sim_ops = {
    .now = sim_now,
    .random = sim_random,
    .timer = sim_timer,
    .queue = sim_queue,
    .leave = sim_leave,
    .prepare = sim_prepare,
    .launch = sim_launch,
    .enroll = sim_enroll,
    .watch = sim_watch,
    .quiet = sim_quiet,
    .halt = sim_halt,
    .power_button = sim_power_button,
    .kill = sim_kill,
    .discard = sim_discard,
    .warm = sim_warm,
    .save = sim_save,
    .restore = sim_restore,
    .stir = sim_stir,
    .forget = sim_forget,
    .take_port = sim_take_port,
    .leave_port = sim_leave_port,
    .callers = sim_callers,
    .pass_on = sim_pass_on,
    .turn_away = sim_turn_away,
    .builds = sim_builds,
    .hold = sim_hold,
    .release = sim_release,
    .collect = sim_collect,
    .set_clock = sim_set_clock,
    .ask = sim_ask,
    .sign = sim_sign,
    .spoke = sim_spoke,
    .used = sim_used,
    .changed = sim_changed,
};

/* --- answers to starts.c --- */

static struct childhurd *
sim_guest(void *data, guint i)
{
	struct hird_world *w = data;
	return i < w->n ? w->beings[i].c : NULL;
}

static guint
sim_places(void *data)
{
	return ((struct hird_world *)data)->parallel;
}

static void
sim_apply(void *data, struct childhurd *c)
{
}

static char *
sim_hindrance(void *data, const struct childhurd *c)
{
	return NULL;
}

static gint64
sim_memory_taken(void *data, const struct childhurd *c)
{
	return c->qemu == QEMU_RUNNING ? taken(being_of(c)) : 0;
}

static gint64
sim_memory_free(void *data)
{
	struct hird_world *w = data;
	gint64 free = w->memory - w->pressure;
	for (guint i = 0; i < w->n; i++)
		free -= taken(&w->beings[i]);
	return MAX(free, 0);
}

static void
sim_look(void *data, gint64 after)
{
	struct hird_world *w = data;
	w->look = TRUE;
	hird_world_due(w, THING_LOOK, after, after);
}

static const struct starts_ops sim_starts = {
    .guest = sim_guest,
    .places = sim_places,
    .apply = sim_apply,
    .memory_free = sim_memory_free,
    .hindrance = sim_hindrance,
    .memory_taken = sim_memory_taken,
    .look = sim_look,
};

/* --- what happens in the world --- */

void
hird_world_command(struct being *b, enum event event)
{
	if (event == EVENT_STOP_NOW || event == EVENT_RESTART_NOW || event == EVENT_RESET_NOW ||
	    event == EVENT_RESET_COLD_NOW)
		b->excused = TRUE;
	if (event == EVENT_START || event == EVENT_RESTART || event == EVENT_RESTART_NOW ||
	    event == EVENT_SLEEP)
		b->wish_up = TRUE;
	else if (event == EVENT_STOP || event == EVENT_STOP_NOW)
		b->wish_up = FALSE;
	happen(b, event);
	keep_record(b);
	if (event == EVENT_DRAIN)
		PROMISE(b, b->c->drained && b->as == PUBLISHED_NOT);
}

static void
operator_speaks(struct hird_world *w)
{
	static const enum event commands[] = {
	    EVENT_START,     EVENT_START,   EVENT_START,       EVENT_STOP,
	    EVENT_STOP_NOW,  EVENT_RESTART, EVENT_RESTART_NOW, EVENT_RESET,
	    EVENT_RESET_NOW, EVENT_DRAIN,   EVENT_UNDRAIN,     EVENT_UNDRAIN,
	    EVENT_SLEEP,     EVENT_SLEEP,   EVENT_RESET_COLD,  EVENT_RESET_COLD_NOW,
	};
	struct being *b = &w->beings[g_rand_int_range(w->rand, 0, (gint32)w->n)];
	int times = chance(w, 30) ? 3 : 1; /* some operators change their mind at once */
	while (times--)
		hird_world_command(b,
				   commands[g_rand_int_range(w->rand, 0, G_N_ELEMENTS(commands))]);
}

static void
misfortune(struct being *b)
{
	struct hird_world *w = b->world;
	due_in(b, THING_MISFORTUNE, WORLD_SECOND, WORLD_HOUR, 0);
	if (!b->alive || w->good)
		return;
	switch (g_rand_int_range(w->rand, 0, 10)) {
	case 0:
		dies(b, EVENT_DIED);
		break;
	case 1:
		dies(b, EVENT_REBOOTED);
		break;
	case 2:
		dies(b, EVENT_POWERED_OFF);
		break;
	case 3:
		b->hung = TRUE;
		due_in(b, THING_CONSOLE, 0, WORLD_SECOND, EVENT_BROKEN);
		break;
	case 4:
		b->hung = TRUE;
		due_in(b, THING_CONSOLE, 0, WORLD_SECOND, EVENT_HALTED);
		break;
	case 5:
		b->hung = TRUE;
		b->hung_at = chance(w, 50) ? w->now : 0;
		break;
	case 6: /* the line is true, or a process in the guest has written it */
		due_in(b, THING_CONSOLE, 0, WORLD_SECOND,
		       chance(w, 50) ? EVENT_HALTING : EVENT_REBOOTING);
		if (chance(w, 30))
			break;
		b->hung = b->excused = TRUE;
		b->hung_at = 0;
		if (chance(w, 50))
			goes_down(b, 30 * WORLD_SECOND);
		break;
	case 7: /* its disk cannot be written */
		b->paused = TRUE;
		due_in(b, THING_LOOKS, 0, WORLD_SECOND, 0);
		due_in(b, THING_ROOM, WORLD_SECOND, WORLD_HOUR, 0);
		break;
	case 8:
		b->skewed = TRUE;
		break;
	default:
		b->hung = TRUE;
		b->hung_at = chance(w, 50) ? w->now : 0;
		due_in(b, THING_WAKES, WORLD_SECOND, 5 * WORLD_MINUTE, 0);
		break;
	}
}

static void
being_new(struct being *b)
{
	b->c = childhurd_new(&b->config, &sim_ops, b);
	b->timer = -1;
	b->queued = b->place = b->watched = b->reporting = b->tending = b->held = FALSE;
	b->listening = b->caller = FALSE;
	for (int thing = 0; thing < N_DAEMON_THINGS; thing++)
		call_off(b, thing);
}

/* The daemon is killed, and the next one takes over, as hird.c does. A QEMU that libvirt has not
 * started yet never comes up. */
void
hird_world_daemon_dies(struct hird_world *w)
{
	w->daemons++;
	w->dying = TRUE;
	w->stamps[THING_LOOK]++;
	w->look = FALSE;
	w->places = 0;
	starts_free(w->starts);
	w->starts = starts_new(&sim_starts, w);
	for (guint i = 0; i < w->n; i++) {
		struct being *b = &w->beings[i];
		childhurd_free(b->c);
		being_new(b);
		call_off(b, THING_BORN);
		b->launching = FALSE;
		b->c->drained = b->kept.drained;
		b->c->warm_failures = b->kept.warm_failures;
		if (!b->alive)
			continue;
		b->watched = TRUE;
		childhurd_recall(b->c, &b->kept);
	}
	for (guint i = 0; i < w->n; i++) {
		struct being *b = &w->beings[i];
		gboolean want_up = b->kept.want_up;
		if (!b->alive && !want_up)
			continue;
		enum event event = b->alive	      ? EVENT_FOUND
				   : b->kept.to_sleep ? EVENT_SLEEP
						      : EVENT_START;
		w->events++;
		w->seen_events[event]++;
		childhurd_event(b->c, event, "a new daemon");
		if (b->alive)
			due_in(b, THING_LOOKS, 0, WORLD_SECOND, 0);
	}
	w->dying = FALSE;
	for (guint i = 0; i < w->n; i++)
		write_list(&w->beings[i]);
	for (guint i = 0; i < w->n; i++) {
		tend(&w->beings[i]);
		keep_record(&w->beings[i]);
		check_being(&w->beings[i]);
	}
}

/* What a probe reports of the store, which fills up now and then. */
static enum event
store_of(struct being *b)
{
	if (b->world->good)
		b->store = EVENT_ROOM;
	else if (bad(b->world, 2))
		b->store = bad(b->world, 50) ? EVENT_LOW : EVENT_FULL;
	return b->store;
}

/* Also if the coordinator read the list before the guest was taken off it. */
static void
build_begins(struct being *b)
{
	struct hird_world *w = b->world;
	due_in(b, THING_BUILD, WORLD_SECOND, 10 * WORLD_MINUTE, 0);
	gboolean listed = b->as == PUBLISHED_READY || w->now - b->listed_until < 5 * WORLD_SECOND;
	if (!w->good && listed && b->listening && !b->caller && !b->held) {
		b->caller = TRUE;
		due_in(b, THING_CALLER_LEAVES, 0, 2 * WORLD_MINUTE, 0);
		happen(b, EVENT_WOKEN);
		return;
	}
	/* a half-restored guest lets nobody in, whoever asks it */
	if (w->good || !listed || !b->alive || b->builds || b->held || !b->stirred ||
	    b->proven_boot != b->boot)
		return;
	begin_build(b);
}

/* Its slot is seen to be given back before it can be taken again. */
static void
build_ends(struct being *b)
{
	gboolean seen = b->builds && b->alive && !b->invisible && b->build_boot == b->boot;
	b->builds = 0;
	b->used = b->built = b->world->now;
	if (!seen)
		return;
	b->served++;
	happen(b, EVENT_BUILD_DONE);
}

static void
on_guest(struct being *b, enum thing thing, int detail)
{
	struct hird_world *w = b->world;
	switch (thing) {
	case THING_TIMER:
		b->timer = -1;
		if (b->c->state == STATE_UNRESPONSIVE && hangs(b))
			b->excused = TRUE;
		/* it reported its own halt, and did not answer the last probe */
		if (b->c->going_down == GOING_DOWN_ASKED &&
		    (b->hung || w->now - b->woke_at < 2 * PROBE_AGAIN))
			b->excused = TRUE;
		happen(b, EVENT_DEADLINE);
		break;
	case THING_PREPARED:
		b->keys = TRUE;
		write_list(b);
		if (detail == EVENT_PREPARED && b->c->warm && bad(w, 5)) {
			b->has_state = FALSE;
			b->stirred = TRUE; /* nothing was loaded */
			happen(b, EVENT_UNFIT);
		}
		happen(b, detail);
		break;
	case THING_LAUNCHED:
		b->launching = FALSE;
		b->watched = !detail;
		if (!detail && !b->alive) { /* QEMU has come up and ended */
			b->reporting = TRUE;
			due_in(b, THING_REPORT, 2 * WORLD_SECOND, 2 * WORLD_SECOND, 0);
		}
		happen(b, detail ? EVENT_START_FAILED : EVENT_LAUNCHED);
		break;
	case THING_GREETED:
		if (b->hung || !b->alive)
			break;
		if (!detail)
			due_in(b, THING_ENROLLED, WORLD_SECOND, 10 * WORLD_SECOND, bad(w, 5));
		happen(b, detail ? EVENT_START_FAILED : EVENT_GREETED);
		break;
	case THING_ENROLLED:
		if (b->hung || !b->alive || detail)
			break;
		b->secrets = TRUE;
		happen(b, EVENT_ENROLLED);
		break;
	case THING_PROBE: {
		if (w->lacks) {
			due_in(b, THING_PROBE, 2 * WORLD_SECOND, 3 * WORLD_SECOND, 0);
			happen(b, EVENT_UNASKED);
			break;
		}
		if (b->paused) { /* the silence of a paused guest does not count */
			due_in(b, THING_PROBE, 2 * WORLD_SECOND, 3 * WORLD_SECOND, 0);
			break;
		}
		gboolean ok = b->alive && !b->hung && b->secrets && !bad(w, 1);
		gint64 next = ok ? b->config.probe_interval : PROBE_AGAIN;
		due_in(b, THING_PROBE, next * 9 / 10, next * 11 / 10, 0);
		if (ok) {
			b->proven_boot = b->boot;
			happen(b, store_of(b));
			happen(b, b->skewed ? EVENT_CLOCK_OFF : EVENT_CLOCK_GOOD);
		}
		happen(b, ok ? EVENT_PROBE_OK : EVENT_PROBE_FAILED);
		if (ok && b->config.idle_timeout && !b->builds &&
		    w->now - b->used >= b->config.idle_timeout)
			happen(b, EVENT_IDLE);
		break;
	}
	case THING_REFUSED:
		happen(b, EVENT_HALT_REFUSED);
		break;
	case THING_ENDED:
		if (!b->alive && !b->reporting && b->c->state == STATE_STOPPING)
			happen(b, EVENT_DIED);
		break;
	case THING_TEND:
		b->tending = FALSE;
		if ((b->c->winding_down || b->c->state == STATE_DRAINING) && sim_hold(b->c) <= 0 &&
		    b->c->winding_down)
			happen(b, EVENT_BUILD_ENDED);
		tend(b);
		break;
	case THING_COLLECTED:
		if (!b->alive || b->hung)
			break;
		if (!bad(w, 20))
			b->store = EVENT_ROOM;
		happen(b, EVENT_COLLECTED);
		break;
	case THING_CLOCK_SET:
		if (!b->alive || b->hung)
			break;
		b->skewed &= bad(w, 20);
		due_in(b, THING_PROBE, 0, WORLD_SECOND, 0);
		happen(b, EVENT_CLOCK_SET);
		break;
	case THING_SAVED:
		if (!b->alive || b->hung)
			break;
		b->has_state = !detail;
		b->bad_state = bad(w, 10);
		w->saved_for_sleep += b->c->state == STATE_STOPPING;
		happen(b, detail ? EVENT_SAVE_FAILED : EVENT_SAVED);
		break;
	case THING_RESTORED:
		if (!b->alive)
			break;
		b->hung = b->bad_state;
		b->hung_at = 0;
		b->secrets = TRUE;
		b->store = EVENT_ROOM;
		b->used = w->now;
		if (bad(w, 5)) {
			b->has_state = FALSE;
			b->stirred = TRUE; /* nothing was loaded */
			happen(b, EVENT_UNFIT);
			break;
		}
		happen(b, detail ? EVENT_RESTORE_FAILED : EVENT_RESTORED);
		break;
	case THING_STIRRED:
		if (w->lacks) {
			due_in(b, THING_STIRRED, 2 * WORLD_SECOND, 3 * WORLD_SECOND, 0);
			happen(b, EVENT_UNASKED);
			break;
		}
		if (!b->alive)
			break;
		if (b->hung) { /* who could not be asked before was asked now */
			happen(b, EVENT_PROBE_FAILED);
			break;
		}
		b->listening = FALSE;
		b->stirred = !detail;
		b->skewed = FALSE;
		happen(b, detail ? (bad(w, 50) ? EVENT_START_FAILED : EVENT_RESTORE_FAILED)
				 : EVENT_STIRRED);
		break;
	case THING_LOOKS:
		if (!b->alive || b->c->qemu != QEMU_RUNNING)
			break;
		if (b->paused)
			due_in(b, THING_LOOKS, 5 * WORLD_SECOND, 6 * WORLD_SECOND, 0);
		happen(b, b->paused ? EVENT_PAUSED : EVENT_RESUMED);
		break;
	case THING_REPORT:
		b->reporting = FALSE;
		happen(b, b->death);
		break;
	case THING_BORN:
		born(b);
		break;
	case THING_EXIT:
		dies(b, detail);
		break;
	case THING_CONSOLE:
		b->spoke = w->now;
		if (detail != EVENT_HALTING && detail != EVENT_REBOOTING)
			b->hung = b->excused = TRUE;
		happen(b, detail);
		break;
	case THING_WAKES:
		b->hung = FALSE;
		b->woke_at = w->now;
		break;
	case THING_ROOM:
		b->paused = FALSE;
		break;
	case THING_LACK:
		w->lacks = !w->lacks && !w->good;
		due_in(b, THING_LACK, WORLD_SECOND, w->lacks ? 10 * WORLD_MINUTE : 8 * WORLD_HOUR,
		       0);
		break;
	case THING_BUILD:
		build_begins(b);
		break;
	case THING_BUILD_ENDS:
		build_ends(b);
		break;
	case THING_CALLER_LEAVES:
		b->caller = FALSE;
		break;
	case THING_MISFORTUNE:
		misfortune(b);
		break;
	default:
		g_assert_not_reached();
	}
}

void
hird_world_step(struct hird_world *w)
{
	struct due due = heap_pop(w);
	struct being *b = &w->beings[due.guest];
	gboolean one_guests = due.thing < N_GUEST_THINGS;
	if (due.stamp != (one_guests ? b->stamps : w->stamps)[due.thing])
		return;
	g_assert_cmpint(due.at, >=, w->now);
	w->now = due.at;
	w->seen[due.thing]++;
	switch (due.thing) {
	case THING_LOOK:
		w->look = FALSE;
		starts_look(w->starts);
		for (guint i = 0; i < w->n; i++)
			check_being(&w->beings[i]);
		break;
	case THING_OPERATOR:
		if (w->good)
			break;
		operator_speaks(w);
		hird_world_due(w, THING_OPERATOR, 100, 10 * WORLD_MINUTE / w->n);
		break;
	case THING_PRESSURE:
		w->pressure = w->good ? 0 : between(w, 0, w->memory / 4);
		hird_world_due(w, THING_PRESSURE, WORLD_SECOND, 10 * WORLD_MINUTE);
		break;
	case THING_DAEMON_DIES:
		if (w->good)
			break;
		hird_world_daemon_dies(w);
		hird_world_due(w, THING_DAEMON_DIES, WORLD_SECOND, 8 * WORLD_HOUR);
		break;
	default:
		on_guest(b, due.thing, due.detail);
	}
}

struct hird_world *
hird_world_new(guint n, guint32 seed)
{
	struct hird_world *w = g_new0(struct hird_world, 1);
	w->rand = g_rand_new_with_seed(seed);
	w->heap = g_array_new(FALSE, FALSE, sizeof(struct due));
	w->now = WORLD_HOUR;
	w->n = n;
	w->parallel = 4;
	w->memory = 40 * WORLD_GIB; /* not enough for all guests */
	w->starts = starts_new(&sim_starts, w);
	for (guint i = 0; i < n; i++) {
		struct being *b = &w->beings[i];
		b->world = w;
		b->index = i;
		g_snprintf(b->name, sizeof(b->name), "g%u", i);
		b->config.name = b->name;
		b->config.memory_size = (i == 7 ? 64 * 1024 : 256 * (1 + i % 8)) * WORLD_MIB;
		b->config.offloading = i % 10 != 8;
		b->config.restart = i % 3 == 0	 ? CONFIG_RESTART_ALWAYS
				    : i % 7 == 1 ? CONFIG_RESTART_NEVER
						 : CONFIG_RESTART_ON_FAILURE;
		b->config.probe_interval = 30 * WORLD_SECOND;
		b->config.boot_timeout = 5 * WORLD_MINUTE;
		b->config.hang_timeout = 3 * WORLD_MINUTE;
		b->config.stop_timeout = WORLD_MINUTE;
		b->config.disk = i % 4 == 1 ? CONFIG_DISK_PERSISTENT : CONFIG_DISK_EPHEMERAL;
		b->config.store_floor = i % 5 == 4 ? 0 : 1024 * WORLD_MIB;
		b->invisible = i % 10 == 9;
		b->warm_possible = i % 6 != 5;
		b->config.recycle_after = i % 4 == 2 ? 1 + (int)(i % 3) : 0;
		b->config.idle_timeout = i % 5 == 3 ? 20 * WORLD_MINUTE : 0;
		w->listed[b->as]++;
		being_new(b);
		due_in(b, THING_BUILD, 0, WORLD_MINUTE, 0);
		due_in(b, THING_MISFORTUNE, 0, WORLD_HOUR, 0);
	}
	due_in(&w->beings[0], THING_LACK, 0, 8 * WORLD_HOUR, 0);
	hird_world_due(w, THING_OPERATOR, 0, WORLD_SECOND);
	hird_world_due(w, THING_PRESSURE, 0, WORLD_SECOND);
	hird_world_due(w, THING_DAEMON_DIES, WORLD_HOUR, 8 * WORLD_HOUR);
	return w;
}

void
hird_world_free(struct hird_world *w)
{
	for (guint i = 0; i < w->n; i++)
		childhurd_free(w->beings[i].c);
	starts_free(w->starts);
	g_array_unref(w->heap);
	g_rand_free(w->rand);
	g_free(w);
}

void
hird_world_becomes_good(struct hird_world *w)
{
	w->good = TRUE;
	w->lacks = FALSE;
	w->memory = 1024 * WORLD_GIB;
	w->pressure = 0;
	for (guint i = 0; i < w->n; i++)
		if (w->beings[i].launching) {
			call_off(&w->beings[i], THING_BORN);
			due_in(&w->beings[i], THING_LAUNCHED, 1, WORLD_SECOND, !w->beings[i].alive);
		}
}

void
hird_world_run_until(struct hird_world *w, gint64 until)
{
	while (w->heap->len && DUE(w, 0).at <= until)
		hird_world_step(w);
	w->now = MAX(w->now, until);
}
