/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection to the control socket.
 *
 * Requests are answered in the order in which they came: while one runs, later ones stay in the
 * buffer. Each turn of the loop takes one request of a client, so that a client with a thousand
 * requests does not delay the others. A series of replies pauses while the client does not read.
 * Once CONTROL_BACKLOG_MAX bytes are queued, the client is cut off.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "service/control/internal.h"

#define READ_CHUNK 4096

gsize
client_backlog(const struct control_client *client)
{
	return client->out->len - client->sent;
}

void
client_wake(struct control_client *client)
{
	if (ev_is_active(&client->work))
		return;
	ev_timer_set(&client->work, 0., 0.);
	ev_timer_start(client->control->loop, &client->work);
}

static void
set_limit(struct control_client *client)
{
	if (ev_is_active(&client->limit))
		return;
	/* After a long callback ev_now is old, and the limit would be too short by that. */
	ev_now_update(client->control->loop);
	ev_timer_set(&client->limit, client->control->request_timeout, 0.);
	ev_timer_start(client->control->loop, &client->limit);
}

static void
request_free(struct request *request)
{
	if (request->client->request == request)
		request->client->request = NULL;
	if (request->release)
		request->release(request);
	varlink_message_free(request->message);
	g_free(request);
}

/* Queue a message. Takes over text. A single reply may be larger than the limit, or it could never
 * be sent. */
static void
client_send(struct control_client *client, char *text)
{
	if (client_backlog(client) > CONTROL_BACKLOG_MAX) {
		g_message("control: %s does not read its replies; its connection is closed",
			  client_who(client));
		client->cut = TRUE;
		client_wake(client);
	} else if (!client->closing) {
		g_byte_array_append(client->out, (const guint8 *)text, (guint)strlen(text) + 1);
		ev_io_start(client->control->loop, &client->writing);
	}
	g_free(text);
}

void
client_write(struct control_client *client, const void *bytes, gsize n)
{
	if (client->closing || !n)
		return;
	g_byte_array_append(client->out, bytes, (guint)n);
	ev_io_start(client->control->loop, &client->writing);
}

/* Stop reading, send what is queued, and end; after a limit in any case. */
static void
client_close(struct control_client *client)
{
	client->closing = TRUE;
	ev_io_stop(client->control->loop, &client->reading);
	ev_timer_stop(client->control->loop, &client->limit);
	set_limit(client);
	client_wake(client);
}

/* Send an error and end the connection, because the rest of its stream cannot be trusted. */
static void
client_refuse(struct control_client *client, const char *name, const char *parameter,
	      const char *why)
{
	JsonObject *parameters = json_object_new();
	if (parameter)
		json_object_set_string_member(parameters, "parameter", parameter);
	json_set_text(parameters, "why", why);
	client_send(client, varlink_error(name, parameters));
	client_close(client);
}

/* Send the message, which is taken, unless the client wants none. The last one ends the request. */
static void
answer(struct request *request, char *message, gboolean continues)
{
	struct control_client *client = request->client;
	if (request->message->oneway)
		g_free(message);
	else
		client_send(client, message);
	if (!continues) {
		request_free(request);
		client_wake(client);
	}
}

void
request_reply(struct request *request, JsonObject *parameters, gboolean continues)
{
	answer(request, varlink_reply(parameters, continues), continues);
}

void
request_reply_text(struct request *request, const char *parameters, gboolean continues)
{
	answer(request, varlink_reply_text(parameters, continues), continues);
}

void
request_reply_png(struct request *request, GBytes *png)
{
	gsize n;
	const guchar *bytes = g_bytes_get_data(png, &n);
	g_autofree char *text = g_base64_encode(bytes, n);
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "png", text);
	request_reply(request, o, FALSE);
}

void
request_fail(struct request *request, const char *error, JsonObject *parameters)
{
	answer(request, varlink_error(error, parameters), FALSE);
}

void
request_invalid(struct request *request, const char *parameter, const char *why)
{
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "parameter", parameter);
	if (why) /* Varlink's own error has no place for it */
		json_object_set_string_member(parameters, "why", why);
	request_fail(request, why ? CONTROL_INVALID_VALUE : VARLINK_INVALID_PARAMETER, parameters);
}

static void
later_release(struct request *request)
{
	struct later *later = request->state;
	later->request = NULL;
}

struct later *
request_later(struct request *request, void *data, GDestroyNotify free_data)
{
	struct later *later = g_new(struct later, 1);
	*later = (struct later){request, data, free_data};
	request->state = later;
	request->release = later_release;
	return later;
}

void
later_free(struct later *later)
{
	if (later->data && later->free_data)
		later->free_data(later->data);
	g_free(later);
}

void
request_upgrade(struct request *request, JsonObject *parameters)
{
	struct control_client *client = request->client;
	gsize n;
	client_send(client, varlink_reply(parameters, FALSE));
	client->upgraded = TRUE;
	const char *rest = varlink_buffer_rest(&client->in, &n);
	if (n)
		request->take(request, rest, n);
	varlink_buffer_clear(&client->in);
	varlink_buffer_init(&client->in, CONTROL_MESSAGE_MAX);
	client_wake(client);
}

void
request_hang_up(struct request *request, const char *error, JsonObject *parameters)
{
	struct control_client *client = request->client;
	client_send(client, varlink_error(error, parameters));
	request_free(request);
	client_close(client);
}

/*
 * Reading pauses while the buffer has enough for the next request. While a request runs, reading
 * goes on, because only that shows that the client is gone; CONTROL_PIPELINE_MAX limits the buffer
 * then.
 */
static void
client_listen(struct control_client *client)
{
	gsize pending = varlink_buffer_pending(&client->in);
	gboolean enough = client->request ? client->request->full : pending > CONTROL_MESSAGE_MAX;
	if (client->half_closed || client->closing || enough)
		ev_io_stop(client->control->loop, &client->reading);
	else if (pending > CONTROL_PIPELINE_MAX)
		client_refuse(client, CONTROL_INTERFACE ".Busy", NULL,
			      "too many requests behind one that is not answered yet");
	else
		ev_io_start(client->control->loop, &client->reading);
}

/* Run the next request, if all of it has come. */
static void
client_next(struct control_client *client)
{
	g_autoptr(GError) error = NULL;
	const char *text = varlink_buffer_take(&client->in, &error);
	if (!text && !error) {
		if (varlink_buffer_pending(&client->in) && !client->half_closed)
			set_limit(client);
		else if (client->half_closed)
			client_close(client);
		return;
	}
	ev_timer_stop(client->control->loop, &client->limit);
	struct varlink_message *message = text ? varlink_parse(text, &error) : NULL;
	if (message && !message->method) {
		g_set_error(&error, VARLINK_ERROR, VARLINK_ERROR_MESSAGE,
			    "not a call: no \"method\"");
		g_clear_pointer(&message, varlink_message_free);
	}
	if (!message) {
		client_refuse(client, CONTROL_INVALID_VALUE, "message", error->message);
		return;
	}
	client->request = g_new0(struct request, 1);
	client->request->client = client;
	client->request->message = message;
	client_wake(client);
	client->control->dispatch(client->request);
}

/* A client that reads a guest's state must find it published. So requests wait while the lists are
 * written: for milliseconds, unless the folder does not answer. */
static gboolean
is_held(struct control_client *client)
{
	const struct control_hird *hird = &client->control->hird;
	double now = ev_now(client->control->loop);
	if (!hird->publishing || !hird->publishing(hird->data)) {
		client->held = 0;
		return FALSE;
	}
	if (!client->held)
		client->held = now;
	if (now - client->held > CONTROL_HOLD_LONGEST)
		return FALSE;
	ev_timer_set(&client->work, CONTROL_HOLD, 0.);
	ev_timer_start(client->control->loop, &client->work);
	return TRUE;
}

static void
on_work(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct control_client *client = watcher->data;
	ev_timer_stop(loop, watcher);
	ev_timer_set(watcher, 0., 0.);
	if (!client->cut && !client->closing) {
		struct request *request = client->request;
		if (request && request->lasting && client->half_closed)
			request_free(request);
		else if (request && request->pump && client_backlog(client) <= CONTROL_LOW_WATER)
			request->pump(request);
		if (!client->request && !is_held(client))
			client_next(client);
		client_listen(client);
	}
	if (client->cut || (client->closing && !client_backlog(client)))
		client_free(client);
}

static void
on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct control_client *client = watcher->data;
	gssize n = send(client->fd, client->out->data + client->sent, client_backlog(client),
			MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_free(client);
		return;
	}
	client->sent += (gsize)n;
	if (!client_backlog(client)) {
		ev_io_stop(loop, watcher);
		g_byte_array_set_size(client->out, 0);
		client->sent = 0;
	} else if (client->sent >= CONTROL_LOW_WATER) {
		g_byte_array_remove_range(client->out, 0, (guint)client->sent);
		client->sent = 0;
	}
	if (client->closing || (client->request && client_backlog(client) <= CONTROL_LOW_WATER))
		client_wake(client);
}

/* The client sends no more. If it is gone, its connection ends; if it only shut down its sending
 * side, it still gets its replies. */
static void
on_end(struct control_client *client)
{
	struct pollfd ask = {.fd = client->fd, .events = POLLIN};
	if (poll(&ask, 1, 0) < 0 || (ask.revents & (POLLHUP | POLLERR))) {
		client_free(client);
		return;
	}
	client->half_closed = TRUE;
	client_listen(client);
	client_wake(client);
}

static void
on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct control_client *client = watcher->data;
	char bytes[READ_CHUNK];
	gssize n = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_free(client);
		return;
	}
	if (n == 0) {
		on_end(client);
		return;
	}
	if (client->upgraded) {
		if (client->request)
			client->request->take(client->request, bytes, (gsize)n);
		return;
	}
	varlink_buffer_append(&client->in, bytes, (gsize)n);
	client_listen(client);
	if (!client->request)
		client_wake(client);
}

static void
on_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct control_client *client = watcher->data;
	if (client->closing)
		client_free(client);
	else
		client_refuse(client, CONTROL_INVALID_VALUE, "message",
			      "half a request: the rest did not come in time");
}

/* The reason to refuse another connection of this user; NULL: there is a place for it. */
static const char *
no_place(const struct control *control, uid_t uid)
{
	guint all = control->clients->len, own = 0;
	if (peer_is_owner(uid))
		return all < CONTROL_CLIENTS_MAX + CONTROL_CLIENTS_KEPT
			   ? NULL
			   : "too many connections; end some clients";
	for (guint i = 0; i < all; i++) {
		const struct control_client *client = g_ptr_array_index(control->clients, i);
		own += client->peer.uid == uid;
	}
	if (own >= CONTROL_CLIENTS_PER_USER)
		return "too many connections of one user; end some of your clients";
	return all < CONTROL_CLIENTS_MAX ? NULL : "too many connections; try again later";
}

/* Send the reason and close. This needs no struct control_client, as the message fits into a new
 * socket's buffer. */
static void
turn_away(int fd, const char *why)
{
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "why", why);
	g_autofree char *text = varlink_error(CONTROL_INTERFACE ".Busy", parameters);
	if (send(fd, text, strlen(text) + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		g_debug("control: refusing: %s", g_strerror(errno));
	close(fd);
}

void
client_new(struct control *control, int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
		g_warning("control: cannot find out the user of a connection: %s",
			  g_strerror(errno));
		close(fd);
		return;
	}
	const char *why = no_place(control, peer.uid);
	if (why) {
		turn_away(fd, why);
		return;
	}
	struct control_client *client = g_new0(struct control_client, 1);
	client->control = control;
	client->fd = fd;
	client->peer = peer;
	client->trusted = -1;
	client->out = g_byte_array_new();
	varlink_buffer_init(&client->in, CONTROL_MESSAGE_MAX);
	ev_io_init(&client->reading, on_readable, fd, EV_READ);
	ev_io_init(&client->writing, on_writable, fd, EV_WRITE);
	ev_init(&client->work, on_work);
	ev_init(&client->limit, on_limit);
	client->reading.data = client->writing.data = client->work.data = client->limit.data =
	    client;
	ev_io_start(control->loop, &client->reading);
	g_ptr_array_add(control->clients, client);
}

void
client_free(struct control_client *client)
{
	struct control *control = client->control;
	if (client->request)
		request_free(client->request);
	ev_io_stop(control->loop, &client->reading);
	ev_io_stop(control->loop, &client->writing);
	ev_timer_stop(control->loop, &client->work);
	ev_timer_stop(control->loop, &client->limit);
	close(client->fd);
	varlink_buffer_clear(&client->in);
	g_byte_array_unref(client->out);
	g_free(client->who);
	g_ptr_array_remove_fast(control->clients, client);
	g_free(client);
}
