/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A relay between a client and a guest, both of them on the loopback and in the test. */
#include "childhurdd/system/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDRESS	 "127.0.0.1"
#define LOAD	 (5 * 1024 * 1024) /* bytes, more than all buffers on the way hold */
#define PATIENCE 60		   /* s */

struct bed {
	int client, daemon; /* both ends of the client's connection */
	int port, guest;    /* the guest's, which listens; -1: nobody does */
	pid_t relay;
};

static int
listen_at(int *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
	*port = ntohs(name.sin_port);
	return fd;
}

static int
connect_to(int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((in_port_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	return fd;
}

static void
begin(struct bed *bed)
{
	int port, door = listen_at(&port);
	bed->client = connect_to(port);
	bed->daemon = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(door);
	bed->guest = listen_at(&bed->port);
}

/* The last child of this process that is a relay. */
static pid_t
find_relay(void)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)getpid());
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_auto(GStrv) pids = g_strsplit(g_strstrip(text), " ", -1);
	return (pid_t)g_ascii_strtoll(pids[g_strv_length(pids) - 1], NULL, 10);
}

static void
start(struct bed *bed)
{
	g_autoptr(GError) error = NULL;
	relay_start(bed->daemon, ADDRESS, bed->port, NULL, &error);
	g_assert_no_error(error);
	close(bed->daemon);
	bed->relay = find_relay();
}

/* The guest's end of the relay's connection. */
static int
answer(const struct bed *bed)
{
	int fd = accept4(bed->guest, NULL, NULL, SOCK_CLOEXEC);
	close(bed->guest);
	return fd;
}

static void
expect_end(pid_t relay, int expected)
{
	int status;
	g_assert_cmpint(waitpid(relay, &status, 0), ==, relay);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, expected);
}

static guint8
byte_at(gsize i, guint8 seed)
{
	return (guint8)(i * 31 + i / 251 + seed);
}

static void
say(int fd, gsize length, guint8 seed)
{
	g_autofree guint8 *bytes = g_malloc(length);
	for (gsize i = 0; i < length; i++)
		bytes[i] = byte_at(i, seed);
	for (gsize sent = 0; sent < length;) {
		gssize n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
		g_assert_cmpint(n, >, 0);
		sent += (gsize)n;
	}
}

static void
hear(int fd, gsize length, guint8 seed)
{
	guint8 buffer[65536];
	for (gsize got = 0; got < length;) {
		gssize n = recv(fd, buffer, MIN(sizeof buffer, length - got), 0);
		g_assert_cmpint(n, >, 0);
		for (gssize i = 0; i < n; i++)
			g_assert_cmpint(buffer[i], ==, byte_at(got + (gsize)i, seed));
		got += (gsize)n;
	}
}

static void
expect_close(int fd)
{
	char byte;
	g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
}

static void *
be_guest(void *data)
{
	int fd = GPOINTER_TO_INT(data);
	say(fd, LOAD, 2); /* before it listens */
	hear(fd, LOAD, 1);
	return NULL;
}

static void *
be_reader(void *data)
{
	hear(GPOINTER_TO_INT(data), LOAD, 2);
	return NULL;
}

static void
test_both_ways(void)
{
	struct bed bed;
	begin(&bed);
	start(&bed);
	int guest = answer(&bed);
	GThread *speaker = g_thread_new("guest", be_guest, GINT_TO_POINTER(guest));
	GThread *reader = g_thread_new("client", be_reader, GINT_TO_POINTER(bed.client));
	say(bed.client, LOAD, 1);
	g_thread_join(reader);
	g_thread_join(speaker);
	close(bed.client);
	expect_close(guest);
	close(guest);
	expect_end(bed.relay, EXIT_SUCCESS);
}

static void
test_half_closed(void)
{
	for (int i = 0; i < 2; i++) {
		struct bed bed;
		begin(&bed);
		start(&bed);
		int guest = answer(&bed), first = i ? guest : bed.client,
		    other = i ? bed.client : guest;
		say(first, 1000, 1);
		g_assert_cmpint(shutdown(first, SHUT_WR), ==, 0);
		hear(other, 1000, 1);
		expect_close(other);
		for (guint8 n = 0; n < 3; n++) { /* the other has much to say still */
			say(other, 100000, n);
			hear(first, 100000, n);
		}
		g_assert_cmpint(waitpid(bed.relay, NULL, WNOHANG), ==, 0);
		close(other);
		expect_close(first);
		close(first);
		expect_end(bed.relay, EXIT_SUCCESS);
	}
}

/* A client that vanishes in the middle: the guest must not wait for it. */
static void
test_reset(void)
{
	const struct linger at_once = {.l_onoff = 1};
	struct bed bed;
	begin(&bed);
	start(&bed);
	int guest = answer(&bed);
	say(bed.client, 1000, 1);
	hear(guest, 1000, 1);
	setsockopt(bed.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(bed.client);
	expect_close(guest);
	expect_end(bed.relay, EXIT_SUCCESS);
	close(guest);
}

static void
test_refused(void)
{
	struct bed bed;
	begin(&bed);
	close(bed.guest);
	start(&bed);
	expect_close(bed.client);
	expect_end(bed.relay, EXIT_FAILURE);
	close(bed.client);
}

static void
test_outlives(void)
{
	struct bed bed;
	int report[2];
	pid_t relay;
	begin(&bed);
	g_assert_cmpint(pipe2(report, O_CLOEXEC), ==, 0);
	g_assert_cmpint(prctl(PR_SET_CHILD_SUBREAPER, 1), ==, 0);
	pid_t parent = fork();
	if (parent == 0) {
		start(&bed);
		if (write(report[1], &bed.relay, sizeof bed.relay) != sizeof bed.relay)
			_exit(1);
		for (;;)
			pause();
	}
	close(bed.daemon);
	close(report[1]);
	g_assert_cmpint(read(report[0], &relay, sizeof relay), ==, sizeof relay);
	close(report[0]);
	int guest = answer(&bed);
	say(bed.client, 1000, 1);
	hear(guest, 1000, 1);
	kill(parent, SIGKILL);
	g_assert_cmpint(waitpid(parent, NULL, 0), ==, parent);
	for (guint8 n = 0; n < 3; n++) {
		say(bed.client, 100000, n);
		hear(guest, 100000, n);
		say(guest, 100000, n);
		hear(bed.client, 100000, n);
	}
	close(guest);
	expect_close(bed.client);
	close(bed.client);
	expect_end(relay, EXIT_SUCCESS);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static char *
proc_text(pid_t pid, const char *file)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, file);
	char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

static guint
descriptors_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	guint n = 0;
	g_assert_nonnull(folder);
	while (g_dir_read_name(folder))
		n++;
	return n;
}

static void
test_nothing_else(void)
{
	struct bed bed;
	begin(&bed);
	int lock = dup2(bed.client, 200); /* not close-on-exec, as a careless library's */
	signal(SIGTERM, SIG_IGN);
	start(&bed);
	signal(SIGTERM, SIG_DFL);
	int guest = answer(&bed);
	say(bed.client, 10, 1);
	hear(guest, 10, 1); /* it has begun to copy */
	g_assert_cmpuint(descriptors_of(bed.relay), ==,
			 4); /* with stdout, stderr, and the guest's */
	g_autofree char *name = proc_text(bed.relay, "comm");
	g_autofree char *words = proc_text(bed.relay, "cmdline");
	g_autofree char *environment = proc_text(bed.relay, "environ");
	g_assert_cmpstr(name, ==, "childhurd-relay\n");
	g_assert_cmpstr(words, ==, "childhurd-relay"); /* the first of them */
	g_assert_cmpstr(environment, ==, "");
	g_assert_cmpint(getsid(bed.relay), ==, bed.relay); /* no terminal ends it */
	close(lock);
	int status;
	g_assert_cmpint(kill(bed.relay, SIGTERM), ==, 0);
	g_assert_cmpint(waitpid(bed.relay, &status, 0), ==, bed.relay);
	g_assert_true(WIFSIGNALED(status));
	expect_close(guest);
	expect_close(bed.client);
	close(guest);
	close(bed.client);
}

int
main(int argc, char **argv)
{
	if (relay_wanted(argc, argv))
		return relay_main(argv);
	alarm(PATIENCE);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/relay/megabytes-go-both-ways-at-once", test_both_ways);
	g_test_add_func("/relay/each-end-closes-its-own-direction", test_half_closed);
	g_test_add_func("/relay/ends-when-one-end-is-gone", test_reset);
	g_test_add_func("/relay/ends-when-the-guest-refuses", test_refused);
	g_test_add_func("/relay/outlives-the-process-that-started-it", test_outlives);
	g_test_add_func("/relay/has-nothing-but-its-connections", test_nothing_else);
	return g_test_run();
}
