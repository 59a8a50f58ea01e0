/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's life with a fake world: the tests send events, and check what the guest asks of the
 * world. */
#include "childhurdd/guest/childhurd_internal.h"
#include "tests/unit/childhurdd/guest/childhurd_fake.h"

static void
test_complete(void)
{
	for (int s = 0; s < N_STATES; s++)
		for (int e = 0; e < N_EVENTS; e++)
			if (lifecycle_action(s, e) == ACTION_UNDEFINED)
				g_error("%s x %s has no action", state_name(s), event_name(e));
	for (int a = ACTION_UNDEFINED + 1; a < N_ACTIONS; a++)
		if (!childhurd_actions[a])
			g_error("action %d has no function", a);
	for (int s = 0; s < N_STATES; s++)
		g_assert_cmpint(state_from_name(state_name(s)), ==, s);
	g_assert_cmpint(state_from_name("asleep-walking"), ==, -1);
}

static void
test_boot(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.queued, ==, 1);
	g_assert_cmpint(f.prepared, ==, 0); /* not before it has a place */
	g_assert_true(childhurd_coming_up(f.c));
	boot(&f);
	g_assert_true(childhurd_published(f.c));
	g_assert_false(childhurd_coming_up(f.c));
	g_assert_cmpint(f.launched, ==, 1);
	g_assert_cmpint(f.timer, ==, -1); /* a ready guest has no deadline */
	fake_clear(&f);
}

static void
test_boot_limit(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	f.now += 600000;
	happen(&f, EVENT_GREETED); /* one limit holds for the whole boot */
	g_assert_cmpint(f.timer - f.now, ==, 300000);
	expire(&f);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_BACKOFF);
	fake_clear(&f);
}

static void
test_stop_ladder(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.halted, ==, 1);
	g_assert_cmpint(f.timer - f.now, ==, 60000);
	expire(&f);
	g_assert_cmpint(f.buttons, ==, 1);
	expire(&f);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);
}

static void
test_halted_mach(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_STOP);
	happen(&f, EVENT_HALTED); /* QEMU stays */
	g_assert_cmpint(f.kills, ==, 1);
	g_assert_cmpint(f.buttons, ==, 0);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);
}

static void
test_unkillable(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_STOP_NOW);
	for (int i = 0; i < 2 + KILL_TRIES; i++)
		expire(&f);
	assert_state(&f, STATE_FAILED);
	g_assert_cmpint(f.kills, ==, KILL_TRIES);
	fake_clear(&f);
}

static void
test_stop_waits_for_build(void)
{
	struct fake f;
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_DRAINING);
	g_assert_false(childhurd_published(f.c));
	g_assert_cmpint(f.halted, ==, 0);
	f.builds = 0;
	happen(&f, EVENT_BUILD_ENDED);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.halted, ==, 1);
	fake_clear(&f);

	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_STOP_NOW);
	assert_state(&f, STATE_STOPPING);
	fake_clear(&f);
}

/* The slots are kept from before it is stopped until it is, and while it is drained. */
static void
test_holds_slots(void)
{
	struct fake f;
	start_ready(&f);
	g_assert_false(f.held);
	f.builds = 1;
	happen(&f, EVENT_STOP);
	g_assert_true(f.held);
	f.builds = 0;
	happen(&f, EVENT_BUILD_ENDED);
	assert_state(&f, STATE_STOPPING);
	g_assert_true(f.held);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STOPPED);
	g_assert_false(f.held);
	fake_clear(&f);

	start_ready(&f);
	happen(&f, EVENT_DRAIN);
	g_assert_true(f.held);
	happen(&f, EVENT_UNDRAIN);
	g_assert_false(f.held);
	fake_clear(&f);

	/* it dies while a stop waits for its build */
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_STOP);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	g_assert_false(f.held);
	fake_clear(&f);
}

static void
test_full_store(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_FULL);
	assert_state(&f, STATE_READY);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(childhurd_coming_up(f.c));
	g_assert_true(f.coming_up);
	happen(&f, EVENT_LOW); /* no floor is configured: nothing is done */
	g_assert_true(childhurd_published(f.c));
	g_assert_cmpint(f.collected + f.halted, ==, 0);
	happen(&f, EVENT_ROOM);
	g_assert_null(f.c->phase);
	fake_clear(&f);

	/* its clock is known to be off before it is ready: never published */
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_ENROLLED);
	happen(&f, EVENT_FULL);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_false(childhurd_published(f.c));
	fake_clear(&f);
}

static void
test_low_store_is_collected(void)
{
	struct fake f;
	start_ready(&f);
	f.config.store_floor = G_GINT64_CONSTANT(1) << 30;
	f.config.disk = CONFIG_DISK_PERSISTENT;
	f.builds = 1;
	happen(&f, EVENT_LOW);
	g_assert_cmpint(f.collected, ==, 0); /* not while a build runs */
	g_assert_true(childhurd_published(f.c));
	f.builds = 0;
	happen(&f, EVENT_LOW);
	g_assert_cmpint(f.collected, ==, 1);
	g_assert_true(f.held);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(f.coming_up);
	happen(&f, EVENT_LOW); /* a probe meanwhile */
	g_assert_cmpint(f.collected, ==, 1);
	happen(&f, EVENT_COLLECTED);
	g_assert_false(f.held);
	g_assert_true(childhurd_published(f.c));
	happen(&f, EVENT_LOW); /* it did not help, so it is not repeated at once */
	g_assert_cmpint(f.collected, ==, 1);
	f.now += COLLECT_AGAIN;
	happen(&f, EVENT_LOW);
	g_assert_cmpint(f.collected, ==, 2);
	happen(&f, EVENT_STOP); /* the operators want something else */
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_COLLECTED);
	g_assert_true(f.held);
	fake_clear(&f);
}

/* A build that comes just then is not disturbed, and the guest is listed again at the next probe.
 */
static void
test_low_store_and_a_build(void)
{
	const enum event ends[] = {EVENT_LOW, EVENT_ROOM};
	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		struct fake f;
		start_ready(&f);
		f.config.store_floor = G_GINT64_CONSTANT(1) << 30;
		f.config.disk = CONFIG_DISK_PERSISTENT;
		f.builds = 1;
		f.came = TRUE;
		happen(&f, EVENT_LOW);
		g_assert_cmpint(f.collected, ==, 0);
		g_assert_false(childhurd_published(f.c));
		happen(&f, ends[i]); /* it still runs, or there is room again */
		g_assert_cmpint(f.collected, ==, 0);
		g_assert_true(childhurd_published(f.c));
		g_assert_false(f.held);
		fake_clear(&f);
	}
}

static void
test_low_ephemeral_store_is_new(void)
{
	struct fake f;
	start_ready(&f);
	f.config.store_floor = G_GINT64_CONSTANT(1) << 30;
	happen(&f, EVENT_LOW); /* low since its start: a new disk would not help */
	g_assert_cmpint(f.collected, ==, 1);
	happen(&f, EVENT_COLLECTED);
	happen(&f, EVENT_ROOM);
	happen(&f, EVENT_LOW);
	assert_state(&f, STATE_STOPPING);
	g_assert_true(childhurd_coming_up(f.c));
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_restart(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_RESTART);
	assert_state(&f, STATE_STOPPING);
	g_assert_true(childhurd_coming_up(f.c));
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STARTING);
	boot(&f);
	happen(&f, EVENT_STOP);
	happen(&f, EVENT_START); /* the operator has changed its mind */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

/* A start under way may be prepared from an older configuration. */
static void
test_restart_of_a_start(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_RESTART);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.quieted, ==, 1);
	g_assert_cmpint(f.queued, ==, 2);
	happen(&f, EVENT_ADMITTED);
	g_assert_cmpint(f.prepared, ==, 2);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_RESTART); /* libvirt is starting QEMU, which has to end first */
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.discarded, ==, 0);
	fake_clear(&f);
}

static void
test_reset(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_RESET);
	g_assert_cmpint(f.discarded, ==, 0); /* QEMU has it open */
	happen(&f, EVENT_DIED);
	g_assert_cmpint(f.discarded, ==, 1);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);

	fake_init(&f);
	happen(&f, EVENT_RESET);
	g_assert_cmpint(f.discarded, ==, 1);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);

	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_RESET); /* the old disk is being prepared */
	g_assert_cmpint(f.discarded, ==, 1);
	g_assert_cmpint(f.queued, ==, 2);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_RESET); /* QEMU is being started with it */
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.discarded, ==, 1);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_DIED);
	g_assert_cmpint(f.discarded, ==, 2);
	assert_state(&f, STATE_STARTING);
	boot(&f);
	happen(&f, EVENT_DIED);
	g_assert_cmpint(f.discarded, ==, 2); /* a crash is no reset */
	fake_clear(&f);
}

static void
test_crash_backs_off(void)
{
	struct fake f;
	start_ready(&f);
	gint64 last = 0;
	for (int i = 1; i < BACKOFF_TRIES; i++) {
		happen(&f, EVENT_DIED);
		assert_state(&f, STATE_BACKOFF);
		gint64 wait = f.timer - f.now;
		g_assert_cmpint(wait, >=, last);
		g_assert_cmpint(wait, <=, BACKOFF_LONGEST);
		if (i == 1)
			g_assert_cmpint(wait, ==, BACKOFF_FIRST);
		last = wait;
		expire(&f);
		assert_state(&f, STATE_STARTING);
		boot(&f);
	}
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_FAILED);
	g_assert_nonnull(strstr(f.c->why, "gave up"));
	happen(&f, EVENT_START);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.c->failures, ==, 0);
	fake_clear(&f);
}

static void
test_long_ready_forgives(void)
{
	struct fake f;
	start_ready(&f);
	for (int i = 0; i < 365 * 24; i++) { /* a crash each hour, for a year */
		f.now += 3600000;
		happen(&f, EVENT_DIED);
		assert_state(&f, STATE_BACKOFF);
		g_assert_cmpint(f.timer - f.now, ==, BACKOFF_FIRST);
		expire(&f);
		boot(&f);
	}
	g_assert_cmpint(f.c->restarts, ==, 365 * 24);
	fake_clear(&f);
}

static void
test_reboot_and_power_off(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_REBOOTED);
	assert_state(&f, STATE_STARTING);
	boot(&f);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STOPPED); /* on-failure: power off is no failure */
	happen(&f, EVENT_START);
	boot(&f);
	f.config.restart = CONFIG_RESTART_ALWAYS;
	happen(&f, EVENT_HALTED);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	boot(&f);
	f.config.restart = CONFIG_RESTART_NEVER;
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_FAILED);
	fake_clear(&f);
}

static void
test_start_after_power_off(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_HALTED);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_START); /* before QEMU is gone */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	boot(&f);
	f.config.restart = CONFIG_RESTART_NEVER;
	happen(&f, EVENT_BROKEN);
	happen(&f, EVENT_RESTART);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_reboot_while_booting(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_REBOOTED); /* for instance because of bad secrets */
	assert_state(&f, STATE_BACKOFF);
	fake_clear(&f);
}

static void
test_unresponsive(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_PROBE_FAILED);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(childhurd_coming_up(f.c));
	happen(&f, EVENT_PROBE_FAILED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	happen(&f, EVENT_PROBE_FAILED);
	g_assert_cmpint(f.timer - f.now, ==, 180000);
	expire(&f);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_BACKOFF);
	fake_clear(&f);
}

/* A slow sshd breaks off no build; a dead guest does. */
static void
test_hang_with_a_build(void)
{
	struct fake f;
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_PROBE_FAILED);
	f.sign = f.timer - 1000;
	expire(&f);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_cmpint(f.timer, ==, f.sign + 180000);
	expire(&f);
	assert_state(&f, STATE_STOPPING);
	fake_clear(&f);

	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_PROBE_FAILED);
	gint64 since = f.now;
	while (f.c->state == STATE_UNRESPONSIVE) {
		f.sign = f.timer;
		expire(&f);
	}
	g_assert_cmpint(f.now - since, ==, HANG_LONGEST); /* there is an end to it */
	fake_clear(&f);
}

static void
test_boot_limit_learns(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	for (int i = 0; i < BOOTS_KEPT + 1; i++) {
		happen(&f, EVENT_ADMITTED);
		happen(&f, EVENT_PREPARED);
		happen(&f, EVENT_LAUNCHED);
		gint64 known = i < BOOTS_KEPT ? 900000 : (30000 + BOOTS_KEPT - 1) * BOOT_PATIENCE;
		g_assert_cmpint(f.timer - f.now, ==, known);
		f.now += 30000 + i;
		happen(&f, EVENT_PROBE_OK);
		happen(&f, EVENT_REBOOTED);
	}
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_START_FAILED);
	expire(&f);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	g_assert_cmpint(f.timer - f.now, ==, 900000); /* after a failure: boot-timeout */
	fake_clear(&f);
}

static void
test_drain(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_DRAIN);
	assert_state(&f, STATE_DRAINING);
	g_assert_false(childhurd_published(f.c));
	happen(&f, EVENT_BUILD_ENDED);
	assert_state(&f, STATE_DRAINING); /* drained is not stopped */
	happen(&f, EVENT_DIED);
	expire(&f);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_DRAINING); /* and stays drained over a crash */
	happen(&f, EVENT_UNDRAIN);
	assert_state(&f, STATE_READY);
	fake_clear(&f);
}

static void
test_wishes_are_listed(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_DRAIN);
	happen(&f, EVENT_START);
	g_assert_false(f.coming_up);
	happen(&f, EVENT_UNDRAIN); /* no state changes, and the list does */
	g_assert_true(f.coming_up);
	happen(&f, EVENT_DRAIN);
	g_assert_false(f.coming_up);
	happen(&f, EVENT_UNDRAIN);
	boot(&f);
	happen(&f, EVENT_STOP);
	g_assert_false(f.coming_up);
	happen(&f, EVENT_START);
	g_assert_true(f.coming_up);
	happen(&f, EVENT_DRAIN); /* it will be up, but never ready */
	g_assert_false(f.coming_up);
	fake_clear(&f);

	start_ready(&f);
	happen(&f, EVENT_PROBE_FAILED);
	g_assert_true(f.coming_up);
	f.builds = 1;
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_false(f.coming_up);
	happen(&f, EVENT_START);
	g_assert_true(f.coming_up);
	fake_clear(&f);
}

static void
test_stop_while_starting(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_STOPPED);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_STOP); /* libvirt is starting QEMU and cannot be interrupted */
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_LAUNCHED);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);
}

static void
test_late_launch(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	expire(&f); /* libvirt hangs */
	while (f.c->state == STATE_STOPPING)
		expire(&f);
	assert_state(&f, STATE_FAILED);
	int kills = f.kills;
	happen(&f, EVENT_LAUNCHED);
	g_assert_cmpint(f.kills, ==, kills + 1); /* no QEMU is left behind */
	assert_state(&f, STATE_STOPPING);
	expire(&f);
	g_assert_cmpint(f.kills, ==, kills + 2); /* and more than one try */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_FAILED); /* it waits for a person, as before */
	fake_clear(&f);
}

/* A guest that failed because its QEMU could not be ended. */
static void
start_unkillable(struct fake *f)
{
	start_ready(f);
	happen(f, EVENT_STOP_NOW);
	while (f->c->state == STATE_STOPPING)
		expire(f);
	assert_state(f, STATE_FAILED);
}

static void
test_failed_with_qemu(void)
{
	struct fake f;
	start_unkillable(&f);
	int kills = f.kills;
	happen(&f, EVENT_START);
	assert_state(&f, STATE_STOPPING); /* not a second QEMU beside the first */
	g_assert_cmpint(f.kills, ==, kills + 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);

	start_unkillable(&f);
	happen(&f, EVENT_STOP);
	assert_state(&f, STATE_STOPPING); /* it is not stopped while it has a QEMU */
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);

	start_unkillable(&f);
	happen(&f, EVENT_RESET);
	g_assert_cmpint(f.discarded, ==, 0); /* QEMU has the disk open */
	happen(&f, EVENT_DIED);
	g_assert_cmpint(f.discarded, ==, 1);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);

	start_unkillable(&f);
	happen(&f, EVENT_DIED); /* after all */
	assert_state(&f, STATE_FAILED);
	happen(&f, EVENT_START);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_unanswered_launch(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	expire(&f);
	while (f.c->state == STATE_STOPPING)
		expire(&f);
	assert_state(&f, STATE_FAILED);
	happen(&f, EVENT_START);
	assert_state(&f, STATE_STOPPING); /* QEMU may still come up: no second one */
	g_assert_cmpint(f.launched, ==, 1);
	happen(&f, EVENT_START_FAILED);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

static void
test_take_over(void)
{
	struct fake f;
	fake_init(&f);
	f.c->want_up = f.c->enrolled = f.c->proven = TRUE;
	happen(&f, EVENT_FOUND);
	assert_state(&f, STATE_UNRESPONSIVE); /* not published before it is proven again */
	g_assert_cmpint(f.watched, ==, 1);
	g_assert_cmpint(f.enrolled, ==, 0);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	fake_clear(&f);

	fake_init(&f);
	f.c->want_up = TRUE;
	happen(&f, EVENT_FOUND);
	assert_state(&f, STATE_BOOTING);
	g_assert_cmpint(f.enrolled, ==, 1);
	g_assert_cmpint(f.watched, ==, 1); /* it may have its secrets already */
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	fake_clear(&f);

	fake_init(&f);
	happen(&f, EVENT_FOUND); /* it was being stopped */
	assert_state(&f, STATE_STOPPING);
	fake_clear(&f);

	fake_init(&f);
	f.c->enrolled = f.c->proven = TRUE;
	f.builds = 1;
	happen(&f, EVENT_FOUND); /* its stop waited for a build, and goes on waiting */
	assert_state(&f, STATE_DRAINING);
	g_assert_cmpint(f.halted, ==, 0);
	happen(&f, EVENT_BUILD_ENDED);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.halted, ==, 1);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);
}

/* The daemon is killed while a guest is stopped with --now, however long its build would take. */
static void
test_now_over_daemons(void)
{
	struct fake f;
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_STOP_NOW);
	assert_state(&f, STATE_STOPPING);
	gint64 limit = f.c->deadline - f.now;
	fake_next_daemon(&f);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.c->deadline - f.now, ==, limit);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STOPPED);
	g_assert_false(childhurd_keep(f.c).now);
	fake_clear(&f);
}

/* A guest that was ready is not said to be at fault before something has failed. */
static void
test_taken_over_is_no_fault(void)
{
	static const enum event faults[] = {EVENT_PROBE_FAILED, EVENT_PAUSED, EVENT_HALTING};
	struct fake f;
	for (gsize i = 0; i < G_N_ELEMENTS(faults); i++) {
		fake_init(&f);
		f.c->want_up = f.c->enrolled = f.c->proven = TRUE;
		happen(&f, EVENT_FOUND);
		g_assert_true(f.c->taken_over);
		g_assert_false(childhurd_published(f.c));
		g_assert_cmpstr(f.c->phase, ==, "it is being probed");
		f.now += 50000;
		happen(&f, EVENT_UNASKED); /* no verdict */
		g_assert_true(f.c->taken_over);
		happen(&f, faults[i]);
		assert_state(&f, STATE_UNRESPONSIVE);
		g_assert_false(f.c->taken_over);
		g_assert_cmpstr(f.c->why, ==, event_name(faults[i]));
		if (faults[i] == EVENT_PROBE_FAILED) /* its limit goes on */
			g_assert_cmpint(f.timer - f.now, ==, 130000);
		int logged = f.logged;
		happen(&f, faults[i]);
		g_assert_cmpint(f.logged, ==, logged);
		fake_clear(&f);
	}
	fake_init(&f);
	f.c->want_up = f.c->proven = f.c->drained = TRUE;
	happen(&f, EVENT_FOUND);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_DRAINING);
	g_assert_false(f.c->taken_over);
	happen(&f, EVENT_PROBE_FAILED);
	g_assert_false(f.c->taken_over);
	fake_clear(&f);
}

/* What an earlier daemon knew of a guest that does not run, or that is found running. */
static void
test_recalled(void)
{
	struct fake f;
	struct config_guest other;
	const gint64 boots[BOOTS_KEPT] = {20000, 20000, 20000, 20000, 20000};
	fake_init(&f);
	childhurd_recall_stopped(f.c, "stopped before");
	g_assert_cmpstr(f.c->why, ==, "stopped before");
	childhurd_recall_warm_failures(f.c, 2);
	g_assert_cmpint(f.c->warm_failures, ==, 2);
	other = f.config;
	other.boot_timeout = 800000;
	childhurd_configure(f.c, &other);
	childhurd_boots_recall(f.c, boots);
	g_assert_cmpint(childhurd_boot_limit(f.c), <, 800000);
	childhurd_boots_forget(f.c);
	g_assert_cmpint(childhurd_boot_limit(f.c), ==, 800000);
	fake_clear(&f);

	fake_init(&f);
	childhurd_recall_up(f.c);
	childhurd_recall_drained(f.c);
	f.c->proven = TRUE;
	happen(&f, EVENT_FOUND);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_DRAINING);
	childhurd_note_host_key(f.c, TRUE);
	g_assert_true(f.c->impostor);
	fake_clear(&f);
}

/* A probe that met no SSH server, so long after QEMU's start. */
static void
be_silent(struct fake *f, gint64 after)
{
	f->now = f->c->launched_at + after;
	childhurd_note_silence(f->c, TRUE);
	childhurd_event(f->c, EVENT_PROBE_FAILED, "banner: closed");
}

/* Each boot begins like that; it is no fault before it takes far longer than the boots before. */
static void
test_silent_boot(void)
{
	struct fake f;
	fake_init(&f);
	happen(&f, EVENT_START);
	for (int i = 0; i < 2; i++) {
		gint64 expected =
		    i ? 20000 + 20000 / BOOT_MARGIN : f.config.boot_timeout / BOOT_EXPECTED;
		happen(&f, EVENT_ADMITTED);
		happen(&f, EVENT_PREPARED);
		happen(&f, EVENT_LAUNCHED);
		happen(&f, EVENT_ENROLLED);
		be_silent(&f, 1000);
		g_assert_cmpstr(f.c->phase, ==, "waiting for the SSH banner");
		be_silent(&f, expected);
		g_assert_cmpstr(f.c->phase, ==, "waiting for the SSH banner");
		be_silent(&f, expected + 1);
		g_assert_cmpstr(f.c->phase, ==, "banner: closed");
		f.now = f.c->launched_at + 20000;
		childhurd_note_silence(f.c, FALSE);
		happen(&f, EVENT_PROBE_FAILED); /* something answers, and is not right */
		g_assert_cmpstr(f.c->phase, ==, event_name(EVENT_PROBE_FAILED));
		happen(&f, EVENT_PROBE_OK);
		assert_state(&f, STATE_READY);
		be_silent(&f, 30000); /* it was ready, so this is one */
		g_assert_cmpstr(f.c->why, ==, "banner: closed");
		be_silent(&f, 31000);
		g_assert_cmpstr(f.c->phase, ==, "banner: closed");
		happen(&f, EVENT_REBOOTED);
	}
	fake_clear(&f);
}

/* The daemon is killed while a reset waits for a build, and the next one while the guest halts. */
static void
test_reset_over_daemons(void)
{
	struct fake f;
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_RESET);
	assert_state(&f, STATE_DRAINING);
	fake_next_daemon(&f);
	assert_state(&f, STATE_DRAINING);
	f.builds = 0;
	happen(&f, EVENT_BUILD_ENDED);
	assert_state(&f, STATE_STOPPING);
	fake_next_daemon(&f);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_POWERED_OFF);
	g_assert_cmpint(f.discarded, ==, 1);
	assert_state(&f, STATE_STARTING);
	fake_clear(&f);
}

/* A lack of the host's proves nothing about a guest: its state and its place in the list stay. */
static void
test_unasked(void)
{
	struct fake f;
	start_ready(&f);
	int logged = f.logged;
	for (int i = 0; i < 3; i++)
		happen(&f, EVENT_UNASKED);
	assert_state(&f, STATE_READY);
	g_assert_true(childhurd_published(f.c));
	g_assert_cmpint(f.logged - logged, ==, 1); /* once */
	g_assert_cmpstr(f.c->phase, ==, "unasked");
	happen(&f, EVENT_PROBE_OK);
	g_assert_cmpstr(f.log, ==, "it can be asked again");
	g_assert_null(f.c->phase);

	happen(&f, EVENT_PROBE_FAILED);
	f.now += 100000;
	happen(&f, EVENT_UNASKED);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_cmpint(f.timer, ==, -1); /* its limit waits */
	f.now += 86400000;
	happen(&f, EVENT_UNASKED);
	happen(&f, EVENT_PROBE_FAILED);
	g_assert_cmpint(f.timer - f.now, ==, 80000); /* and goes on */
	expire(&f);
	assert_state(&f, STATE_STOPPING);
	fake_clear(&f);

	fake_init(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_UNASKED);
	f.now += 3600000;
	happen(&f, EVENT_GREETED);
	assert_state(&f, STATE_ENROLLING);
	g_assert_cmpint(f.timer, ==, -1);
	happen(&f, EVENT_ENROLLED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	fake_clear(&f);
}

static void
test_start_lacks(void)
{
	struct fake f;
	fake_init(&f);
	f.config.restart = CONFIG_RESTART_NEVER;
	happen(&f, EVENT_START);
	for (int i = 0; i < 5 * BACKOFF_TRIES; i++) {
		happen(&f, EVENT_ADMITTED);
		if (i % 3 == 0) {
			happen(&f, EVENT_START_LACKED);
		} else if (i % 3 == 1) {
			happen(&f, EVENT_PREPARED);
			happen(&f, EVENT_START_LACKED);
		} else {
			expire(&f); /* keys or disk never come: a dead file server */
		}
		assert_state(&f, STATE_BACKOFF);
		g_assert_cmpint(f.timer - f.now, >, 0);
		g_assert_cmpint(f.timer - f.now, <=, LACK_LONGEST);
		expire(&f);
		assert_state(&f, STATE_STARTING);
	}
	g_assert_cmpint(f.c->failures, ==, 0);
	g_assert_cmpint(f.c->restarts, ==, 0);
	boot(&f);
	g_assert_cmpint(f.c->lacks, ==, 0);
	fake_clear(&f);
}

static void
test_paused(void)
{
	struct fake f;
	start_ready(&f);
	f.builds = 1;
	happen(&f, EVENT_PAUSED);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(childhurd_coming_up(f.c));
	g_assert_cmpint(f.timer, ==, -1);
	int logged = f.logged;
	happen(&f, EVENT_PAUSED); /* its resume failed */
	happen(&f, EVENT_PROBE_FAILED);
	happen(&f, EVENT_PROBE_OK); /* from before the pause */
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_cmpint(f.logged, ==, logged);
	g_assert_cmpstr(f.c->phase, ==, "paused");
	f.now += 86400000;
	happen(&f, EVENT_RESUMED);
	g_assert_cmpint(f.asks, ==, 1);
	g_assert_cmpint(f.timer - f.now, ==, 180000);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_true(childhurd_published(f.c));
	g_assert_cmpint(f.kills, ==, 0);

	happen(&f, EVENT_PAUSED); /* an operator's wish still counts */
	happen(&f, EVENT_STOP_NOW);
	assert_state(&f, STATE_STOPPING);
	for (int i = 0; i < 2; i++)
		expire(&f);
	g_assert_cmpint(f.kills, ==, 1);
	fake_clear(&f);

	fake_init(&f); /* the next daemon finds it paused */
	f.c->want_up = f.c->proven = TRUE;
	happen(&f, EVENT_FOUND);
	happen(&f, EVENT_PAUSED);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_cmpint(f.timer, ==, -1);
	happen(&f, EVENT_RESUMED);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	fake_clear(&f);
}

static void
test_goes_down(void)
{
	struct fake f;
	start_ready(&f);
	happen(&f, EVENT_HALTING);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_false(childhurd_published(f.c));
	g_assert_cmpint(f.timer - f.now, ==, 60000);
	happen(&f, EVENT_HALTING); /* its further lines give it no more time */
	f.now += 30000;
	happen(&f, EVENT_PROBE_OK); /* it goes down, or the line is not true */
	happen(&f, EVENT_HALTING);
	assert_state(&f, STATE_UNRESPONSIVE);
	g_assert_cmpint(f.timer - f.now, ==, 30000);
	expire(&f);
	g_assert_cmpint(f.asks, ==, 1);
	assert_state(&f, STATE_UNRESPONSIVE);
	expire(&f);
	assert_state(&f, STATE_STOPPING);
	g_assert_cmpint(f.kills, ==, 1);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED); /* as after power off */
	fake_clear(&f);

	start_ready(&f);
	happen(&f, EVENT_REBOOTING);
	expire(&f);
	expire(&f);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STARTING);
	g_assert_cmpint(f.c->restarts, ==, 1);
	g_assert_cmpint(f.c->failures, ==, 0);
	fake_clear(&f);

	start_ready(&f); /* the line was not true */
	f.builds = 1;
	happen(&f, EVENT_HALTING);
	expire(&f);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	happen(&f, EVENT_PROBE_FAILED); /* and the line is forgotten */
	g_assert_cmpint(f.timer - f.now, ==, 180000);
	fake_clear(&f);

	fake_init(&f); /* while it boots */
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_HALTING);
	g_assert_cmpint(f.timer - f.now, ==, 60000);
	expire(&f);
	expire(&f);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_BACKOFF);
	fake_clear(&f);

	start_ready(&f); /* it ends as it should */
	happen(&f, EVENT_HALTING);
	happen(&f, EVENT_HALTED);
	assert_state(&f, STATE_STOPPING);
	happen(&f, EVENT_DIED);
	assert_state(&f, STATE_STOPPED);
	fake_clear(&f);
}

/* --now gives a gentle way time only as long as it shows effect. */
static void
test_stop_now_is_soon(void)
{
	struct fake f;
	start_ready(&f);
	gint64 asked = f.now;
	happen(&f, EVENT_STOP_NOW); /* halt hangs, and the console is silent */
	expire(&f);
	g_assert_cmpint(f.buttons, ==, 1);
	expire(&f);
	g_assert_cmpint(f.kills, ==, 1);
	g_assert_cmpint(f.now - asked, ==, NOW_SILENCE + NOW_BUTTON);
	fake_clear(&f);

	start_ready(&f); /* it goes silent halfway */
	asked = f.now;
	happen(&f, EVENT_STOP_NOW);
	f.spoke = f.now += 10000;
	happen(&f, EVENT_HALTING);
	expire(&f);
	g_assert_cmpint(f.now - asked, ==, 10000 + GOING_DOWN_SILENCE);
	g_assert_cmpint(f.buttons, ==, 0);
	g_assert_cmpint(f.kills, ==, 1);
	fake_clear(&f);

	start_ready(&f); /* its console is never silent */
	asked = f.now;
	happen(&f, EVENT_STOP_NOW);
	while (!f.buttons) {
		f.spoke = f.timer - 1;
		expire(&f);
	}
	g_assert_cmpint(f.now - asked, ==, f.config.stop_timeout);
	fake_clear(&f);

	start_ready(&f); /* --now comes while it halts */
	happen(&f, EVENT_STOP);
	f.now += 5000;
	g_assert_cmpint(f.timer - f.now, ==, 55000);
	happen(&f, EVENT_STOP_NOW);
	g_assert_cmpint(f.timer - f.now, ==, NOW_SILENCE - 5000);
	fake_clear(&f);

	start_ready(&f); /* GNU Mach, loaded by QEMU */
	f.config.kernel = (char *)"/gnumach";
	happen(&f, EVENT_STOP_NOW);
	expire(&f);
	g_assert_cmpint(f.buttons, ==, 0);
	g_assert_cmpint(f.kills, ==, 1);
	fake_clear(&f);
}

static void
test_clock(void)
{
	struct fake f;
	fake_init(&f);
	f.config.offloading = TRUE;
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_GREETED);
	happen(&f, EVENT_ENROLLED);
	happen(&f, EVENT_CLOCK_OFF);
	g_assert_cmpint(f.clocks, ==, 0);
	happen(&f, EVENT_PROBE_OK);
	assert_state(&f, STATE_READY);
	g_assert_false(childhurd_published(f.c));
	g_assert_true(childhurd_coming_up(f.c));
	g_assert_true(f.held);
	g_assert_cmpint(f.clocks, ==, 1); /* at once */
	g_assert_cmpstr(f.c->phase, ==, "clock-off");
	happen(&f, EVENT_CLOCK_SET);
	happen(&f, EVENT_CLOCK_GOOD);
	g_assert_true(childhurd_published(f.c));
	g_assert_false(f.held);
	g_assert_null(f.c->phase);

	f.builds = 1;
	happen(&f, EVENT_CLOCK_OFF);
	g_assert_false(childhurd_published(f.c));
	g_assert_cmpint(f.clocks, ==, 1); /* not in the middle of a build */
	f.builds = 0;
	happen(&f, EVENT_CLOCK_OFF);
	g_assert_cmpint(f.clocks, ==, 2);
	happen(&f, EVENT_CLOCK_SET);
	happen(&f, EVENT_CLOCK_OFF); /* it did not help */
	g_assert_cmpint(f.clocks, ==, 2);
	f.now += CLOCK_AGAIN;
	happen(&f, EVENT_CLOCK_OFF);
	g_assert_cmpint(f.clocks, ==, 3);
	fake_clear(&f);
}

/* A start or an undrain takes back a stop that waits for a build, in each state. */
static void
test_stop_is_taken_back(void)
{
	static const enum event stops[] = {EVENT_STOP, EVENT_RESTART, EVENT_RESET},
				backs[] = {EVENT_START, EVENT_UNDRAIN};
	for (gsize i = 0; i < G_N_ELEMENTS(stops) * G_N_ELEMENTS(backs) * 2; i++) {
		struct fake f;
		gboolean doubted = i % 2;
		enum event stop = stops[i / 2 % G_N_ELEMENTS(stops)];
		start_ready(&f);
		f.builds = 1;
		if (doubted)
			happen(&f, EVENT_PROBE_FAILED);
		happen(&f, stop);
		assert_state(&f, doubted ? STATE_UNRESPONSIVE : STATE_DRAINING);
		g_assert_true(f.c->winding_down);
		happen(&f, backs[i / 2 / G_N_ELEMENTS(stops)]);
		g_assert_false(f.c->winding_down);
		g_assert_true(f.c->want_up);
		g_assert_false(f.c->discard);
		if (doubted)
			happen(&f, EVENT_PROBE_OK);
		assert_state(&f, STATE_READY);
		g_assert_false(f.held);
		f.builds = 0;
		happen(&f, EVENT_BUILD_ENDED);
		assert_state(&f, STATE_READY);
		fake_clear(&f);
	}
}

/* What must hold after any event. */
static void
check_promises(struct fake *f)
{
	struct childhurd *c = f->c;
	if (childhurd_published(c) && c->state == STATE_ASLEEP)
		g_assert_true(c->qemu == QEMU_GONE && c->has_port && !c->drained);
	else if (childhurd_published(c))
		g_assert_true(c->qemu == QEMU_RUNNING && c->proven && !c->drained &&
			      !c->winding_down);
	if (c->state == STATE_STOPPED || c->state == STATE_FAILED)
		g_assert_false(childhurd_coming_up(c));
	gboolean limited = c->state == STATE_BOOTING || c->state == STATE_ENROLLING ||
			   c->state == STATE_STOPPING || c->state == STATE_BACKOFF ||
			   c->state == STATE_RESTORING || (c->state == STATE_UNRESPONSIVE);
	gboolean stalled =
	    (c->unasked || c->paused) && c->state != STATE_STOPPING && c->state != STATE_BACKOFF;
	if (limited && stalled)
		g_assert_cmpint(c->left, >, 0);
	else if (limited)
		g_assert_cmpint(f->timer, >=, 0); /* nothing waits for ever */
	if (c->paused || c->going_down || c->clock_off)
		g_assert_false(childhurd_published(c));
	if (c->state == STATE_BACKOFF)
		g_assert_cmpint(c->qemu, !=, QEMU_LAUNCHING);
	g_assert_cmpint(c->failures, <=, BACKOFF_TRIES);
}

static void
test_any_events(void)
{
	guint32 seed = g_test_rand_int() & 0x7fffffff;
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
	struct fake f;
	g_test_message("seed %u", seed);
	fake_init(&f);
	for (int i = 0; i < 300000; i++) {
		enum event event = g_rand_int_range(rand, 0, N_EVENTS);
		if (event == EVENT_FOUND ||
		    (event == EVENT_ADMITTED && f.c->state != STATE_STARTING))
			continue; /* the hird sends these in the right state only */
		if (event == EVENT_PREPARED &&
		    (f.c->state != STATE_STARTING || f.c->qemu == QEMU_LAUNCHING))
			continue;
		if (event == EVENT_LAUNCHED && f.c->qemu != QEMU_LAUNCHING)
			continue;
		f.builds = g_rand_int_range(rand, -1, 3);
		f.warm = g_rand_int_range(rand, WARM_IMPOSSIBLE, WARM_FITS + 1);
		f.config.disk = g_rand_int_range(rand, 0, 2);
		f.config.recycle_after = g_rand_int_range(rand, 0, 3);
		f.now += g_rand_int_range(rand, 0, 5000);
		happen(&f, event);
		check_promises(&f);
	}
	fake_clear(&f);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/childhurd/every-state-has-an-action-for-every-event", test_complete);
	g_test_add_func("/childhurd/boots-step-by-step-and-is-published", test_boot);
	g_test_add_func("/childhurd/one-limit-for-the-whole-boot", test_boot_limit);
	g_test_add_func("/childhurd/stop-is-halt-then-power-button-then-kill", test_stop_ladder);
	g_test_add_func("/childhurd/a-halted-mach-is-ended-at-once", test_halted_mach);
	g_test_add_func("/childhurd/a-qemu-that-cannot-be-ended-is-a-failure", test_unkillable);
	g_test_add_func("/childhurd/stop-waits-for-a-build-unless-now", test_stop_waits_for_build);
	g_test_add_func("/childhurd/slots-are-kept-while-it-is-drained-or-goes-down",
			test_holds_slots);
	g_test_add_func("/childhurd/a-guest-without-room-is-not-published", test_full_store);
	g_test_add_func("/childhurd/a-low-store-is-collected-when-no-build-runs",
			test_low_store_is_collected);
	g_test_add_func("/childhurd/a-low-store-does-not-disturb-a-build-that-comes-just-then",
			test_low_store_and_a_build);
	g_test_add_func("/childhurd/a-low-store-on-an-ephemeral-disk-gets-a-new-one",
			test_low_ephemeral_store_is_new);
	g_test_add_func("/childhurd/restart-is-stop-and-start", test_restart);
	g_test_add_func("/childhurd/a-restart-begins-a-start-anew", test_restart_of_a_start);
	g_test_add_func("/childhurd/reset-discards-the-disk-when-qemu-is-gone", test_reset);
	g_test_add_func("/childhurd/crashes-back-off-and-then-open-the-breaker",
			test_crash_backs_off);
	g_test_add_func("/childhurd/a-crash-an-hour-for-a-year-is-forgiven",
			test_long_ready_forgives);
	g_test_add_func("/childhurd/reboot-and-power-off-are-told-from-crashes",
			test_reboot_and_power_off);
	g_test_add_func("/childhurd/a-start-while-it-goes-down-is-not-lost",
			test_start_after_power_off);
	g_test_add_func("/childhurd/a-reboot-before-it-was-ready-is-a-failure",
			test_reboot_while_booting);
	g_test_add_func("/childhurd/a-silent-guest-is-unpublished-then-restarted",
			test_unresponsive);
	g_test_add_func("/childhurd/a-build-in-what-lives-is-not-broken", test_hang_with_a_build);
	g_test_add_func("/childhurd/the-limit-of-a-boot-is-learned", test_boot_limit_learns);
	g_test_add_func("/childhurd/drained-stays-drained", test_drain);
	g_test_add_func("/childhurd/the-list-follows-wishes-too", test_wishes_are_listed);
	g_test_add_func("/childhurd/a-start-can-be-given-up", test_stop_while_starting);
	g_test_add_func("/childhurd/a-launch-that-comes-too-late-is-ended", test_late_launch);
	g_test_add_func("/childhurd/a-failed-guest-has-its-qemu-ended-first",
			test_failed_with_qemu);
	g_test_add_func("/childhurd/an-unanswered-launch-has-no-second-beside-it",
			test_unanswered_launch);
	g_test_add_func("/childhurd/a-running-guest-is-taken-over", test_take_over);
	g_test_add_func("/childhurd/what-an-earlier-daemon-knew-goes-on", test_recalled);
	g_test_add_func("/childhurd/a-guest-that-is-taken-over-is-not-at-fault",
			test_taken_over_is_no_fault);
	g_test_add_func("/childhurd/a-boot-is-silent-for-as-long-as-those-before",
			test_silent_boot);
	g_test_add_func("/childhurd/now-is-now-over-daemons", test_now_over_daemons);
	g_test_add_func("/childhurd/a-reset-goes-on-over-daemons", test_reset_over_daemons);
	g_test_add_func("/childhurd/what-cannot-be-asked-stays-what-it-is", test_unasked);
	g_test_add_func("/childhurd/a-start-that-the-host-cannot-make-is-no-failure",
			test_start_lacks);
	g_test_add_func("/childhurd/what-qemu-has-paused-is-not-hung", test_paused);
	g_test_add_func("/childhurd/who-says-that-it-goes-down-is-off-the-list", test_goes_down);
	g_test_add_func("/childhurd/stop-now-does-not-wait-for-the-dead", test_stop_now_is_soon);
	g_test_add_func("/childhurd/a-wrong-clock-is-set-and-unpublished-until-then", test_clock);
	g_test_add_func("/childhurd/a-stop-that-waits-can-be-taken-back", test_stop_is_taken_back);
	g_test_add_func("/childhurd/promises-hold-under-any-events", test_any_events);
	return g_test_run();
}
