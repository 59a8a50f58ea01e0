/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections as the kernel knows them, and bytes as a message shows them. */
#include "ssh/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listener at that loopback address; its port. */
static int
listen_at(const char *address, int *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} where = {0};
	socklen_t size = sizeof where;
	gboolean six = inet_pton(AF_INET6, address, &where.in6.sin6_addr) == 1;
	where.any.sa_family = six ? AF_INET6 : AF_INET;
	if (!six)
		g_assert_cmpint(inet_pton(AF_INET, address, &where.in.sin_addr), ==, 1);
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, &where.any, sizeof where) < 0 || listen(fd, 1) < 0)
		return -1;
	g_assert_cmpint(getsockname(fd, &where.any, &size), ==, 0);
	*port = ntohs(six ? where.in6.sin6_port : where.in.sin_port);
	return fd;
}

static void
test_connection(const void *data)
{
	const char *address = data;
	int port = 0, problem = 0, listener = listen_at(address, &port);
	if (listener < 0) {
		g_test_skip("this host has no such address");
		return;
	}
	int fd = wire_connect(address, port, &problem);
	g_assert_cmpint(fd, >=, 0);
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	g_assert_cmpint(poll(&wait, 1, 10000), ==, 1);
	g_assert_cmpint(wire_error(fd), ==, 0);
	g_assert_cmpint(wire_port(listener), ==, port);
	g_assert_cmpint(wire_port(fd), >, 0);
	g_assert_cmpint(wire_port(fd), !=, port);
	g_assert_cmpuint(wire_round_trip(fd), >, 0);
	close(fd);
	close(listener);
}

static void
test_none(void)
{
	int ends[2];
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
	g_assert_cmpint(wire_port(ends[0]), ==, 0);
	g_assert_cmpuint(wire_round_trip(ends[0]), ==, 0);
	close(ends[0]);
	close(ends[1]);
	g_assert_cmpint(wire_port(-1), ==, 0);
	g_assert_cmpint(wire_error(-1), ==, EBADF);
}

static void
test_not_possible(void)
{
	const struct {
		const char *address;
		int port, problem;
	} cases[] = {
	    {"a name", 22, EINVAL}, {"127.0.0.1", 0, EINVAL}, {"127.0.0.1", 65536, EINVAL}};
	int problem = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(wire_connect(cases[i].address, cases[i].port, &problem), ==, -1);
		g_assert_cmpint(problem, ==, cases[i].problem);
	}
	problem = 0;
	g_assert_cmpint(wire_connect("255.255.255.255", 22, &problem), ==, -1); /* everybody */
	g_assert_cmpint(problem, !=, 0);
}

static void
test_excerpt(void)
{
	g_autofree char *text = wire_excerpt("a\"b\\c\n\xff", 7);
	g_assert_cmpstr(text, ==, "\"a\\\"b\\\\c\\x0a\\xff\"");
	g_autofree char *bytes = g_strnfill(WIRE_EXCERPT_MAX + 1, 'x');
	g_autofree char *cut = wire_excerpt(bytes, WIRE_EXCERPT_MAX + 1);
	g_assert_true(g_str_has_suffix(cut, "x...\""));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/wire/a-connection-has-a-port-of-its-own", "127.0.0.1",
			     test_connection);
	g_test_add_data_func("/wire/with-ipv6-too", "::1", test_connection);
	g_test_add_func("/wire/what-is-no-connection-has-none", test_none);
	g_test_add_func("/wire/what-cannot-be-connected-says-why", test_not_possible);
	g_test_add_func("/wire/bytes-are-shown-as-text", test_excerpt);
	return g_test_run();
}
