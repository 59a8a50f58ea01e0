/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest with a fake world, which counts what the guest asks. Time passes only when a test lets
 * it. */
#ifndef TESTS_UNIT_CHILDHURDD_GUEST_CHILDHURD_FAKE_H
#define TESTS_UNIT_CHILDHURDD_GUEST_CHILDHURD_FAKE_H

#include <glib.h>
#include <string.h>

#include "childhurdd/guest/childhurd.h"
#include "childhurdd/hird/metrics.h"
#include "childhurdd/hird/starts.h"
#include "tests/unit/childhurdd/guest/event_name.h"

struct fake {
	struct childhurd *c;
	struct config_guest config;
	gint64 now, timer;
	int queued, prepared, launched, enrolled, watched, quieted, halted, buttons, kills,
	    discarded, collected, clocks, asks;
	int saves, restores, stirs, forgotten, listens, leaves, passed, turned;
	enum warm warm;
	int callers; /* at its port */
	int builds;
	gboolean came; /* the build came when it was held, after builds was asked */
	gboolean held; /* builds are kept out */
	gint64 sign, spoke, used;
	gboolean published_when_stopping;
	gboolean coming_up;	 /* as the last change reported it */
	struct starts *starts;	 /* NULL: the test admits each guest itself */
	struct metrics *metrics; /* NULL: no metrics */
	int logged;
	char *log; /* the last line of the log */
};

static inline struct fake *
fake_of(struct childhurd *c)
{
	return c->world;
}

static inline gint64
fake_now(struct childhurd *c)
{
	return fake_of(c)->now;
}

static inline double
fake_random(struct childhurd *c)
{
	return 0.5; /* no jitter: the factor is 1 */
}

static inline void
fake_timer(struct childhurd *c, gint64 at)
{
	fake_of(c)->timer = at;
}

#define COUNTS(name, field)                                                                        \
	static inline void fake_##name(struct childhurd *c)                                        \
	{                                                                                          \
		fake_of(c)->field++;                                                               \
	}
COUNTS(prepare, prepared)
COUNTS(launch, launched)
COUNTS(enroll, enrolled)
COUNTS(watch, watched)
COUNTS(quiet, quieted)
COUNTS(halt, halted)
COUNTS(power_button, buttons)
COUNTS(kill, kills)
COUNTS(discard, discarded)
COUNTS(collect, collected)
COUNTS(set_clock, clocks)
COUNTS(ask, asks)
COUNTS(save, saves)
COUNTS(restore, restores)
COUNTS(stir, stirs)
COUNTS(take_port, listens)
COUNTS(leave_port, leaves)

static inline void
fake_queue(struct childhurd *c)
{
	fake_of(c)->queued++;
	if (fake_of(c)->starts)
		starts_queue(fake_of(c)->starts, c);
}

static inline void
fake_leave(struct childhurd *c)
{
	if (fake_of(c)->starts)
		starts_leave(fake_of(c)->starts, c);
}

static inline enum warm
fake_warm(struct childhurd *c)
{
	return fake_of(c)->warm;
}

static inline void
fake_forget(struct childhurd *c)
{
	fake_of(c)->forgotten++;
	if (fake_of(c)->warm == WARM_FITS)
		fake_of(c)->warm = WARM_NONE;
}

static inline int
fake_callers(struct childhurd *c)
{
	return fake_of(c)->callers;
}

static inline int
fake_pass_on(struct childhurd *c)
{
	fake_of(c)->passed++;
	return fake_of(c)->callers;
}

static inline void
fake_turn_away(struct childhurd *c)
{
	fake_of(c)->turned++;
	fake_of(c)->callers = 0;
}

static inline int
fake_builds(struct childhurd *c)
{
	return fake_of(c)->came ? 0 : fake_of(c)->builds;
}

static inline int
fake_hold(struct childhurd *c)
{
	fake_of(c)->held = TRUE;
	return fake_of(c)->builds;
}

static inline void
fake_release(struct childhurd *c)
{
	fake_of(c)->held = FALSE;
}

static inline gint64
fake_sign(struct childhurd *c)
{
	return fake_of(c)->sign;
}

static inline gint64
fake_spoke(struct childhurd *c)
{
	return fake_of(c)->spoke;
}

static inline gint64
fake_used(struct childhurd *c)
{
	return fake_of(c)->used;
}

static inline void
fake_changed(struct childhurd *c, gboolean state_changed, const char *text)
{
	struct fake *f = fake_of(c);
	if (state_changed)
		f->coming_up = childhurd_coming_up(c);
	if (state_changed && f->metrics)
		metrics_state(f->metrics, c);
	if (state_changed && c->state == STATE_STOPPING && childhurd_published(c))
		f->published_when_stopping = TRUE;
	if (!text)
		return;
	f->logged++;
	g_free(f->log);
	f->log = g_strdup(text);
}

static const struct world_ops fake_world = {
    .now = fake_now,
    .random = fake_random,
    .timer = fake_timer,
    .queue = fake_queue,
    .leave = fake_leave,
    .prepare = fake_prepare,
    .launch = fake_launch,
    .enroll = fake_enroll,
    .watch = fake_watch,
    .quiet = fake_quiet,
    .halt = fake_halt,
    .power_button = fake_power_button,
    .kill = fake_kill,
    .discard = fake_discard,
    .warm = fake_warm,
    .save = fake_save,
    .restore = fake_restore,
    .stir = fake_stir,
    .forget = fake_forget,
    .take_port = fake_take_port,
    .leave_port = fake_leave_port,
    .callers = fake_callers,
    .pass_on = fake_pass_on,
    .turn_away = fake_turn_away,
    .builds = fake_builds,
    .hold = fake_hold,
    .release = fake_release,
    .collect = fake_collect,
    .set_clock = fake_set_clock,
    .ask = fake_ask,
    .sign = fake_sign,
    .spoke = fake_spoke,
    .used = fake_used,
    .changed = fake_changed,
};

static inline void
fake_init(struct fake *f)
{
	*f = (struct fake){.now = 1000000, .timer = -1};
	f->config.name = (char *)"a";
	f->config.restart = CONFIG_RESTART_ON_FAILURE;
	f->config.boot_timeout = 900000;
	f->config.hang_timeout = 180000;
	f->config.stop_timeout = 60000;
	f->c = childhurd_new(&f->config, &fake_world, f);
}

static inline void
fake_clear(struct fake *f)
{
	g_assert_false(f->published_when_stopping);
	childhurd_free(f->c);
	g_free(f->log);
}

static inline void
happen(struct fake *f, enum event event)
{
	childhurd_event(f->c, event, event_name(event));
}

#define assert_state(f, expected)                                                                  \
	g_assert_cmpstr(state_name((f)->c->state), ==, state_name(expected))

/* Let time pass until the deadline is over. */
static inline void
expire(struct fake *f)
{
	g_assert_cmpint(f->timer, >=, 0);
	f->now = f->timer;
	happen(f, EVENT_DEADLINE);
}

static inline void
boot(struct fake *f)
{
	happen(f, EVENT_ADMITTED);
	happen(f, EVENT_PREPARED);
	happen(f, EVENT_LAUNCHED);
	assert_state(f, STATE_BOOTING);
	happen(f, EVENT_GREETED);
	assert_state(f, STATE_ENROLLING);
	happen(f, EVENT_ENROLLED);
	happen(f, EVENT_PROBE_OK);
	assert_state(f, STATE_READY);
}

static inline void
start_ready(struct fake *f)
{
	fake_init(f);
	happen(f, EVENT_START);
	boot(f);
}

/* The daemon is killed, and the next one finds the guest with what was kept of it. */
static inline void
fake_next_daemon(struct fake *f)
{
	struct childhurd_kept kept = childhurd_keep(f->c);
	childhurd_free(f->c);
	f->c = childhurd_new(&f->config, &fake_world, f);
	childhurd_recall(f->c, &kept);
	happen(f, EVENT_FOUND);
}

#endif
