/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hird in a simulated world where things go wrong (hird_world.h): for a million events, for a
 * year, for a day from each state of a guest, and in many rounds. The promises always hold, and
 * once nothing goes wrong any more, all guests are as the operators want them. */
#include "tests/unit/childhurdd/hird/hird_world.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define EVENTS		1000000
#define ROUNDS		10000
#define ROUNDS_WARM	1000
#define GROWTH_MAX	(1 << 20)
#define SETTLED_WITHIN	(6 * WORLD_HOUR)
#define YEAR		(365 * 24 * WORLD_HOUR)
#define LIST_CHECK_EACH 10000
#define DAY		(24 * WORLD_HOUR)
#define DAY_GUESTS	10	   /* one of each kind, see hird_world_new */
#define DAY_GROWTH_MAX	(64 << 10) /* bytes, in the afternoon */
#define STATE_WITHIN	(30 * DAY)

static guint32
seed_of_this_run(void)
{
	guint32 seed = (guint32)g_test_rand_int();
	g_test_message("seed %u", seed);
	return seed;
}

/* The list of machines, written by the real code, has the guests that it should have. */
static void
check_machines(struct hird_world *w)
{
	struct published_guest guests[WORLD_GUESTS];
	gsize n = 0, listed = 0;
	for (guint i = 0; i < w->n; i++) {
		struct being *b = &w->beings[i];
		if (b->keys)
			guests[n++] = (struct published_guest){.name = b->name,
							       .host_name = "127.0.0.1",
							       .port = 10022,
							       .user = "offloading",
							       .private_key = "/key",
							       .as = publisher_as(b->c)};
	}
	g_autofree char *machines = published_machines(guests, n);
	for (const char *at = machines; (at = strstr(at, "(build-machine")); at++)
		listed++;
	guint wanted = (guint)w->listed[PUBLISHED_READY];
	if (!wanted)
		wanted = (guint)w->listed[PUBLISHED_COMING];
	g_assert_cmpuint(listed, ==, wanted);
}

/* A third of the guests get a last start, a third a last stop. *up: which are wanted up now. */
static void
last_words(struct hird_world *w, gboolean *up)
{
	for (guint i = 0; i < w->n; i++) {
		struct being *b = &w->beings[i];
		if (i % 3 == 0)
			hird_world_command(b, EVENT_START);
		else if (i % 3 == 1)
			hird_world_command(b, EVENT_STOP);
		up[i] = b->c->want_up;
	}
}

/* A QEMU may have survived everything that was tried before the world became good. The message says
 * to stop such a guest once more. */
static void
settle(struct hird_world *w)
{
	hird_world_run_until(w, w->now + SETTLED_WITHIN);
	for (guint i = 0; i < w->n; i++) {
		if (!w->beings[i].c->want_up && w->beings[i].c->state == STATE_FAILED)
			hird_world_command(&w->beings[i], EVENT_STOP);
	}
	hird_world_run_until(w, w->now + SETTLED_WITHIN);
}

static enum state
settled_state(const struct childhurd *c)
{
	return c->to_sleep ? STATE_ASLEEP : c->drained ? STATE_DRAINING : STATE_READY;
}

/* Guests are woken, sent to sleep and made pristine for ever: each is given the time to get through
 * what it is in. */
static void
arrive(struct hird_world *w, const struct childhurd *c)
{
	gint64 limit = w->now + SETTLED_WITHIN;
	while (c->want_up && c->state != STATE_FAILED && c->state != settled_state(c) &&
	       w->now < limit)
		hird_world_step(w);
}

static void
check_settled(struct hird_world *w, const gboolean *up)
{
	for (guint i = 0; i < w->n; i++) {
		struct being *b = &w->beings[i];
		const struct childhurd *c = b->c;
		if (i % 3 == 0)
			g_assert_true(up[i]);
		else if (i % 3 == 1)
			g_assert_false(up[i]);
		arrive(w, c);
		if (!c->want_up) {
			/* also a guest that powered itself off at the last moment */
			PROMISE(b, c->state == STATE_STOPPED || c->state == STATE_FAILED);
			PROMISE(b, i % 3 != 1 || c->state == STATE_STOPPED);
		} else if (c->state != STATE_FAILED) {
			PROMISE(b, c->state == settled_state(c));
			PROMISE(b, b->alive == !c->to_sleep);
		}
		PROMISE(b, (c->qemu == QEMU_RUNNING) == b->alive);
		PROMISE(b, !b->alive || c->want_up);
	}
	g_assert_cmpint(w->places, ==, 0);
}

static void
report(struct hird_world *w)
{
	for (int s = 0; s < N_STATES; s++)
		g_test_message("%s: %" G_GUINT64_FORMAT " times", state_name(s), w->seen_states[s]);
	for (int e = 0; e < N_EVENTS; e++)
		g_test_message("%s: %" G_GUINT64_FORMAT " times", event_name(e), w->seen_events[e]);
	g_test_message("%.1f h, %" G_GUINT64_FORMAT " daemons, %" G_GUINT64_FORMAT
		       " waits for memory",
		       (double)w->now / (double)WORLD_HOUR, w->daemons, w->memory_waits);
}

static void
test_million(void)
{
	struct hird_world *w = hird_world_new(WORLD_GUESTS, seed_of_this_run());
	gboolean up[WORLD_GUESTS];
	gint64 begin = g_get_monotonic_time();
	for (guint64 next = LIST_CHECK_EACH; w->events < EVENTS;) {
		hird_world_step(w);
		if (w->events < next)
			continue;
		check_machines(w);
		next += LIST_CHECK_EACH;
	}
	g_test_message("%" G_GUINT64_FORMAT " events in %.2f s", w->events,
		       (double)(g_get_monotonic_time() - begin) / 1e6);
	report(w);
	/* Without any of these the test would prove nothing. */
	for (int s = 0; s < N_STATES; s++)
		g_assert_cmpuint(w->seen_states[s], >, 0);
	for (int e = 0; e < N_EVENTS; e++)
		g_assert_cmpuint(w->seen_events[e], >, 0);
	g_assert_cmpuint(w->memory_waits, >, 0);
	g_assert_cmpuint(w->passed_on, >, 0);
	g_assert_cmpuint(w->in_place, >, 0);
	g_assert_cmpuint(w->saved_for_sleep, >, 0);

	hird_world_becomes_good(w);
	last_words(w, up);
	settle(w);
	check_settled(w, up);
	check_machines(w);
	hird_world_free(w);
}

static void
test_year(void)
{
	struct hird_world *w = hird_world_new(1, seed_of_this_run());
	gint64 begin = g_get_monotonic_time();
	hird_world_command(&w->beings[0], EVENT_START);
	hird_world_run_until(w, w->now + YEAR);
	double took = (double)(g_get_monotonic_time() - begin) / 1e6;
	g_test_message("%" G_GUINT64_FORMAT " events, ready %u times, in %.2f s", w->events,
		       w->beings[0].ready_times, took);
	g_assert_cmpuint(w->beings[0].ready_times, >, 1000);
	hird_world_free(w);
}

static gint64
resident(void)
{
	g_autofree char *text = NULL;
	long pages = 0;
	g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	g_assert_cmpint(sscanf(text, "%*d %ld", &pages), ==, 1);
	return (gint64)pages * sysconf(_SC_PAGESIZE);
}

static void
test_no_growth(void)
{
	struct hird_world *w = hird_world_new(1, seed_of_this_run());
	struct being *b = &w->beings[0];
	gint64 before = 0;
	hird_world_becomes_good(w);
	for (int round = 0; round < ROUNDS; round++) {
		if (round == ROUNDS_WARM)
			before = resident();
		hird_world_command(b, EVENT_START);
		while (b->c->state != STATE_READY)
			hird_world_step(w);
		hird_world_command(b, EVENT_STOP);
		while (b->c->state != STATE_STOPPED)
			hird_world_step(w);
	}
	gint64 grown = resident() - before;
	/* In kibibytes, over the last 9 000 rounds; see tests/lib/Bench.pm. */
	g_test_message("RESULT growth.starts %" G_GINT64_FORMAT " KiB", grown / 1024);
#ifdef __SANITIZE_ADDRESS__
	g_test_message("not judged: AddressSanitizer keeps what was freed");
#else
	g_assert_cmpint(grown, <, GROWTH_MAX);
#endif
	hird_world_free(w);
}

/* Bytes that are allocated. AddressSanitizer does not count them. */
static gint64
allocated(void)
{
	return (gint64)mallinfo2().uordblks;
}

static gboolean
any_in(const struct hird_world *w, enum state state)
{
	for (guint i = 0; i < w->n; i++)
		if (w->beings[i].c->state == state)
			return TRUE;
	return FALSE;
}

/* From the first moment in which a guest is in that state, a day in which things go wrong; with
 * killed, the daemon dies in that moment. Then nothing goes wrong any more, and all must end well.
 */
static gint64
day_from(enum state state, gboolean killed)
{
	gint64 before = allocated();
	struct hird_world *w = hird_world_new(DAY_GUESTS, (guint32)g_test_rand_int());
	gboolean up[DAY_GUESTS];
	while (!any_in(w, state) && w->now < STATE_WITHIN)
		hird_world_step(w);
	g_assert_true(any_in(w, state));
	if (killed)
		hird_world_daemon_dies(w);
	gint64 dawn = w->now;
	guint64 events = w->events;
	hird_world_run_until(w, dawn + DAY / 2);
	gint64 noon = allocated();
	guint64 waiting = w->heap->len;
	hird_world_run_until(w, dawn + DAY);
	gint64 grown = allocated() - noon;
	events = w->events - events;
	g_assert_cmpuint(events, >, 1000);
	g_assert_cmpuint(w->heap->len, <=, 2 * waiting + 1000);
	hird_world_becomes_good(w);
	last_words(w, up);
	settle(w);
	check_settled(w, up);
	guint at_the_end = w->heap->len;
	hird_world_free(w);
	gint64 left = allocated() - before;
	g_test_message("from %s%s: %" G_GUINT64_FORMAT " events; %" G_GINT64_FORMAT
		       " bytes more in the afternoon, %" G_GINT64_FORMAT " left; %" G_GUINT64_FORMAT
		       " waiting, then %u",
		       state_name(state), killed ? ", killed" : "", events, grown, left, waiting,
		       at_the_end);
#ifndef __SANITIZE_ADDRESS__
	g_assert_cmpint(grown, <, DAY_GROWTH_MAX);
	g_assert_cmpint(left, <, DAY_GROWTH_MAX);
#endif
	return MAX(grown, left);
}

static void
test_days(void)
{
	gint64 most = 0;
	seed_of_this_run();
	for (int state = 0; state < N_STATES; state++)
		for (int killed = 0; killed < 2; killed++) {
			gint64 grown = day_from(state, killed);
			most = MAX(most, grown);
		}
	g_test_message("RESULT growth.day %" G_GINT64_FORMAT " bytes", most);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/hird/promises-hold-for-a-million-events-and-all-ends-well", test_million);
	g_test_add_func("/hird/a-year-of-a-guests-life", test_year);
	g_test_add_func("/hird/a-day-from-each-state", test_days);
	g_test_add_func("/hird/ten-thousand-rounds-take-no-memory", test_no_growth);
	return g_test_run();
}
