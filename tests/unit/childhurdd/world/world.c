/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of libvirt's reports are about the QEMU that runs, and what is known of a guest at once. */
#include "childhurdd/world/world_internal.h"

#include <glib/gstdio.h>

#include "childhurdd/qemu/kvm.h"

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
	/* QEMU 8 was started, but the first reports are about QEMU 7 */
	world_domain_event(&r, HYPERVISOR_RESET_ASKED, 7, NULL);
	world_domain_event(&r, HYPERVISOR_PAUSED, 7, NULL);
	world_domain_event(&r, HYPERVISOR_STOPPED, 7, "QEMU was destroyed");
	g_assert_false(r.reset_asked);
	g_assert_null(r.pause_call);
	g_assert_null(r.exit_text);
	g_assert_false(judged(&r));
	/* reports about itself, and late ones about QEMU 7 */
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

/* An end without a QEMU's id is reported while none is known to run. */
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

static gboolean
looks_in(struct world *r, gint64 least, gint64 most)
{
	gint64 left = (gint64)(ev_timer_remaining(r->host->loop, &r->pause_timer) * 1000);
	return ev_is_active(&r->pause_timer) && left >= least && left <= most;
}

/* libvirt reports a resume and the next pause late at times: then the guest is looked at once more
 * before it is due. */
static void
test_resumed(void)
{
	struct hypervisor_result paused = {.running = HYPERVISOR_NO_ROOM}, runs = {0};
	struct host host = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct childhurd c = {.state = STATE_UNRESPONSIVE, .saving = TRUE};
	struct config_guest guest = {.name = (char *)"a"};
	struct world r = {.host = &host, .c = &c, .qemu.id = 8, .directory = (char *)"/state"};
	c.config = &guest;
	world_qemu_init(&r);
	world_pause_known(&paused, &r);
	g_assert_cmpint(r.pause, ==, HYPERVISOR_NO_ROOM);
	g_assert_true(looks_in(&r, PAUSE_RETRY / 2, PAUSE_RETRY));
	/* it runs, but that has to last, however often it is looked at meanwhile */
	for (int i = 0; i < 3; i++) {
		world_pause_known(&runs, &r);
		g_assert_cmpint(r.pause, ==, HYPERVISOR_NO_ROOM);
		g_assert_true(looks_in(&r, 1, PAUSE_CONFIRM));
	}
	/* paused once more: its time begins anew */
	world_pause_known(&paused, &r);
	g_assert_cmpint(r.goes_on_since, ==, 0);
	world_pause_known(&runs, &r);
	r.goes_on_since -= PAUSE_CONFIRM / 2;
	world_pause_known(&runs, &r);
	g_assert_cmpint(r.pause, ==, HYPERVISOR_NO_ROOM);
	g_assert_true(looks_in(&r, 1, PAUSE_CONFIRM / 2));
	r.goes_on_since -= PAUSE_CONFIRM / 2;
	world_pause_known(&runs, &r);
	g_assert_cmpint(r.pause, ==, HYPERVISOR_RUNS);
	ev_timer_stop(host.loop, &r.pause_timer);
	ev_loop_destroy(host.loop);
}

/* A guest that an earlier daemon started can be published before a worker has read its files. */
static void
test_known_at_once(void)
{
	g_autofree char *state = g_dir_make_tmp("childhurd-world-XXXXXX", NULL);
	g_autofree char *folder = g_build_filename(state, "a", NULL);
	g_autofree char *copy = g_build_filename(folder, "offload_key.guix", NULL);
	struct config config = {.state_directory = state, .secrets_directory = state};
	struct config_guest guest = {.name = (char *)"a"};
	struct host host = {.loop = ev_loop_new(EVFLAG_AUTO), .config = &config};
	host.files = tasks_new(host.loop, -1);
	host.acceleration = kvm_new(host.loop, state, NULL);
	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(copy, "key", -1, NULL));
	struct world *world = world_new(&host, &guest);
	g_assert_cmpstr(world_coordinator_key(world), ==, copy);
	world_free(world);
	kvm_free(host.acceleration);
	tasks_finish(host.files);
	ev_loop_destroy(host.loop);
	g_assert_cmpint(g_unlink(copy), ==, 0);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/world/the-coordinators-key-is-known-at-once", test_known_at_once);
	g_test_add_func("/world/the-end-of-one-qemu-is-not-the-next-ones", test_late_reports);
	g_test_add_func("/world/a-resumed-guest-has-to-run-for-a-while", test_resumed);
	g_test_add_func("/world/without-a-qemu-no-report-is-its-own", test_reports_without_qemu);
	return g_test_run();
}
