/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test peers on the same event loop: a listening socket, and what to do with its client. */
#ifndef TESTS_UNIT_SSH_PEER_H
#define TESTS_UNIT_SSH_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
	struct ev_loop *loop;
	int listener, client, port;
	GArray *kept; /* earlier clients, never closed before the end */
	int accepted;
	ev_io accept_io, client_io;
	ev_timer timer;
	GByteArray *heard;
	gboolean heard_end;
	/* What to do: once after accept, and after each read. */
	void (*greet)(struct peer *peer);
	void (*listen)(struct peer *peer);
	const char *text; /* for greetings */
	gsize at;
	void *data;
};

static inline void
peer_say(struct peer *peer, const char *text, gsize length)
{
	g_assert_cmpint(send(peer->client, text, length, MSG_NOSIGNAL), ==, (gssize)length);
}

static inline void
peer_hang_up(struct peer *peer)
{
	ev_io_stop(peer->loop, &peer->client_io);
	ev_timer_stop(peer->loop, &peer->timer);
	if (peer->client != -1)
		close(peer->client);
	peer->client = -1;
}

static inline void
peer_reset(struct peer *peer)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(peer->client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	peer_hang_up(peer);
}

static inline void
peer_read(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *peer = io->data;
	guint8 bytes[65536];
	ssize_t count = recv(peer->client, bytes, sizeof bytes, MSG_DONTWAIT);

	(void)events;
	if (count > 0) {
		g_byte_array_append(peer->heard, bytes, (guint)count);
	} else if (count == 0 || errno != EAGAIN) {
		peer->heard_end = TRUE;
		ev_io_stop(loop, io);
	}
	if (peer->listen)
		peer->listen(peer);
}

static inline void
peer_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *peer = io->data;
	int client = accept4(peer->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (client == -1)
		return;
	if (peer->client != -1)
		g_array_append_val(peer->kept, peer->client);
	ev_io_stop(loop, &peer->client_io);
	peer->client = client;
	peer->accepted++;
	ev_io_init(&peer->client_io, peer_read, client, EV_READ);
	peer->client_io.data = peer;
	ev_io_start(loop, &peer->client_io);
	if (peer->greet)
		peer->greet(peer);
}

static inline int
peer_listener(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
	g_assert_cmpint(listen(fd, 16), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
	*port = ntohs(address.sin_port);
	return fd;
}

/* A port where nobody listens. */
static inline int
peer_free_port(void)
{
	int port;

	close(peer_listener(&port));
	return port;
}

static inline void
peer_open(struct peer *peer, struct ev_loop *loop)
{
	peer->loop = loop;
	peer->client = -1;
	peer->heard = g_byte_array_new();
	peer->kept = g_array_new(FALSE, FALSE, sizeof(int));
	peer->listener = peer_listener(&peer->port);
	ev_io_init(&peer->accept_io, peer_accept, peer->listener, EV_READ);
	peer->accept_io.data = peer;
	ev_io_start(loop, &peer->accept_io);
}

static inline void
peer_close(struct peer *peer)
{
	peer_hang_up(peer);
	ev_io_stop(peer->loop, &peer->accept_io);
	close(peer->listener);
	for (guint i = 0; i < peer->kept->len; i++)
		close(g_array_index(peer->kept, int, i));
	g_array_unref(peer->kept);
	g_byte_array_unref(peer->heard);
}

/* Greetings. */
static inline void
peer_greet_text(struct peer *peer)
{
	peer_say(peer, peer->text, strlen(peer->text));
}

static inline void
peer_greet_text_and_close(struct peer *peer)
{
	peer_greet_text(peer);
	peer_hang_up(peer);
}

static inline void
peer_drip(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct peer *peer = timer->data;

	(void)events;
	if (peer->text[peer->at])
		peer_say(peer, peer->text + peer->at++, 1);
	else
		ev_timer_stop(loop, timer);
}

/* One byte each 10 ms. */
static inline void
peer_greet_slowly(struct peer *peer)
{
	ev_timer_init(&peer->timer, peer_drip, 0., 0.01);
	peer->timer.data = peer;
	ev_timer_start(peer->loop, &peer->timer);
}

static inline void
deadline_passed(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	*(gboolean *)timer->data = TRUE;
}

/* Run the loop until *flag, at most so many seconds; the number of turns it took. */
static inline int
loop_until(struct ev_loop *loop, const gboolean *flag, double seconds)
{
	gboolean late = FALSE;
	ev_timer deadline;
	int turns = 0;

	ev_now_update(loop);
	ev_timer_init(&deadline, deadline_passed, seconds, 0.);
	deadline.data = &late;
	ev_timer_start(loop, &deadline);
	for (; !*flag && !late; turns++)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &deadline);
	return turns;
}

/* How many descriptors this process has open. */
static inline guint
descriptors(void)
{
	g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
	guint count = 0;

	while (g_dir_read_name(folder))
		count++;
	return count;
}

#endif
