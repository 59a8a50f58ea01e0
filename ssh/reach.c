/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Waits for a guest's network, on a port where nothing listens; the header explains why.
 *
 * SLIRP (QEMU's net/slirp, tcp_input.c: a RST to a connection attempt) closes the host's socket
 * when the guest refuses. So the sign of life is an end of file or a reset on an established
 * connection. A connection that was never established only means that QEMU does not forward the
 * port (yet).
 */
#include "ssh/reach.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/wire.h"

struct attempt {
	ev_io io;
	struct reach *reach;
	int fd; /* -1: free */
	gboolean established;
};

struct reach {
	struct ev_loop *loop;
	char *address;
	int port;
	reach_fn done;
	void *data;
	ev_timer next;
	struct attempt attempts[REACH_IN_FLIGHT]; /* a ring: turn is the oldest */
	unsigned int turn;
};

static void
attempt_end(struct attempt *attempt)
{
	if (attempt->fd == -1)
		return;
	ev_io_stop(attempt->reach->loop, &attempt->io);
	close(attempt->fd);
	attempt->fd = -1;
}

static void
reach_stop(struct reach *reach)
{
	ev_timer_stop(reach->loop, &reach->next);
	for (gsize i = 0; i < G_N_ELEMENTS(reach->attempts); i++)
		attempt_end(&reach->attempts[i]);
}

static void
attempt_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct attempt *attempt = watcher->data;
	struct reach *reach = attempt->reach;
	char byte;

	(void)events;
	if (!attempt->established) {
		if (wire_error(attempt->fd) != 0) {
			attempt_end(attempt);
			return;
		}
		attempt->established = TRUE;
		ev_io_stop(loop, watcher);
		ev_io_set(watcher, attempt->fd, EV_READ);
		ev_io_start(loop, watcher);
	}
	if (recv(attempt->fd, &byte, 1, MSG_DONTWAIT) == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	reach_stop(reach);
	reach->done(reach, reach->data);
}

static void
reach_try(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct reach *reach = timer->data;
	struct attempt *attempt = &reach->attempts[reach->turn];
	int problem;

	(void)events;
	reach->turn = (reach->turn + 1) % G_N_ELEMENTS(reach->attempts);
	attempt_end(attempt);
	attempt->fd = wire_connect(reach->address, reach->port, &problem);
	if (attempt->fd == -1)
		return;
	attempt->established = FALSE;
	ev_io_init(&attempt->io, attempt_event, attempt->fd, EV_WRITE);
	attempt->io.data = attempt;
	ev_io_start(loop, &attempt->io);
}

struct reach *
reach_new(struct ev_loop *loop, const char *address, int port, reach_fn done, void *data)
{
	struct reach *reach = g_new0(struct reach, 1);

	reach->loop = loop;
	reach->address = g_strdup(address);
	reach->port = port;
	reach->done = done;
	reach->data = data;
	for (gsize i = 0; i < G_N_ELEMENTS(reach->attempts); i++) {
		reach->attempts[i].reach = reach;
		reach->attempts[i].fd = -1;
	}
	ev_timer_init(&reach->next, reach_try, 0., REACH_INTERVAL / 1000.);
	reach->next.data = reach;
	ev_timer_start(loop, &reach->next);
	return reach;
}

void
reach_free(struct reach *reach)
{
	if (!reach)
		return;
	reach_stop(reach);
	g_free(reach->address);
	g_free(reach);
}
