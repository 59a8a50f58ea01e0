/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections to a port, in the kernel's table and in a made-up one. */
#include "childhurdd/world/callers.h"
#include "childhurdd/system/tcp_table.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int
port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof address;

	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
	return ntohs(address.sin_port);
}

static void
expect(int port, const int *own, gsize n, int here)
{
	struct callers callers;

	g_assert_true(callers_count(TCP_TABLE, port, own, n, &callers));
	g_assert_cmpint(callers.here, ==, here);
	g_assert_cmpint(callers.elsewhere, ==, 0);
}

static void
connections_of_others_are_counted(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[3];

	g_assert_cmpint(bind(server, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(server, 8), ==, 0);
	int port = port_of(server);
	address.sin_port = htons((guint16)port);
	expect(port, NULL, 0, 0); /* a listening socket is no caller */
	for (int i = 0; i < 3; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		g_assert_cmpint(connect(clients[i], (struct sockaddr *)&address, sizeof address),
				==, 0);
	}
	int own = port_of(clients[1]);
	expect(port, NULL, 0, 3);
	expect(port, &own, 1, 2);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	expect(port, NULL, 0, 0); /* a half-closed connection is no session */
	close(server);
}

static void
others_come_from_elsewhere(void)
{
	const guint32 we = inet_addr("192.0.2.1"), they = inet_addr("198.51.100.7");
	const guint32 loop = htonl(INADDR_LOOPBACK);
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "callers-XXXXXX", NULL);
	g_autoptr(GString) table = g_string_new("  sl  local_address rem_address   st tx_queue\n");
	struct callers callers;
	const struct {
		guint32 local, remote;
		int port, state;
	} rows[] = {
	    {INADDR_ANY, INADDR_ANY, 10022, 10}, /* listens */
	    {we, they, 10022, 1},		 /* counts */
	    {we, they, 10022, 6},		 /* time-wait */
	    {we, we, 10022, 1},			 /* from here */
	    {loop, loop, 10022, 1},		 /* from here */
	    {we, they, 11022, 1},		 /* another guest's */
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
		g_string_append_printf(table, "%4zu: %08X:%04X %08X:9C40 %02X 00000000:00000000\n",
				       i, rows[i].local, (unsigned)rows[i].port, rows[i].remote,
				       (unsigned)rows[i].state);
	close(g_mkstemp(path));
	g_assert_true(g_file_set_contents(path, table->str, -1, NULL));
	g_assert_true(callers_count(path, 10022, NULL, 0, &callers));
	g_assert_cmpint(callers.elsewhere, ==, 1);
	g_assert_cmpint(callers.here, ==, 2);
	g_unlink(path);
	g_assert_false(callers_count(path, 10022, NULL, 0, &callers));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/callers/connections-of-others-are-counted",
			connections_of_others_are_counted);
	g_test_add_func("/callers/others-come-from-elsewhere", others_come_from_elsewhere);
	return g_test_run();
}
