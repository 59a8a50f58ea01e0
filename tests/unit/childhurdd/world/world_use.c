/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * recycle-after, with the slots and sessions of real processes. The guest has a state machine, and
 * a world of which only the builds are real.
 */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>

#include "childhurdd/world/world_internal.h"
#include "offload/slots.h"
#include "tests/unit/offload/builds.h"

#define HOST	   "127.0.0.1"
#define PATIENCE_S 60.0

static const int slot_0 = 0, slot_1 = 1;

struct bed {
	struct config config;
	struct config_guest guest;
	struct host host;
	struct world world;
	char *machine; /* the folder of its slots */
	int port;      /* the guest's, which listens */
	int caller;    /* a coordinator's session */
	ev_timer patience;
};

static gint64
bed_now(struct childhurd *c)
{
	return monotonic_now();
}

static enum warm
bed_warm(struct childhurd *c)
{
	return WARM_FITS;
}

static void
bed_timer(struct childhurd *c, gint64 at)
{
}

static void
bed_nothing(struct childhurd *c)
{
}

static void
bed_changed(struct childhurd *c, gboolean state_changed, const char *text)
{
	if (state_changed)
		world_mind_use(world_from(c));
}

static const struct world_ops ops = {
    .now = bed_now,
    .timer = bed_timer,
    .warm = bed_warm,
    .quiet = bed_nothing,
    .leave = bed_nothing,
    .restore = bed_nothing,
    .stir = bed_nothing,
    .watch = bed_nothing,
    .builds = world_builds,
    .hold = world_hold,
    .release = world_release,
    .used = world_used,
    .changed = bed_changed,
};

static void
on_patience(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	g_error("nothing happened for %g s", PATIENCE_S);
}

static int
listener(int *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(listen(fd, 8), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
	*port = ntohs(name.sin_port);
	return fd;
}

static void
log_in(struct bed *bed)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((in_port_t)bed->guest.ssh_port)};
	bed->caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(bed->caller, (struct sockaddr *)&name, sizeof name), ==, 0);
}

static int
nobody_elsewhere(void *hird, const struct config_guest *guest)
{
	return 0;
}

static void
let_in_elsewhere(void *hird, const char *guest)
{
}

/* No coordinator elsewhere follows. */
static const struct host_ops host_ops = {.hold = nobody_elsewhere, .release = let_in_elsewhere};

/* A guest that is ready, or one that an earlier daemon has left and that does not answer yet. */
static void
begin(struct bed *bed, enum state state, int recycle_after, int slots)
{
	*bed = (struct bed){.caller = -1};
	bed->port = listener(&bed->guest.ssh_port);
	bed->config.guix_state_directory = g_dir_make_tmp("use-XXXXXX", NULL);
	bed->config.host_name = (char *)HOST;
	bed->machine = g_strdup_printf("%s/offload/" HOST ":%d", bed->config.guix_state_directory,
				       bed->guest.ssh_port);
	g_assert_cmpint(g_mkdir_with_parents(bed->machine, 0755), ==, 0);
	bed->guest.name = (char *)"a";
	bed->guest.listen_address = (char *)HOST;
	bed->guest.offloading = TRUE;
	bed->guest.recycle_after = recycle_after;
	bed->guest.parallel_builds = slots;
	bed->guest.boot_timeout = bed->guest.hang_timeout = 60000;
	bed->host.loop = ev_loop_new(EVFLAG_AUTO);
	bed->host.config = &bed->config;
	bed->host.ops = &host_ops;
	bed->world.host = &bed->host;
	bed->world.c = childhurd_new(&bed->guest, &ops, &bed->world);
	bed->world.c->state = state;
	bed->world.c->qemu = QEMU_RUNNING;
	bed->world.c->want_up = bed->world.c->proven = bed->world.c->enrolled = TRUE;
	world_use_init(&bed->world);
	world_mind_use(&bed->world);
	ev_timer_init(&bed->patience, on_patience, PATIENCE_S, 0);
	ev_timer_start(bed->host.loop, &bed->patience);
}

static void
end(struct bed *bed)
{
	const char *const argv[] = {"rm", "-rf", bed->config.guix_state_directory, NULL};
	world_use_clear(&bed->world);
	slots_free(bed->world.slots);
	childhurd_free(bed->world.c);
	ev_timer_stop(bed->host.loop, &bed->patience);
	ev_loop_destroy(bed->host.loop);
	if (bed->caller >= 0)
		close(bed->caller);
	close(bed->port);
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(bed->config.guix_state_directory);
	g_free(bed->machine);
}

#define run_until(bed, condition)                                                                  \
	while (!(condition))                                                                       \
	ev_run((bed)->host.loop, EVRUN_ONCE)

/* So many looks. */
static void
look(struct bed *bed, int n)
{
	while (n--) {
		gint64 before = bed->world.use.looked;
		run_until(bed, bed->world.use.looked != before);
	}
}

static void
be_pristine(struct bed *bed)
{
	struct childhurd *c = bed->world.c;
	g_assert_cmpint(c->state, ==, STATE_RESTORING);
	childhurd_event(c, EVENT_RESTORED, NULL);
	childhurd_event(c, EVENT_STIRRED, NULL);
	g_assert_false(free_for_builds(bed->machine, 0));
	childhurd_event(c, EVENT_PROBE_OK, NULL);
	g_assert_cmpint(c->state, ==, STATE_READY);
}

static void
test_strict(void)
{
	struct bed bed;
	begin(&bed, STATE_READY, 1, 1);
	const struct childhurd *c = bed.world.c;
	g_autofree char *path = g_build_filename(bed.machine, "0", NULL);
	struct anvil *anvil = anvil_new();
	pid_t build = build_start(bed.machine, &slot_0, 1);
	pid_t pid = hammer_start(path, anvil, 0);
	log_in(&bed);
	run_until(&bed, bed.world.use.used);
	wait_for_blows(anvil, -1, BLOWS, 0);
	g_assert_cmpint(world_builds(bed.world.c), ==, 1);
	g_assert_cmpint(c->state, ==, STATE_READY); /* and it is listed */
	build_end(build);
	wait_for_blows(anvil, -1, BLOWS, 0);
	run_until(&bed, c->state != STATE_READY);
	wait_for_blows(anvil, -1, BLOWS, 0);
	be_pristine(&bed);
	wait_for_build(anvil, 1);
	build_end(pid);
	anvil_free(anvil);
	end(&bed);
}

static void
test_chosen_not(void)
{
	struct bed bed;
	begin(&bed, STATE_READY, 1, 1);
	for (int i = 0; i < 2; i++) {
		pid_t build = build_start(bed.machine, &slot_0, 1);
		run_until(&bed, bed.world.use.slots);
		build_end(build);
		run_until(&bed, !bed.world.use.slots);
		g_assert_true(free_for_builds(bed.machine, 0));
	}
	g_assert_cmpint(bed.world.c->state, ==, STATE_READY);
	g_assert_cmpint(bed.world.c->served, ==, 0);
	end(&bed);
}

static void
test_several(void)
{
	struct bed bed;
	begin(&bed, STATE_READY, 2, 3);
	const struct childhurd *c = bed.world.c;
	log_in(&bed);
	pid_t one = build_start(bed.machine, &slot_0, 1);
	run_until(&bed, bed.world.use.slots == 1);
	g_assert_true(free_for_builds(bed.machine, 1));
	pid_t two = build_start(bed.machine, &slot_1, 1);
	run_until(&bed, bed.world.use.slots == 3);
	g_assert_false(free_for_builds(bed.machine, 2)); /* two have begun */
	build_end(one);
	run_until(&bed, c->served == 1);
	look(&bed, 2);
	g_assert_cmpint(c->state, ==, STATE_READY);
	g_assert_false(free_for_builds(bed.machine, 0));
	build_end(two);
	run_until(&bed, c->state != STATE_READY);
	be_pristine(&bed);
	look(&bed, 1);
	for (int slot = 0; slot < 3; slot++)
		g_assert_true(free_for_builds(bed.machine, slot));
	end(&bed);
}

static void
test_next_daemon(void)
{
	struct bed bed;
	gboolean visible;
	begin(&bed, STATE_UNRESPONSIVE, 1, 1);
	const struct childhurd *c = bed.world.c;
	pid_t build = build_start(bed.machine, &slot_0, 1);
	pid_t earlier = fork();
	if (earlier == 0) {
		struct slots *slots =
		    slots_new(bed.config.guix_state_directory, HOST, bed.guest.ssh_port);
		slots_guard(slots, &visible);
		kill(getpid(), SIGKILL);
	}
	g_assert_cmpint(waitpid(earlier, NULL, 0), ==, earlier);
	g_assert_cmpint(world_builds(bed.world.c), ==, 1);
	run_until(&bed, bed.world.use.slots);
	g_assert_false(free_for_builds(bed.machine, 0));
	build_end(build); /* its session was over */
	run_until(&bed, c->served == 1);
	look(&bed, 2);
	g_assert_cmpint(c->state, ==, STATE_UNRESPONSIVE);
	g_assert_false(free_for_builds(bed.machine, 0)); /* as long as it does not answer */
	childhurd_event(bed.world.c, EVENT_PROBE_OK, NULL);
	be_pristine(&bed);
	end(&bed);
}

static void
test_not_any_more(void)
{
	struct bed bed;
	begin(&bed, STATE_READY, 1, 1);
	pid_t build = build_start(bed.machine, &slot_0, 1);
	run_until(&bed, bed.world.use.slots);
	bed.guest.recycle_after = 0;
	world_mind_use(&bed.world);
	g_assert_null(bed.world.slots);
	g_assert_cmpint(world_builds(bed.world.c), ==, 1);
	g_assert_false(free_for_builds(bed.machine, 0));
	build_end(build);
	g_assert_true(free_for_builds(bed.machine, 0));
	end(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/recycle/no-build-comes-between-the-last-and-pristine", test_strict);
	g_test_add_func("/recycle/who-chooses-another-machine-costs-nothing", test_chosen_not);
	g_test_add_func("/recycle/no-more-builds-begin-than-may", test_several);
	g_test_add_func("/recycle/the-next-daemon-goes-on", test_next_daemon);
	g_test_add_func("/recycle/without-it-slots-are-as-before", test_not_any_more);
	return g_test_run();
}
