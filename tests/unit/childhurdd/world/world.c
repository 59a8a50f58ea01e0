/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of libvirt's reports are about the QEMU that runs. */
#include "childhurdd/world/world_internal.h"

static gboolean
judged(const struct world *r)
{
	return r->reported && ev_is_active(&r->exit_timer);
}

static void
test_late_reports(void)
{
	struct host host = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct childhurd c = {.qemu = QEMU_RUNNING};
	struct world r = {.host = &host, .c = &c, .qemu.id = 8};
	world_qemu_init(&r);
	/* QEMU 8 was started, and what comes first is the word of the one before */
	world_domain_event(&r, HYPERVISOR_RESET_ASKED, 7, NULL);
	world_domain_event(&r, HYPERVISOR_PAUSED, 7, NULL);
	world_domain_event(&r, HYPERVISOR_STOPPED, 7, "QEMU was destroyed");
	g_assert_false(r.reset_asked);
	g_assert_null(r.pause_call);
	g_assert_null(r.exit_text);
	g_assert_false(judged(&r));
	/* its own, and whatever else still comes of the one before */
	world_domain_event(&r, HYPERVISOR_STARTED, 8, NULL);
	world_domain_event(&r, HYPERVISOR_STOPPED, 7, "QEMU was destroyed");
	g_assert_false(judged(&r));
	world_domain_event(&r, HYPERVISOR_POWER_OFF_ASKED, 8, NULL);
	world_domain_event(&r, HYPERVISOR_STOPPED, 8, "QEMU was shut down");
	g_assert_true(r.power_off_asked);
	g_assert_cmpstr(r.exit_text, ==, "QEMU was shut down");
	g_assert_true(judged(&r));
	ev_timer_stop(host.loop, &r.exit_timer);
	ev_loop_destroy(host.loop);
	g_free(r.exit_text);
}

/* An end of which libvirt does not say whose it is comes when none is known to run. */
static void
test_reports_without_qemu(void)
{
	struct host host = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct childhurd c = {.qemu = QEMU_LAUNCHING};
	struct world r = {.host = &host, .c = &c};
	world_qemu_init(&r);
	world_domain_event(&r, HYPERVISOR_STARTED, 7, NULL);
	world_domain_event(&r, HYPERVISOR_STOPPED, 7, "QEMU was destroyed");
	world_domain_event(&r, HYPERVISOR_STOPPED, 0, "QEMU was destroyed");
	g_assert_null(r.exit_text);
	g_assert_false(judged(&r));
	ev_loop_destroy(host.loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/world/the-end-of-one-qemu-is-not-the-next-ones", test_late_reports);
	g_test_add_func("/world/without-a-qemu-no-report-is-its-own", test_reports_without_qemu);
	return g_test_run();
}
