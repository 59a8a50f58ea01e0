/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Warm states and sleep, without a world: events go in, and what is asked of the world is looked
 * at. */
#include "childhurdd/guest/childhurd_internal.h"
#include "tests/unit/childhurdd/guest/childhurd_fake.h"

/* A proven boot whose state has been saved. */
static void
start_saved(struct fake *f)
{
	fake_init(f);
	f->warm = WARM_NONE;
	happen(f, EVENT_START);
	happen(f, EVENT_ADMITTED);
	happen(f, EVENT_PREPARED);
	happen(f, EVENT_LAUNCHED);
	happen(f, EVENT_GREETED);
	happen(f, EVENT_ENROLLED);
	happen(f, EVENT_PROBE_OK);
	f->warm = WARM_FITS;
	happen(f, EVENT_SAVED);
	happen(f, EVENT_PROBE_OK);
	assert_state(f, STATE_READY);
}

/* From its place among the starts to the first proof of a boot. */
static void
boot_to_proof(struct fake *f)
{
	happen(f, EVENT_ADMITTED);
	happen(f, EVENT_PREPARED);
	happen(f, EVENT_LAUNCHED);
	happen(f, EVENT_ENROLLED);
	happen(f, EVENT_PROBE_OK);
}

/* From its place among the starts to ready. */
static void
start_warm(struct fake *f)
{
	happen(f, EVENT_ADMITTED);
	happen(f, EVENT_PREPARED);
	happen(f, EVENT_LAUNCHED);
	assert_state(f, STATE_RESTORING);
	happen(f, EVENT_STIRRED);
	happen(f, EVENT_PROBE_OK);
	assert_state(f, STATE_READY);
}

static void
fall_asleep(struct fake *f)
{
	happen(f, EVENT_SLEEP);
	assert_state(f, STATE_STOPPING);
	happen(f, EVENT_DIED);
	assert_state(f, STATE_ASLEEP);
}

static void
test_saves_once(void)
{
	struct fake f;
	fake_init(&f);
	f.warm = WARM_NONE;
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_GREETED);
	happen(&f, EVENT_ENROLLED);
	g_assert_cmpint(f.saves, ==, 0);
	int quieted = f.quieted, watched = f.watched;
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_ENROLLING); /* not published before it is proven again */
	g_assert_cmpint(f.saves, ==, 1);
	g_assert_cmpint(f.quieted, ==, quieted + 1); /* our session would be dead in it */
	g_assert_true(f.held);
	happen(&f, EVENT_PROBE_OK); /* a late one of before */
	happen(&f, EVENT_PAUSED);   /* the save does that */
	assert_state(&f, STATE_ENROLLING);
	g_assert_false(f.c->paused);
	f.warm = WARM_FITS;
	happen(&f, EVENT_SAVED);
	g_assert_cmpint(f.watched, ==, watched + 1);
	g_assert_false(f.held);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_cmpint(f.saves, ==, 1);
	fake_clear(&f);
}

static void
test_a_save_that_fails(void)
{
	struct fake f;
	fake_init(&f);
	f.warm = WARM_NONE;
	happen(&f, EVENT_START);
	boot_to_proof(&f);
	happen(&f, EVENT_SAVE_FAILED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	happen(&f, EVENT_REBOOTED);
	boot_to_proof(&f);
	g_assert_cmpint(f.saves, ==, 2); /* once in each boot */
	expire(&f);			 /* which has no end */
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.forgotten, ==, 1);
	happen(&f, EVENT_SAVED); /* too late */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_BACKOFF);
	expire(&f);
	boot(&f); /* a QEMU that this ended is not asked again, until people want another try */
	g_assert_cmpint(f.saves, ==, 2);
	happen(&f, EVENT_RESET_COLD);
	happen(&f, EVENT_DIED);
	boot_to_proof(&f);
	g_assert_cmpint(f.saves, ==, 3);
	fake_clear(&f);
}

static void
test_no_save(void)
{
	struct fake f;
	for (int i = 0; i < 3; i++) {
		fake_init(&f);
		f.warm = WARM_NONE;
		f.builds = i == 0; /* it was listed before it was ready */
		f.config.warm_start = i == 1 ? CONFIG_WARM_START_NO : CONFIG_WARM_START_AUTO;
		f.config.disk = i == 2 ? CONFIG_DISK_PERSISTENT : CONFIG_DISK_EPHEMERAL;
		happen(&f, EVENT_START);
		boot(&f);
		g_assert_cmpint(f.saves, ==, 0);
		g_assert_false(f.held);
		fake_clear(&f);
	}
}

static void
test_warm_start(void)
{
	struct fake f;
	start_saved(&f);
	int enrolled = f.enrolled;
	happen(&f, EVENT_DIED);
	expire(&f);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	g_assert_true(f.c->warm);
	happen(&f, EVENT_LAUNCHED);
	assert_state(&f, STATE_RESTORING);
	g_assert_true(f.held);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(childhurd_coming_up(f.c));
	g_assert_cmpint(f.stirs, ==, 1);
	g_assert_cmpint(f.enrolled, ==, enrolled); /* its secrets are in it */
	int watched = f.watched;
	happen(&f, EVENT_PROBE_OK); /* of another life */
	assert_state(&f, STATE_RESTORING);
	happen(&f, EVENT_STIRRED);
	g_assert_cmpint(f.watched, ==, watched + 1);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_false(f.held);
	g_assert_cmpint(f.saves, ==, 1);
	g_assert_cmpint(f.c->boots[1], ==, 0); /* it says nothing of boots */
	fake_clear(&f);
}

static void
test_warm_starts_that_fail(void)
{
	static const enum event ends[] = {EVENT_DEADLINE, EVENT_RESTORE_FAILED, EVENT_DIED,
					  EVENT_BROKEN,	  EVENT_HALTED,		EVENT_START_FAILED};
	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		struct fake f;
		start_saved(&f);
		for (int try = 1; try <= WARM_TRIES; try++) {
			f.warm = WARM_FITS;
			happen(&f, EVENT_REBOOTED);
			happen(&f, EVENT_ADMITTED);
			happen(&f, EVENT_PREPARED);
			if (ends[i] != EVENT_START_FAILED)
				happen(&f, EVENT_LAUNCHED);
			happen(&f, ends[i]);
			g_assert_cmpint(f.forgotten, ==, try);
			if (f.c->state == STATE_STOPPING)
				happen(&f, EVENT_DIED);
			assert_state(&f, STATE_STARTING); /* at once: the guest has not failed */
			g_assert_cmpint(f.c->failures, ==, 0);
			f.warm = WARM_IMPOSSIBLE;
			boot(&f);
		}
		f.warm = WARM_FITS; /* also if there were one */
		happen(&f, EVENT_REBOOTED);
		boot(&f);
		g_assert_cmpint(f.c->warm_failures, ==, WARM_TRIES);
		happen(&f, EVENT_RESET_COLD);
		happen(&f, EVENT_DIED);
		f.warm = WARM_FITS;
		start_warm(&f);
		g_assert_cmpint(f.c->warm_failures, ==, 0);
		fake_clear(&f);
	}
}

static void
test_host_lacks(void)
{
	struct fake f;
	start_saved(&f);
	happen(&f, EVENT_REBOOTED);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_UNASKED);
	g_assert_cmpint(f.timer, ==, -1); /* its limit waits */
	happen(&f, EVENT_STIRRED);
	g_assert_cmpint(f.timer, >, f.now);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	fake_clear(&f);
}

static void
test_reset_in_place(void)
{
	struct fake f;
	start_saved(&f);
	happen(&f, EVENT_RESET);
	assert_state(&f, STATE_RESTORING);
	g_assert_cmpint(f.restores, ==, 1);
	g_assert_cmpint(f.halted + f.kills + f.discarded, ==, 0);
	g_assert_cmpint(f.stirs, ==, 0);
	happen(&f, EVENT_RESTORED);
	g_assert_cmpint(f.stirs, ==, 1);
	happen(&f, EVENT_STIRRED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_false(f.c->discard);

	f.builds = 1;
	happen(&f, EVENT_RESET);
	assert_state(&f, STATE_DRAINING);
	f.builds = 0;
	happen(&f, EVENT_BUILD_ENDED);
	g_assert_cmpint(f.restores, ==, 2);
	happen(&f, EVENT_RESTORED);
	happen(&f, EVENT_STIRRED);
	happen(&f, EVENT_PROBE_OK);
	f.builds = 1;
	happen(&f, EVENT_RESET_NOW);
	g_assert_cmpint(f.restores, ==, 3);
	happen(&f, EVENT_RESTORE_FAILED);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.discarded, ==, 1);
	fake_clear(&f);

	start_saved(&f);
	happen(&f, EVENT_RESET_COLD); /* not by the state that is to go */
	g_assert_cmpint(f.restores, ==, 0);
	happen(&f, EVENT_POWERED_OFF);
	g_assert_cmpint(f.forgotten, ==, 1);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_recycle(void)
{
	struct fake f;
	start_saved(&f);
	f.config.recycle_after = 2;
	happen(&f, EVENT_BUILD_DONE);
	assert_state(&f, STATE_READY);
	happen(&f, EVENT_BUILD_DONE);
	assert_state(&f, STATE_RESTORING);
	g_assert_true(f.held);
	happen(&f, EVENT_RESTORED);
	happen(&f, EVENT_STIRRED);
	happen(&f, EVENT_PROBE_OK);
	g_assert_cmpint(f.c->served, ==, 0);

	happen(&f, EVENT_BUILD_DONE);
	happen(&f, EVENT_PROBE_FAILED);
	happen(&f, EVENT_BUILD_DONE); /* while it does not answer */
	g_assert_true(f.held);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_RESTORING); /* and not ready in between */
	happen(&f, EVENT_RESTORED);
	happen(&f, EVENT_STIRRED);
	happen(&f, EVENT_PROBE_OK);

	happen(&f, EVENT_DRAIN);
	happen(&f, EVENT_BUILD_DONE);
	happen(&f, EVENT_BUILD_DONE);
	assert_state(&f, STATE_DRAINING);
	happen(&f, EVENT_UNDRAIN);
	assert_state(&f, STATE_RESTORING);
	fake_clear(&f);

	start_ready(&f); /* without a warm state by a start with a new disk */
	f.config.recycle_after = 1;
	happen(&f, EVENT_BUILD_DONE);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_sleep(void)
{
	struct fake f;
	start_saved(&f);
	f.builds = 1;
	happen(&f, EVENT_SLEEP);
	assert_state(&f, STATE_DRAINING); /* not before the build has ended */
	f.builds = 0;
	happen(&f, EVENT_BUILD_ENDED);
	g_assert_cmpint(f.kills, ==, 1); /* nothing of it is kept */
	g_assert_cmpint(f.halted, ==, 0);
	g_assert_cmpint(f.listens, ==, 0); /* QEMU has the port */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	g_assert_cmpint(f.listens, ==, 1);
	g_assert_true(childhurd_published(f.c));
	g_assert_true(f.c->want_up);
	g_assert_false(f.held);
	happen(&f, EVENT_DRAIN);
	g_assert_false(childhurd_published(f.c));
	happen(&f, EVENT_UNDRAIN);
	happen(&f, EVENT_RESET); /* its disk goes; it sleeps on */
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_STOPPED);
	g_assert_cmpint(f.leaves, ==, 1);
	happen(&f, EVENT_SLEEP);
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_START);
	happen(&f, EVENT_SLEEP); /* a change of mind */
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_START);
	start_warm(&f);
	happen(&f, EVENT_SLEEP);
	happen(&f, EVENT_START); /* while it goes down */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);

	fake_init(&f); /* nor is a boot waited for */
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_SLEEP);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_LAUNCHED);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_SLEEP);
	g_assert_cmpint(f.kills, ==, 2);
	fake_clear(&f);
}

static void
test_idle(void)
{
	struct fake f;
	start_saved(&f);
	f.builds = 1;
	happen(&f, EVENT_IDLE); /* one came just now */
	assert_state(&f, STATE_READY);
	f.builds = 0;
	happen(&f, EVENT_IDLE);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	fake_clear(&f);
}

static void
test_persistent_sleep(void)
{
	struct fake f;
	fake_init(&f);
	f.config.disk = CONFIG_DISK_PERSISTENT;
	f.warm = WARM_NONE;
	happen(&f, EVENT_START);
	boot(&f);
	happen(&f, EVENT_SLEEP);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.saves, ==, 1);
	g_assert_cmpint(f.kills + f.halted, ==, 0);
	f.warm = WARM_FITS;
	happen(&f, EVENT_SAVED);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_START);
	start_warm(&f);
	f.warm = WARM_NONE; /* it is used up */
	happen(&f, EVENT_SLEEP);
	happen(&f, EVENT_SAVE_FAILED);
	g_assert_cmpint(f.halted, ==, 1); /* then it goes down as ever */
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_ASLEEP);
	happen(&f, EVENT_START);
	boot(&f);
	happen(&f, EVENT_RESET_COLD);
	happen(&f, EVENT_POWERED_OFF);
	boot(&f);
	int forgotten = f.forgotten;
	happen(&f, EVENT_SLEEP);
	expire(&f); /* a save without an end */
	g_assert_cmpint(f.halted, ==, 3);
	g_assert_cmpint(f.forgotten, ==, forgotten + 1);
	happen(&f, EVENT_SAVED); /* too late, and the guest went on */
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_ASLEEP);
	fake_clear(&f);
}

/* A reset would cost its disk. */
static void
test_persistent_cure(void)
{
	struct fake f;
	fake_init(&f);
	f.config.disk = CONFIG_DISK_PERSISTENT;
	f.warm = WARM_FITS;
	happen(&f, EVENT_START);
	for (int i = 0; i < WARM_TRIES; i++) {
		f.warm = WARM_FITS;
		happen(&f, EVENT_ADMITTED);
		happen(&f, EVENT_PREPARED);
		happen(&f, EVENT_LAUNCHED);
		happen(&f, EVENT_RESTORE_FAILED);
		happen(&f, EVENT_DIED);
	}
	g_assert_nonnull(strstr(f.c->why, "until `childhurdctl restart'"));
	f.warm = WARM_FITS;
	happen(&f, EVENT_ADMITTED);
	g_assert_false(f.c->warm);
	happen(&f, EVENT_RESTART);
	happen(&f, EVENT_ADMITTED);
	g_assert_true(f.c->warm);
	g_assert_cmpint(f.discarded, ==, 0);
	fake_clear(&f);
}

static void
test_wake(void)
{
	struct fake f;
	start_saved(&f);
	fall_asleep(&f);
	f.callers = 1;
	happen(&f, EVENT_WOKEN);
	assert_state(&f, STATE_STARTING);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	g_assert_cmpint(f.leaves, ==, 0); /* who comes now waits, too */
	happen(&f, EVENT_WOKEN);
	happen(&f, EVENT_STIRRED);
	g_assert_false(f.c->has_port); /* the world has opened the guest's */
	g_assert_cmpint(f.passed, ==, 0);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_cmpint(f.passed, ==, 1);
	g_assert_cmpint(f.turned, ==, 0);
	g_assert_cmpint(f.queued, ==, 2);
	fake_clear(&f);
}

static void
test_wake_refused(void)
{
	struct fake f;
	/* no warm state: refused at once, and it boots */
	start_saved(&f);
	fall_asleep(&f);
	f.warm = WARM_NONE;
	happen(&f, EVENT_WOKEN);
	g_assert_cmpint(f.turned, ==, 1);
	g_assert_cmpint(f.leaves, ==, 1);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);

	/* no place among the starts within its limit */
	start_saved(&f);
	fall_asleep(&f);
	happen(&f, EVENT_WOKEN);
	g_assert_cmpint(f.timer, ==, f.now + WAKE_LIMIT);
	expire(&f);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.turned, ==, 1);
	g_assert_cmpint(f.leaves, ==, 1);
	start_warm(&f); /* in the background */
	g_assert_cmpint(f.passed, ==, 0);

	/* the warm start fails */
	fall_asleep(&f);
	happen(&f, EVENT_WOKEN);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_RESTORE_FAILED);
	g_assert_cmpint(f.turned, ==, 2);
	fake_clear(&f);
}

static void
test_wake_in_vain(void)
{
	struct fake f;
	start_saved(&f);
	fall_asleep(&f);
	happen(&f, EVENT_WOKEN); /* and is gone before it answers */
	start_warm(&f);
	g_assert_cmpint(f.passed, ==, 1);
	fall_asleep(&f);
	f.now += WAKE_AGAIN / 2;
	happen(&f, EVENT_WOKEN);
	assert_state(&f, STATE_ASLEEP);
	g_assert_cmpint(f.timer, ==, f.now + WAKE_PATIENCE);
	expire(&f); /* and has hung up */
	assert_state(&f, STATE_ASLEEP);
	g_assert_cmpint(f.leaves, ==, 0);
	happen(&f, EVENT_WOKEN);
	f.callers = 1;
	expire(&f); /* somebody who waits */
	assert_state(&f, STATE_STARTING);
	start_warm(&f);
	g_assert_cmpint(f.passed, ==, 2);
	f.callers = 0;
	fall_asleep(&f);
	f.now += 2 * WAKE_AGAIN;
	happen(&f, EVENT_WOKEN);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

/* Whoever is refused at once does not wait either. */
static void
test_wake_in_vain_without_state(void)
{
	struct fake f;
	fake_init(&f);
	f.warm = WARM_IMPOSSIBLE;
	happen(&f, EVENT_START);
	boot(&f);
	for (int scan = 0; scan < 10; scan++) { /* one a minute */
		if (f.c->state == STATE_READY) {
			happen(&f, EVENT_IDLE);
			happen(&f, EVENT_DIED);
		}
		f.now += WAKE_AGAIN / 10;
		happen(&f, EVENT_WOKEN);
		if (f.c->state == STATE_STARTING)
			boot(&f);
		else
			expire(&f);
	}
	g_assert_cmpint(f.queued, ==, 2);
	g_assert_cmpint(f.turned, ==, 1); /* the others have hung up */
	assert_state(&f, STATE_ASLEEP);
	g_assert_true(f.c->has_port);
	f.now += WAKE_AGAIN;
	happen(&f, EVENT_WOKEN);
	boot(&f);
	g_assert_cmpint(f.queued, ==, 3);

	f.now += 60000; /* it was no scanner: it came again */
	f.used = f.now;
	happen(&f, EVENT_IDLE);
	happen(&f, EVENT_DIED);
	f.now += 60000;
	happen(&f, EVENT_WOKEN);
	g_assert_cmpint(f.queued, ==, 4);
	fake_clear(&f);

	/* there was no place for it */
	start_saved(&f);
	fall_asleep(&f);
	happen(&f, EVENT_WOKEN);
	expire(&f);
	start_warm(&f);
	fall_asleep(&f);
	happen(&f, EVENT_WOKEN);
	assert_state(&f, STATE_ASLEEP);
	fake_clear(&f);
}

static void
test_stop_now_while_saving(void)
{
	static const enum event stops[] = {EVENT_STOP_NOW, EVENT_STOP, EVENT_RESTART_NOW};
	struct fake f;
	for (gsize i = 0; i < G_N_ELEMENTS(stops); i++) {
		fake_init(&f);
		f.warm = WARM_NONE;
		happen(&f, EVENT_START);
		boot_to_proof(&f);
		g_assert_true(f.c->saving);
		happen(&f, stops[i]);
		g_assert_cmpint(f.kills, ==, 1); /* it stands still, and its disk is not kept */
		g_assert_cmpint(f.buttons + f.halted, ==, 0);
		g_assert_cmpint(f.forgotten, ==, 1);
		happen(&f, EVENT_SAVED); /* too late */
		g_assert_cmpint(f.kills, ==, 1);
		happen(&f, EVENT_DIED);
		assert_state(&f, i == 2 ? STATE_STARTING : STATE_STOPPED);
		fake_clear(&f);
	}

	/* on its way to sleep: what is kept of it had better be whole, but that may not take long
	 */
	for (int done = 0; done < 2; done++) {
		fake_init(&f);
		f.config.disk = CONFIG_DISK_PERSISTENT;
		f.warm = WARM_NONE;
		happen(&f, EVENT_START);
		boot(&f);
		happen(&f, EVENT_SLEEP);
		g_assert_cmpint(f.timer, ==, f.now + SAVE_LIMIT);
		gint64 begun = f.now;
		f.now += NOW_SILENCE / 3;
		happen(&f, EVENT_STOP_NOW);
		g_assert_cmpint(f.timer, ==, begun + NOW_SILENCE);
		if (done)
			happen(&f, EVENT_SAVED);
		while (!done && f.kills == 0)
			expire(&f);
		g_assert_cmpint(f.kills, ==, 1);
		g_assert_cmpint(f.now - begun, <=, NOW_SILENCE + NOW_BUTTON + 10);
		g_assert_false(f.c->unsavable);
		happen(&f, EVENT_DIED);
		assert_state(&f, STATE_STOPPED);
		fake_clear(&f);
	}
}

static void
test_next_daemon(void)
{
	struct fake f;
	/* between two states: nobody was let in, so it is begun anew */
	start_saved(&f);
	happen(&f, EVENT_RESET);
	fake_next_daemon(&f);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	f.warm = WARM_FITS;
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_RESTORE_FAILED);
	assert_state(&f, STATE_STOPPING);
	fake_next_daemon(&f); /* what was restored was not stirred, and is not dead yet */
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	f.warm = WARM_FITS;
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	fake_next_daemon(&f); /* QEMU came up, and this daemon did not hear of it */
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	start_warm(&f);
	fake_next_daemon(&f); /* it is stirred and proven */
	assert_state(&f, STATE_UNRESPONSIVE);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);

	happen(&f, EVENT_SLEEP);
	int kills = f.kills;
	fake_next_daemon(&f); /* nothing of it is kept */
	g_assert_cmpint(f.kills, ==, kills + 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	fake_clear(&f);

	/* a persistent one on its way to sleep is saved once more: half a state is of no use */
	fake_init(&f);
	f.config.disk = CONFIG_DISK_PERSISTENT;
	f.warm = WARM_NONE;
	happen(&f, EVENT_START);
	boot(&f);
	happen(&f, EVENT_SLEEP);
	g_assert_cmpint(f.saves, ==, 1);
	fake_next_daemon(&f);
	g_assert_cmpint(f.forgotten, >, 0);
	g_assert_cmpint(f.saves, ==, 2);
	happen(&f, EVENT_SAVED);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_ASLEEP);
	fake_clear(&f);

	/* saving: what is saved is of no use, and the guest stands still */
	fake_init(&f);
	f.warm = WARM_NONE;
	happen(&f, EVENT_START);
	boot_to_proof(&f);
	fake_next_daemon(&f);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.forgotten, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

/* What has just been restored may not answer at once; half of the limit is too long. */
static void
test_silent_restore(void)
{
	struct fake f;
	start_saved(&f);
	happen(&f, EVENT_DIED);
	expire(&f);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_STIRRED);
	assert_state(&f, STATE_RESTORING);
	gint64 began = f.c->since;
	childhurd_note_silence(f.c, TRUE);
	f.now = began + 1000;
	childhurd_event(f.c, EVENT_PROBE_FAILED, "banner: closed");
	g_assert_cmpstr(f.c->phase, ==, "waiting for the SSH banner");
	f.now = began + RESTORE_LIMIT / 2 + 1;
	childhurd_event(f.c, EVENT_PROBE_FAILED, "banner: closed");
	g_assert_cmpstr(f.c->phase, ==, "banner: closed");
	fake_clear(&f);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/warm/a-proven-boot-is-saved-once-and-proven-again", test_saves_once);
	g_test_add_func("/warm/a-save-that-fails-is-tried-once-in-each-boot",
			test_a_save_that_fails);
	g_test_add_func("/warm/what-has-no-warm-state-boots-as-ever", test_no_save);
	g_test_add_func("/warm/a-start-from-it-is-stirred-before-it-is-proven", test_warm_start);
	g_test_add_func("/warm/what-fails-is-discarded-and-two-in-a-row-end-it",
			test_warm_starts_that_fail);
	g_test_add_func("/warm/what-the-host-lacks-is-no-verdict-on-it", test_host_lacks);
	g_test_add_func("/warm/reset-loads-it-in-place", test_reset_in_place);
	g_test_add_func("/warm/recycle-after-counts-builds", test_recycle);
	g_test_add_func("/sleep/ends-qemu-and-keeps-the-port", test_sleep);
	g_test_add_func("/sleep/idle-is-not-while-a-build-runs", test_idle);
	g_test_add_func("/sleep/a-persistent-guest-is-saved-or-halted", test_persistent_sleep);
	g_test_add_func("/sleep/a-persistent-guest-loses-no-disk-for-it", test_persistent_cure);
	g_test_add_func("/sleep/the-first-connection-wakes-and-is-passed-on", test_wake);
	g_test_add_func("/sleep/without-hope-a-connection-is-refused", test_wake_refused);
	g_test_add_func("/sleep/who-does-not-wait-wakes-it-seldom", test_wake_in_vain);
	g_test_add_func("/sleep/nor-who-is-refused-at-once", test_wake_in_vain_without_state);
	g_test_add_func("/warm/stop-now-does-not-wait-for-a-save", test_stop_now_while_saving);
	g_test_add_func("/warm/the-next-daemon-finds-either-state", test_next_daemon);
	g_test_add_func("/warm/a-restored-guest-may-be-silent-for-a-while", test_silent_restore);
	return g_test_run();
}
