/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The port of an asleep guest, and who waits there, on the loopback. A thread is the guest. */
#include "childhurdd/world/door.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/system/relay.h"

#define ADDRESS	 "127.0.0.1"
#define GREETING "SSH-2.0-caller\r\n"
#define LOAD	 (3 * 1024 * 1024) /* bytes, more than all buffers on the way hold */
#define PATIENCE 60.0		   /* s */

struct bed {
	struct ev_loop *loop;
	struct door *door;
	int port;
	guint came;
	ev_timer patience;
};

static int
bound(int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((in_port_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), ==, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	return fd;
}

static int
free_port(void)
{
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	int fd = bound(0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
	close(fd);
	return ntohs(name.sin_port);
}

static int
call(const struct bed *bed)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((in_port_t)bed->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
on_came(void *data)
{
	struct bed *bed = data;
	bed->came++;
}

static void
on_patience(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	g_error("nothing happened for %g s", PATIENCE);
}

static void
begin(struct bed *bed)
{
	g_autoptr(GError) error = NULL;
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO), .port = free_port()};
	bed->door = door_new(bed->loop, on_came, bed);
	ev_timer_init(&bed->patience, on_patience, PATIENCE, 0);
	ev_timer_start(bed->loop, &bed->patience);
	door_open(bed->door, ADDRESS, bed->port, &error);
	g_assert_no_error(error);
}

static void
end(struct bed *bed)
{
	ev_timer_stop(bed->loop, &bed->patience);
	door_free(bed->door);
	ev_loop_destroy(bed->loop);
}

static void
wait_for_callers(struct bed *bed, guint n)
{
	while (bed->came < n)
		ev_run(bed->loop, EVRUN_ONCE);
}

static gsize
read_all(int fd)
{
	char buffer[65536];
	gsize sum = 0;
	for (gssize n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;)
		sum += (gsize)n;
	return sum;
}

static void
write_load(int fd)
{
	static const char zeros[LOAD];
	for (gsize sent = 0; sent < LOAD;) {
		gssize n = send(fd, zeros + sent, LOAD - sent, MSG_NOSIGNAL);
		g_assert_cmpint(n, >, 0);
		sent += (gsize)n;
	}
}

/* It says something only after its caller has said all. */
static void *
be_guest(void *data)
{
	int fd = accept(GPOINTER_TO_INT(data), NULL, NULL);
	gsize got = read_all(fd);
	write_load(fd);
	close(fd);
	return GSIZE_TO_POINTER(got);
}

static void
test_passed_on(void)
{
	struct bed bed;
	begin(&bed);
	int caller = call(&bed);
	g_assert_cmpint(caller, >=, 0);
	g_assert_cmpint(send(caller, GREETING, strlen(GREETING), 0), ==, strlen(GREETING));
	wait_for_callers(&bed, 1);
	g_assert_cmpuint(door_callers(bed.door), ==, 1);

	door_close(bed.door); /* the guest takes the port at once */
	int port = bound(bed.port);
	g_assert_cmpint(listen(port, 1), ==, 0);
	GThread *guest = g_thread_new("guest", be_guest, GINT_TO_POINTER(port));
	g_assert_cmpuint(door_callers(bed.door), ==, 1);
	g_assert_cmpuint(door_pass_on(bed.door, NULL), ==, 1);
	g_assert_cmpuint(door_callers(bed.door), ==, 0);
	end(&bed); /* the daemon is not needed for it any more */

	write_load(caller);
	g_assert_cmpint(shutdown(caller, SHUT_WR), ==, 0);
	g_assert_cmpuint(read_all(caller), ==, LOAD);
	g_assert_cmpuint(GPOINTER_TO_SIZE(g_thread_join(guest)), ==, LOAD + strlen(GREETING));
	close(caller);
	close(port);
	int status;
	g_assert_cmpint(wait(&status), >, 0);
	g_assert_cmpint(status, ==, 0);
}

static void
test_refused(void)
{
	struct bed bed;
	begin(&bed);
	int caller = call(&bed);
	wait_for_callers(&bed, 1);
	door_turn_away(bed.door);
	g_assert_cmpuint(read_all(caller), ==, 0);
	close(caller);
	door_close(bed.door);
	g_assert_cmpint(call(&bed), ==, -1);
	end(&bed);
}

static void
test_hung_up(void)
{
	struct bed bed;
	begin(&bed);
	int caller = call(&bed), other = call(&bed);
	g_assert_cmpint(send(caller, GREETING, strlen(GREETING), 0), ==, strlen(GREETING));
	wait_for_callers(&bed, 2);
	close(caller); /* without having read an answer; what it sent is still there */
	g_assert_cmpuint(door_callers(bed.door), ==, 1);
	close(other);
	g_assert_cmpuint(door_pass_on(bed.door, NULL), ==, 0);
	end(&bed);
}

static void
test_crowd(void)
{
	struct bed bed;
	int callers[DOOR_CALLERS_MAX], one_more;
	begin(&bed);
	for (guint i = 0; i < DOOR_CALLERS_MAX; i++) {
		callers[i] = call(&bed);
		wait_for_callers(&bed, i + 1);
	}
	one_more = call(&bed);
	g_assert_cmpint(one_more, >=, 0);
	ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(read_all(one_more), ==, 0);
	g_assert_cmpuint(door_callers(bed.door), ==, DOOR_CALLERS_MAX);
	for (guint i = 0; i < DOOR_CALLERS_MAX; i++)
		close(callers[i]);
	close(one_more);
	end(&bed);
}

static void
test_without_descriptors(void)
{
	struct bed bed;
	struct rlimit before, none;
	begin(&bed);
	int caller = call(&bed), lowest = dup(caller);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	close(lowest);
	none = before;
	none.rlim_cur = (rlim_t)lowest;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	ev_run(bed.loop, EVRUN_ONCE);
	g_assert_cmpuint(bed.came, ==, 0);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	unsigned turns = ev_iteration(bed.loop);
	wait_for_callers(&bed, 1);
	g_assert_cmpuint(ev_iteration(bed.loop) - turns, <=, 3); /* it is not asked all the time */
	close(caller);
	end(&bed);
}

static void
test_taken(void)
{
	struct bed bed;
	g_autoptr(GError) error = NULL;
	begin(&bed);
	struct door *other = door_new(bed.loop, on_came, &bed);
	g_assert_false(door_open(other, ADDRESS, bed.port, &error));
	g_assert_nonnull(strstr(error->message, "cannot listen at " ADDRESS));
	door_free(other);
	end(&bed);
}

int
main(int argc, char **argv)
{
	if (relay_wanted(argc, argv))
		return relay_main(argv);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/door/who-waits-is-passed-on-byte-for-byte", test_passed_on);
	g_test_add_func("/door/who-is-turned-away-is-refused", test_refused);
	g_test_add_func("/door/who-has-hung-up-does-not-wait", test_hung_up);
	g_test_add_func("/door/a-crowd-does-not-take-all-descriptors", test_crowd);
	g_test_add_func("/door/without-descriptors-a-caller-waits", test_without_descriptors);
	g_test_add_func("/door/a-port-that-is-taken-is-an-error", test_taken);
	return g_test_run();
}
