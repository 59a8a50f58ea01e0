/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/qemu/ports.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ssh/wire.h"

/* A socket that listens at a port that the system chooses; *name is its address. */
static int
listen_anywhere(struct sockaddr_in *name)
{
	socklen_t length = sizeof *name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*name =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	g_assert_cmpint(bind(fd, (struct sockaddr *)name, length), ==, 0);
	g_assert_cmpint(listen(fd, 2), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)name, &length), ==, 0);
	return fd;
}

static void
test_taken(void)
{
	struct sockaddr_in name;
	g_autoptr(GError) error = NULL;
	int fd = listen_anywhere(&name);
	int port = ntohs(name.sin_port);

	g_assert_false(port_is_free("127.0.0.1", port, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
	g_autofree char *who = g_strdup_printf("process %d ", (int)getpid());
	g_assert_nonnull(strstr(error->message, who));
	g_clear_error(&error);
	g_assert_false(port_is_free("0.0.0.0", port, NULL));

	close(fd);
	g_assert_true(port_is_free("127.0.0.1", port, &error));
	g_assert_no_error(error);
}

/* Another process may have the port at another address. */
static void
test_addresses(void)
{
	struct sockaddr_in name;
	int fd = listen_anywhere(&name), ready[2];
	int port = ntohs(name.sin_port);
	char byte = 0;
	close(fd);
	g_assert_cmpint(pipe(ready), ==, 0);
	pid_t pid = fork();
	if (pid == 0) {
		name.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
		int its = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(its, (struct sockaddr *)&name, sizeof name) < 0 || listen(its, 2) < 0 ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
	}
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	close(ready[0]);
	close(ready[1]);
	g_assert_true(port_is_free("127.0.0.1", port, NULL));
	g_assert_cmpint(port_owner("127.0.0.1", port), ==, 0);
	g_assert_cmpint(port_owner("127.0.0.2", port), ==, pid);
	g_assert_cmpint(port_owner("0.0.0.0", port), ==, pid);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(listen(fd, 2), ==, 0);
	g_assert_cmpint(port_owner("127.0.0.1", port), ==, getpid());
	g_assert_cmpint(port_owner("127.0.0.2", port), ==, pid);
	close(fd);
	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* A server for IPv6 that also takes connections of IPv4, as most do. */
static void
test_taken_in_ipv6(void)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
	socklen_t length = sizeof name;
	g_autoptr(GError) error = NULL;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), no = 0;
	if (fd < 0) {
		g_test_skip("this host has no IPv6");
		return;
	}
	g_assert_cmpint(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no), ==, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, length), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
	g_assert_false(port_is_free("127.0.0.1", ntohs(name.sin6_port), &error));
	g_autofree char *who = g_strdup_printf("process %d ", (int)getpid());
	g_assert_nonnull(strstr(error->message, who));
	close(fd);
}

/* The port of one end of a connection, which the system keeps for a while. */
static void
test_connection(void)
{
	struct sockaddr_in name, ours;
	socklen_t length = sizeof ours;
	g_autoptr(GError) error = NULL;
	int listener = listen_anywhere(&name);

	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(client, (struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(getsockname(client, (struct sockaddr *)&ours, &length), ==, 0);
	g_assert_false(port_is_free("127.0.0.1", ntohs(ours.sin_port), &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
	g_assert_nonnull(strstr(error->message, "a connection of this host"));
	g_clear_error(&error);
	close(client);

	int problem = 0;
	client = wire_connect("127.0.0.1", ntohs(name.sin_port), &problem);
	g_assert_cmpint(client, >=, 0);
	g_assert_cmpint(getsockname(client, (struct sockaddr *)&ours, &length), ==, 0);
	g_assert_true(port_is_free("127.0.0.1", ntohs(ours.sin_port), &error));
	g_assert_no_error(error);
	close(client);
	g_assert_true(port_is_free("127.0.0.1", ntohs(ours.sin_port), &error));
	close(listener);
}

static void
test_peer(void)
{
	struct sockaddr_in name;
	int listener = listen_anywhere(&name);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(connect(client, (struct sockaddr *)&name, sizeof name), ==, 0);
	int server = accept(listener, NULL, NULL);
	g_assert_cmpint(server, >=, 0);

	g_assert_true(port_peer_is(client, getpid()));
	pid_t other = fork();
	if (other == 0) {
		close(server);
		close(client);
		pause();
		_exit(0);
	}
	close(listener);
	g_autofree char *files = g_strdup_printf("/proc/%d/fd", (int)other);
	g_autofree char *place = g_strdup_printf("%s/%d", files, server);
	while (access(place, F_OK) == 0) /* until it has closed its copies */
		;
	g_assert_false(port_peer_is(client, other));
	g_assert_false(port_peer_is(client, 0));
	kill(other, SIGKILL);
	g_assert_cmpint(waitpid(other, NULL, 0), ==, other);
	g_assert_false(port_peer_is(client, other));
	close(client);
	close(server);
}

static void
test_bad_address(void)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(
	    port_is_free("192.0.2.1", 4000, &error)); /* RFC 5737: an address that no host has */
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
	g_assert_nonnull(strstr(error->message, "listen-address 192.0.2.1: no interface"));
	g_assert_false(port_is_free("localhost", 4000, NULL));
}

/* Root could bind it, but QEMU is not root. */
static void
test_low_port(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *start = NULL;
	if (!g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start", &start, NULL,
				 NULL) ||
	    g_ascii_strtoll(start, NULL, 10) <= 7) {
		g_test_skip("this host has no ports for root alone");
		return;
	}
	g_assert_false(port_is_free("127.0.0.1", 7, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
	g_assert_nonnull(strstr(error->message, "port 7 on 127.0.0.1: ports below "));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ports/a-taken-port-names-who-has-it", test_taken);
	g_test_add_func("/ports/who-has-a-port-has-it-at-an-address", test_addresses);
	g_test_add_func("/ports/a-server-for-both-protocols-is-named", test_taken_in_ipv6);
	g_test_add_func("/ports/connections-have-ports-and-ours-leave-them-free", test_connection);
	g_test_add_func("/ports/the-other-end-of-a-connection-is-known", test_peer);
	g_test_add_func("/ports/an-address-that-is-not-ours-is-an-error", test_bad_address);
	g_test_add_func("/ports/a-port-for-root-alone-is-an-error", test_low_port);
	return g_test_run();
}
