/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest's states become in the history: boots, starts from a warm state, failures. */
#include "childhurdd/hird/chronicle.h"

#include "tests/unit/childhurdd/history/bed.h"

#define TEST(name, function) g_test_add_func("/chronicle/" name, function)
#define KEPT		     (90 * G_GINT64_CONSTANT(86400000)) /* ms */

struct desk {
	struct bed bed;
	struct ev_loop *loop;
	struct roster roster;
	struct chronicle *chronicle;
	struct config_guest config;
	struct childhurd c;
};

static void
desk_init(struct desk *desk)
{
	*desk = (struct desk){.bed = bed_new(), .loop = ev_loop_new(EVFLAG_AUTO)};
	desk->roster = (struct roster){g_ptr_array_new(), g_ptr_array_new()};
	desk->config.name = (char *)"a";
	desk->c = (struct childhurd){.config = &desk->config, .want_up = TRUE};
	desk->chronicle = chronicle_new(desk->loop, desk->bed.path, FALSE, &desk->roster);
	chronicle_keep(desk->chronicle, KEPT);
	chronicle_begin(desk->chronicle);
}

/* Write all of it; what comes next is read from the file. */
static void
desk_write(struct desk *desk)
{
	g_clear_pointer(&desk->chronicle, chronicle_free);
}

static void
desk_clear(struct desk *desk)
{
	g_ptr_array_unref(desk->roster.worlds);
	g_ptr_array_unref(desk->roster.removed);
	ev_loop_destroy(desk->loop);
	bed_free(&desk->bed);
}

static void
pass(struct desk *desk, enum state state, enum qemu qemu, const char *why)
{
	desk->c.state = state;
	desk->c.qemu = qemu;
	desk->c.why = (char *)why;
	chronicle_look(desk->chronicle, &desk->c, 0);
}

static void
boot(struct desk *desk)
{
	pass(desk, STATE_STARTING, QEMU_GONE, "start");
	pass(desk, STATE_STARTING, QEMU_LAUNCHING, "start");
	pass(desk, STATE_BOOTING, QEMU_RUNNING, "start");
	pass(desk, STATE_READY, QEMU_RUNNING, "ready");
}

static void
start_warm(struct desk *desk)
{
	pass(desk, STATE_STARTING, QEMU_GONE, "start");
	pass(desk, STATE_RESTORING, QEMU_RUNNING, "start");
	pass(desk, STATE_READY, QEMU_RUNNING, "ready");
}

static void
a_start_without_qemu_is_no_boot(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "new");
	for (int i = 0; i < 3; i++) {
		pass(&desk, STATE_STARTING, QEMU_GONE, "start");
		pass(&desk, STATE_BACKOFF, QEMU_GONE, "its image is missing");
		chronicle_failed(desk.chronicle, &desk.c, NULL);
		g_usleep(1000); /* failures are told apart by their time */
	}
	desk_write(&desk);
	bed_assert(&desk.bed, "SELECT count(*) FROM boot", "0");
	bed_assert(&desk.bed, "SELECT count(*) FROM failure", "3");
	desk_clear(&desk);
}

static void
a_boot_begins_with_its_start(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "new");
	gint64 before = g_get_real_time();
	pass(&desk, STATE_STARTING, QEMU_GONE, "start");
	gint64 after = g_get_real_time();
	g_usleep(1000);
	pass(&desk, STATE_BOOTING, QEMU_RUNNING, "start");
	pass(&desk, STATE_BACKOFF, QEMU_GONE, "panic");
	desk_write(&desk);
	g_autofree char *begin = bed_rows(&desk.bed, "SELECT begin FROM boot");
	gint64 at = g_ascii_strtoll(begin, NULL, 10);
	g_assert_cmpint(at, >=, before);
	g_assert_cmpint(at, <=, after);
	bed_assert(&desk.bed, "SELECT how, ready, ended FROM boot", "cold|-|panic");
	desk_clear(&desk);
}

static void
a_warm_start_is_a_restore_too(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "new");
	boot(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "stopped");
	start_warm(&desk);
	pass(&desk, STATE_ASLEEP, QEMU_GONE, "asleep");
	start_warm(&desk);
	desk_write(&desk);
	bed_assert(&desk.bed, "SELECT how FROM boot ORDER BY begin", "cold warm wake");
	bed_assert(&desk.bed, "SELECT " LEDGER_WORD("reason") " FROM main.restore ORDER BY time",
		   "start wake");
	desk_clear(&desk);
}

/* Its warm state does not fit any more, so it boots. */
static void
a_wake_that_boots_is_a_boot(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_ASLEEP, QEMU_GONE, "asleep");
	boot(&desk);
	desk_write(&desk);
	bed_assert(&desk.bed, "SELECT how, ready > begin FROM boot", "cold|1");
	bed_assert(&desk.bed, "SELECT count(*) FROM restore", "0");
	desk_clear(&desk);
}

/* Another daemon, on the same file. */
static void
desk_next(struct desk *desk)
{
	desk_write(desk);
	desk->chronicle = chronicle_new(desk->loop, desk->bed.path, FALSE, &desk->roster);
	chronicle_keep(desk->chronicle, KEPT);
	chronicle_begin(desk->chronicle);
}

static void
a_take_over_is_no_trouble(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "new");
	boot(&desk);
	desk_next(&desk);
	desk.c.taken_over = TRUE;
	pass(&desk, STATE_UNRESPONSIVE, QEMU_RUNNING, "taken over");
	struct control_event event = {
	    .number = 1, .guest = "a", .state = "unresponsive", .taken_over = TRUE, .text = "so"};
	chronicle_event(desk.chronicle, &event);
	desk.c.taken_over = FALSE;
	g_usleep(1000); /* states are told apart by their time */
	pass(&desk, STATE_UNRESPONSIVE, QEMU_RUNNING, "it does not answer");
	desk_write(&desk);
	bed_assert(&desk.bed,
		   "SELECT " LEDGER_WORD("state") " FROM main.state ORDER BY begin DESC LIMIT 2",
		   "unresponsive probing");
	bed_assert(&desk.bed, "SELECT " LEDGER_WORD("state") " FROM event", "probing");
	desk_clear(&desk);
}

/* Of a boot that an earlier daemon saw begin, too. */
static void
a_boot_ends_for_the_reason_that_ended_it(void)
{
	struct desk desk;
	desk_init(&desk);
	pass(&desk, STATE_STOPPED, QEMU_GONE, "new");
	boot(&desk);
	desk_next(&desk);
	desk.c.taken_over = TRUE;
	pass(&desk, STATE_UNRESPONSIVE, QEMU_RUNNING, "taken over");
	desk.c.taken_over = FALSE;
	pass(&desk, STATE_READY, QEMU_RUNNING, "ready");
	pass(&desk, STATE_STOPPING, QEMU_RUNNING, "panic");
	pass(&desk, STATE_BACKOFF, QEMU_GONE, "panic");
	pass(&desk, STATE_STARTING, QEMU_GONE, "trying again");
	pass(&desk, STATE_BOOTING, QEMU_RUNNING, "trying again");
	desk_write(&desk);
	bed_assert(&desk.bed, "SELECT " LEDGER_WORD("ended") " FROM main.boot ORDER BY begin",
		   "panic -");
	desk_clear(&desk);
}

int
main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	TEST("a-start-without-qemu-is-no-boot", a_start_without_qemu_is_no_boot);
	TEST("a-boot-begins-with-its-start", a_boot_begins_with_its_start);
	TEST("a-take-over-is-no-trouble", a_take_over_is_no_trouble);
	TEST("a-boot-ends-for-the-reason-that-ended-it", a_boot_ends_for_the_reason_that_ended_it);
	TEST("a-warm-start-is-a-restore-too", a_warm_start_is_a_restore_too);
	TEST("a-wake-that-boots-is-a-boot", a_wake_that_boots_is_a_boot);
	return g_test_run();
}
