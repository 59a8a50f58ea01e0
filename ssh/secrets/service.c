/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One attempt to deliver a guest's secrets, as a state machine on the event loop.
 *
 * Guix' receiver accepts one client, does not notice an early end within the files, and never
 * confirms them (gnu/build/secret-service.scm, secret-service-receive-secrets). So the only proof
 * of success is the order of events: the whole hello, every byte sent, our end of file, and only
 * then the guest's. A close with unread bytes becomes a reset that destroys data on its way, so
 * everything from the guest is read to its end.
 */
#include "ssh/secrets/service.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/wire.h"

#define HELLO_LENGTH (sizeof SECRET_SERVICE_HELLO - 1)

G_DEFINE_QUARK(secret - service - error - quark, secret_service_error)

enum delivery_state {
	DELIVERY_CONNECTING,
	DELIVERY_HELLO,
	DELIVERY_SENDING,
	DELIVERY_CLOSING, /* everything is sent, including our end of file */
	DELIVERY_OVER,
};

struct secret_delivery {
	struct ev_loop *loop;
	char *address;
	int port;
	GBytes *message;
	struct secret_service_limits limits;
	secret_hello_fn hello;
	secret_done_fn done;
	void *data;

	enum delivery_state state;
	int fd;
	ev_io io;
	ev_timer limit;
	char heard[HELLO_LENGTH]; /* for the message if it is not the hello */
	gsize heard_length;
	gsize blanks; /* after the hello */
	gsize sent;
	gboolean busy; /* within our callback: a free is postponed */
	gboolean freed;
};

static void
delivery_stop(struct secret_delivery *delivery)
{
	ev_timer_stop(delivery->loop, &delivery->limit);
	ev_io_stop(delivery->loop, &delivery->io);
	if (delivery->fd != -1)
		close(delivery->fd);
	delivery->fd = -1;
	delivery->state = DELIVERY_OVER;
}

static void
delivery_destroy(struct secret_delivery *delivery)
{
	g_bytes_unref(delivery->message);
	g_free(delivery->address);
	g_free(delivery);
}

/* End the delivery; takes ownership of the error (NULL: success). */
static void
delivery_finish(struct secret_delivery *delivery, GError *error)
{
	delivery_stop(delivery);
	if (error)
		g_prefix_error(&error, "secret service at %s:%d: ", delivery->address,
			       delivery->port);
	delivery->done(delivery, error, delivery->data);
	g_clear_error(&error);
}

static void delivery_fail(struct secret_delivery *delivery, enum secret_service_error code,
			  const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
delivery_fail(struct secret_delivery *delivery, enum secret_service_error code, const char *format,
	      ...)
{
	va_list arguments;

	va_start(arguments, format);
	GError *error = g_error_new_valist(SECRET_SERVICE_ERROR, (gint)code, format, arguments);
	va_end(arguments);
	delivery_finish(delivery, error);
}

static void
delivery_limit(struct secret_delivery *delivery, gint64 milliseconds)
{
	ev_timer_stop(delivery->loop, &delivery->limit);
	ev_timer_set(&delivery->limit, (double)MAX(milliseconds, 1) / 1000., 0.);
	ev_timer_start(delivery->loop, &delivery->limit);
}

static void
delivery_watch(struct secret_delivery *delivery, int events)
{
	ev_io_stop(delivery->loop, &delivery->io);
	ev_io_set(&delivery->io, delivery->fd, events);
	ev_io_start(delivery->loop, &delivery->io);
}

/* The guest closed (problem 0) or reset (errno) the connection. */
static void
delivery_closed(struct secret_delivery *delivery, int problem)
{
	const char *how = problem ? g_strerror(problem) : "the guest closed the connection";
	gsize size = g_bytes_get_size(delivery->message);
	int unacknowledged = 0;

	if (delivery->state <= DELIVERY_HELLO && delivery->heard_length == 0) {
		delivery_fail(delivery, SECRET_SERVICE_ERROR_ABSENT,
			      "%s before it said anything; it does not listen yet", how);
		return;
	}
	if (delivery->state == DELIVERY_HELLO) {
		g_autofree char *excerpt = wire_excerpt(delivery->heard, delivery->heard_length);

		delivery_fail(delivery, SECRET_SERVICE_ERROR_PROTOCOL,
			      "%s in the middle of its hello, after %s; nothing was sent", how,
			      excerpt);
		return;
	}
	if (delivery->state == DELIVERY_SENDING) {
		delivery_fail(delivery, SECRET_SERVICE_ERROR_BROKEN,
			      "%s after %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
			      " bytes; the guest may have half of its secrets",
			      how, delivery->sent, size);
		return;
	}
	/* One is our end of file; more are bytes that the guest did not read. */
	if (!problem && ioctl(delivery->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 1) {
		delivery_fail(delivery, SECRET_SERVICE_ERROR_BROKEN,
			      "the guest closed the connection and left %d of %" G_GSIZE_FORMAT
			      " bytes untaken",
			      unacknowledged - 1, size);
		return;
	}
	if (problem) {
		delivery_fail(delivery, SECRET_SERVICE_ERROR_BROKEN,
			      "%s after all %" G_GSIZE_FORMAT
			      " bytes were sent; the guest may not have taken them",
			      how, size);
		return;
	}
	delivery_finish(delivery, NULL);
}

static void
delivery_send(struct secret_delivery *delivery)
{
	gsize size;
	const char *bytes = g_bytes_get_data(delivery->message, &size);
	gsize before = delivery->sent;

	while (delivery->sent < size) {
		ssize_t count = send(delivery->fd, bytes + delivery->sent, size - delivery->sent,
				     MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count >= 0) {
			delivery->sent += (gsize)count;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			delivery_closed(delivery, errno);
			return;
		}
	}
	if (delivery->sent == size) {
		if (shutdown(delivery->fd, SHUT_WR) == -1) {
			delivery_closed(delivery, errno);
			return;
		}
		delivery->state = DELIVERY_CLOSING;
		delivery_limit(delivery, delivery->limits.close);
		delivery_watch(delivery, EV_READ);
	} else if (delivery->sent > before) {
		delivery_limit(delivery, delivery->limits.progress);
	}
}

/* The hello is complete: call hello, then send. */
static void
delivery_begin(struct secret_delivery *delivery)
{
	gboolean trusted = delivery->hello(delivery, delivery->fd, delivery->data);
	if (delivery->freed)
		return;
	if (!trusted) {
		delivery_fail(delivery, SECRET_SERVICE_ERROR_PROTOCOL,
			      "the listener is not this guest's QEMU; nothing was sent");
		return;
	}
	delivery->state = DELIVERY_SENDING;
	delivery_limit(delivery, delivery->limits.progress);
	delivery_watch(delivery, EV_READ | EV_WRITE);
	delivery_send(delivery);
}

/* Compare the bytes with the hello. FALSE: they differ, and the delivery is over. */
static gboolean
delivery_hear(struct secret_delivery *delivery, const char *bytes, gsize length)
{
	gboolean first = delivery->heard_length == 0;

	for (gsize i = 0; i < length; i++) {
		gsize at = delivery->heard_length;

		if (at == HELLO_LENGTH ? strchr(" \t\r\n", bytes[i]) && bytes[i] &&
					     delivery->blanks++ < SECRET_SERVICE_BLANKS_MAX
				       : bytes[i] == SECRET_SERVICE_HELLO[at]) {
			if (at < HELLO_LENGTH)
				delivery->heard[delivery->heard_length++] = bytes[i];
			continue;
		}
		g_autofree char *excerpt = wire_excerpt(bytes + i, length - i);
		if (delivery->state == DELIVERY_HELLO)
			delivery_fail(delivery, SECRET_SERVICE_ERROR_PROTOCOL,
				      "the guest said %s after %" G_GSIZE_FORMAT
				      " bytes of its hello, %s; nothing was sent",
				      excerpt, at, SECRET_SERVICE_HELLO);
		else
			delivery_fail(delivery, SECRET_SERVICE_ERROR_PROTOCOL,
				      "the guest said %s after its hello; a receiver is silent",
				      excerpt);
		return FALSE;
	}
	if (first && delivery->state == DELIVERY_HELLO)
		delivery_limit(delivery, delivery->limits.hello);
	return TRUE;
}

static void
delivery_read(struct secret_delivery *delivery)
{
	char bytes[256];

	for (;;) {
		ssize_t count = recv(delivery->fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (count == -1 && errno == EINTR)
			continue;
		if (count == -1 && errno == EAGAIN)
			break;
		if (count <= 0) {
			delivery_closed(delivery, count == 0 ? 0 : errno);
			return;
		}
		if (!delivery_hear(delivery, bytes, (gsize)count))
			return;
	}
	if (delivery->state == DELIVERY_HELLO && delivery->heard_length == HELLO_LENGTH)
		delivery_begin(delivery);
}

static void
delivery_step(struct secret_delivery *delivery, int events)
{
	if (delivery->state == DELIVERY_CONNECTING) {
		int problem = wire_error(delivery->fd);

		if (problem) {
			delivery_closed(delivery, problem);
			return;
		}
		delivery->state = DELIVERY_HELLO;
		delivery_watch(delivery, EV_READ);
		return;
	}
	if (events & EV_READ)
		delivery_read(delivery);
	if ((events & EV_WRITE) && delivery->state == DELIVERY_SENDING && !delivery->freed)
		delivery_send(delivery);
}

static void
delivery_event(struct ev_loop *loop, ev_io *io, int events)
{
	struct secret_delivery *delivery = io->data;

	(void)loop;
	delivery->busy = TRUE;
	delivery_step(delivery, events);
	delivery->busy = FALSE;
	if (delivery->freed)
		delivery_destroy(delivery);
}

static void
delivery_timeout(struct secret_delivery *delivery)
{
	gsize size = g_bytes_get_size(delivery->message);

	switch (delivery->state) {
	case DELIVERY_CONNECTING:
	case DELIVERY_HELLO:
		if (delivery->heard_length == 0)
			delivery_fail(delivery, SECRET_SERVICE_ERROR_TIMEOUT,
				      "no hello within %" G_GINT64_FORMAT " ms (limit: silence)",
				      delivery->limits.silence);
		else
			delivery_fail(delivery, SECRET_SERVICE_ERROR_TIMEOUT,
				      "only %" G_GSIZE_FORMAT " of the %" G_GSIZE_FORMAT
				      " bytes of the hello within %" G_GINT64_FORMAT
				      " ms (limit: hello)",
				      delivery->heard_length, HELLO_LENGTH, delivery->limits.hello);
		break;
	case DELIVERY_SENDING:
		delivery_fail(delivery, SECRET_SERVICE_ERROR_TIMEOUT,
			      "the guest took nothing for %" G_GINT64_FORMAT
			      " ms after %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
			      " bytes (limit: progress)",
			      delivery->limits.progress, delivery->sent, size);
		break;
	case DELIVERY_CLOSING:
		delivery_fail(
		    delivery, SECRET_SERVICE_ERROR_TIMEOUT,
		    "all %" G_GSIZE_FORMAT
		    " bytes are sent, but the guest did not close within %" G_GINT64_FORMAT
		    " ms (limit: close)",
		    size, delivery->limits.close);
		break;
	case DELIVERY_OVER:
		break;
	}
}

/* The only timer: first it starts the attempt from the loop, then it limits each state. */
static void
delivery_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct secret_delivery *delivery = timer->data;
	int problem = 0;

	(void)events;
	delivery->busy = TRUE;
	if (delivery->state == DELIVERY_CONNECTING && delivery->fd == -1) {
		delivery->fd = wire_connect(delivery->address, delivery->port, &problem);
		if (delivery->fd == -1) {
			delivery_closed(delivery, problem);
		} else {
			ev_io_set(&delivery->io, delivery->fd, EV_WRITE);
			ev_io_start(loop, &delivery->io);
			delivery_limit(delivery, delivery->limits.silence);
		}
	} else {
		delivery_timeout(delivery);
	}
	delivery->busy = FALSE;
	if (delivery->freed)
		delivery_destroy(delivery);
}

struct secret_delivery *
secret_delivery_new(struct ev_loop *loop, const char *address, int port, GBytes *message,
		    const struct secret_service_limits *limits, secret_hello_fn hello,
		    secret_done_fn done, void *data)
{
	struct secret_delivery *delivery = g_new0(struct secret_delivery, 1);

	delivery->loop = loop;
	delivery->address = g_strdup(address);
	delivery->port = port;
	delivery->message = g_bytes_ref(message);
	delivery->limits = limits ? *limits : SECRET_SERVICE_LIMITS_DEFAULT;
	delivery->hello = hello;
	delivery->done = done;
	delivery->data = data;
	delivery->fd = -1;
	ev_io_init(&delivery->io, delivery_event, -1, EV_NONE);
	delivery->io.data = delivery;
	ev_timer_init(&delivery->limit, delivery_timer, 0., 0.);
	delivery->limit.data = delivery;
	ev_timer_start(loop, &delivery->limit);
	return delivery;
}

void
secret_delivery_free(struct secret_delivery *delivery)
{
	if (!delivery)
		return;
	delivery_stop(delivery);
	delivery->freed = TRUE;
	if (!delivery->busy)
		delivery_destroy(delivery);
}
