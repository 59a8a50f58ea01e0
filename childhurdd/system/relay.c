/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connection is the process' stdin, and it has no other descriptor and no rights of root's: it
 * copies what two strangers say to one another. Each end may close its direction on its own, as ssh
 * does. Keepalives end it when an end is gone without a word.
 */
#include "childhurdd/system/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "childhurdd/system/child.h"

#define NAME   "childhurd-relay" /* as ps shows it; the kernel keeps 15 letters */
#define OPTION "--relay"	 /* ADDRESS PORT */
#define BUFFER (64 * 1024)

/* --- starting it --- */

gboolean
relay_start(int client, const char *address, int port, const struct identity *identity,
	    GError **error)
{
	g_autofree char *number = g_strdup_printf("%d", port);
	const char *const argv[] = {NAME, OPTION, address, number, NULL};
	char *environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	child_attributes(&attributes);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, client, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	identity_become(identity);
	int result = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, (char *const *)argv,
				 environment);
	identity_return(identity);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (!result)
		return TRUE; /* the reaper waits for its end */
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(result),
		    "a connection cannot be passed on to the guest: %s", g_strerror(result));
	return FALSE;
}

/* --- the process --- */

gboolean
relay_wanted(int argc, char **argv)
{
	return argc == 4 && !strcmp(argv[1], OPTION);
}

/* One direction. */
struct way {
	int from, to;
	gboolean open; /* from may send more */
	gboolean shut; /* to was told that nothing more comes */
	size_t begin, end;
	char buffer[BUFFER];
};

/* FALSE: the connection is broken. */
static gboolean
way_move(struct way *way)
{
	ssize_t n = 0;
	if (way->open && way->begin == way->end) {
		n = recv(way->from, way->buffer, BUFFER, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		way->begin = 0;
		way->end = (size_t)n;
		way->open = n > 0;
	}
	while (way->begin < way->end) {
		n = send(way->to, way->buffer + way->begin, way->end - way->begin,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		way->begin += (size_t)n;
	}
	if (!way->open && !way->shut) {
		shutdown(way->to, SHUT_WR);
		way->shut = TRUE;
	}
	return TRUE;
}

/* What to wait for at an end that one way comes from and the other leads to. */
static short
wanted(const struct way *from, const struct way *to)
{
	short events = from->open && from->begin == from->end ? POLLIN : 0;
	return (short)(events | (to->begin < to->end ? POLLOUT : 0));
}

static void
relay(int client, int guest)
{
	static struct way ways[2];
	struct way *in = &ways[0], *out = &ways[1];
	in->from = out->to = client;
	in->to = out->from = guest;
	in->open = out->open = TRUE;
	while (!in->shut || !out->shut) {
		struct pollfd ends[] = {{client, wanted(in, out), 0}, {guest, wanted(out, in), 0}};
		for (int i = 0; i < 2; i++)
			if (!ends[i].events) /* or an error would wake it over and over */
				ends[i].fd = -1;
		if (poll(ends, 2, -1) < 0 && errno != EINTR)
			return;
		if (!way_move(in) || !way_move(out))
			return;
	}
}

static void
set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof value);
}

/* A guest's port on this host: QEMU or nobody answers, at once. */
static int
connect_to(const char *address, const char *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons((in_port_t)g_ascii_strtoull(port, NULL, 10))};
	struct timeval limit = {.tv_sec = RELAY_CONNECT / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return connect(fd, (struct sockaddr *)&name, sizeof name) < 0 ? -1 : fd;
}

static void
prepare(int fd)
{
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, RELAY_IDLE);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, RELAY_ASK);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, RELAY_TRIES);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int
relay_main(char **argv)
{
	prctl(PR_SET_NAME, NAME);
	int client = STDIN_FILENO, guest = connect_to(argv[2], argv[3]);
	if (guest < 0)
		return EXIT_FAILURE;
	prepare(client);
	prepare(guest);
	relay(client, guest);
	return EXIT_SUCCESS;
}
