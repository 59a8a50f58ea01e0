/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a caller sends meanwhile stays unread in the kernel: the relay finds all of it. So a caller
 * that hangs up is known by its connection's state, and not by reading. One that only ends what it
 * has to say looks the same; in SSH both sides speak first.
 */
#include "childhurdd/world/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "childhurdd/system/relay.h"
#include "config/base/lack.h"

/* Listen again after so many s without a descriptor or memory for a caller. */
#define DOOR_RETRY 1.0

struct door {
	struct ev_loop *loop;
	void (*came)(void *data);
	void *data;
	char *address;
	int port;
	int fd; /* -1: closed */
	ev_io calls;
	ev_timer retry;
	GArray *callers; /* of int */
};

static void
on_retry(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct door *door = watcher->data;
	if (door->fd >= 0)
		ev_io_start(loop, &door->calls);
}

/* One at a time: came may close the door. */
static void
on_call(struct ev_loop *loop, ev_io *watcher, int revents)
{
	struct door *door = watcher->data;
	int caller = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (caller < 0 && errno != EAGAIN && lack_is(errno)) { /* it would be asked over and over */
		ev_io_stop(loop, watcher);
		ev_timer_set(&door->retry, DOOR_RETRY, 0);
		ev_timer_start(loop, &door->retry);
	}
	if (caller < 0)
		return;
	if (door_callers(door) >= DOOR_CALLERS_MAX) {
		close(caller);
		return;
	}
	g_array_append_val(door->callers, caller);
	door->came(door->data);
}

struct door *
door_new(struct ev_loop *loop, void (*came)(void *data), void *data)
{
	struct door *door = g_new0(struct door, 1);
	door->loop = loop;
	door->came = came;
	door->data = data;
	door->fd = -1;
	door->callers = g_array_new(FALSE, FALSE, sizeof(int));
	ev_init(&door->calls, on_call);
	ev_timer_init(&door->retry, on_retry, DOOR_RETRY, 0);
	door->calls.data = door->retry.data = door;
	return door;
}

void
door_free(struct door *door)
{
	if (!door)
		return;
	door_close(door);
	door_turn_away(door);
	g_array_unref(door->callers);
	g_free(door->address);
	g_free(door);
}

gboolean
door_open(struct door *door, const char *address, int port, GError **error)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	int on = 1;
	door_close(door);
	g_free(door->address);
	door->address = g_strdup(address);
	door->port = port;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1 ||
	    /* connections of the last time may still be there, as they are when QEMU takes it */
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
	    listen(fd, DOOR_CALLERS_MAX) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot listen at %s:%d: %s", address, port, g_strerror(errno));
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	door->fd = fd;
	ev_io_set(&door->calls, fd, EV_READ);
	ev_io_start(door->loop, &door->calls);
	return TRUE;
}

void
door_close(struct door *door)
{
	ev_io_stop(door->loop, &door->calls);
	ev_timer_stop(door->loop, &door->retry);
	if (door->fd >= 0)
		close(door->fd);
	door->fd = -1;
}

static gboolean
has_hung_up(int caller)
{
	struct tcp_info info;
	socklen_t length = sizeof info;
	return getsockopt(caller, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	       info.tcpi_state != TCP_ESTABLISHED;
}

guint
door_callers(struct door *door)
{
	for (guint i = door->callers->len; i-- > 0;) {
		int caller = g_array_index(door->callers, int, i);
		if (!has_hung_up(caller))
			continue;
		close(caller);
		g_array_remove_index(door->callers, i);
	}
	return door->callers->len;
}

guint
door_pass_on(struct door *door, const struct identity *identity)
{
	guint passed = 0, callers = door_callers(door);
	for (guint i = 0; i < callers; i++) {
		g_autoptr(GError) error = NULL;
		if (relay_start(g_array_index(door->callers, int, i), door->address, door->port,
				identity, &error))
			passed++;
		else
			g_warning("%s:%d: %s", door->address, door->port, error->message);
	}
	door_turn_away(door); /* our copies */
	return passed;
}

void
door_turn_away(struct door *door)
{
	for (guint i = 0; i < door->callers->len; i++)
		close(g_array_index(door->callers, int, i));
	g_array_set_size(door->callers, 0);
}
