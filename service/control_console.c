/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Console: after the reply the connection is the guest's serial line, bytes both ways.
 *
 * QEMU waits for who is connected to its serial line, and the guest with it: a reader that does not
 * read would stop whatever prints to the console, and with it the log. So what QEMU says is always
 * taken at once, and a client that does not keep up misses some of it and is told how much; the log
 * has all of it. The other way it is the guest that may be slow, and the client waits: so much as
 * CONTROL_TYPED_MAX is kept for it.
 *
 * How a session ends is said in its stream: a NUL, then the error ConsoleEnded, as any Varlink
 * message with a NUL at its end. NULs of the guest are left out, which no terminal misses. A stream
 * that ends without it has lost its daemon.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "service/control_internal.h"

#define READ_CHUNK (16 * 1024)

struct console {
	struct request *request;
	char *name;
	int fd; /* QEMU's end of the serial line */
	ev_io reading, writing;
	ev_timer recheck;
	GByteArray *typed; /* what the guest has not taken yet */
	guint64 left_out;  /* bytes that the client has missed and was not told of */
	gint64 since;	   /* wall clock µs */
};

static struct ev_loop *
loop_of(const struct console *console)
{
	return console->request->client->control->loop;
}

/* The session of that guest, or NULL. */
static struct console *
session_of(const struct control *control, const char *name)
{
	for (guint i = 0; i < control->clients->len; i++) {
		const struct control_client *client = g_ptr_array_index(control->clients, i);
		if (!client->upgraded || !client->request)
			continue;
		struct console *console = client->request->state;
		if (strcmp(console->name, name) == 0)
			return console;
	}
	return NULL;
}

/* Say why, and let the client go. by: who took it over, or NULL. */
static void
session_end(struct console *console, const char *why, const char *by)
{
	JsonObject *o = json_object_new();
	json_set_text(o, "name", console->name);
	json_set_text(o, "why", why);
	json_set_text(o, "by", by);
	client_write(console->request->client, "", 1);
	request_hang_up(console->request, CONTROL_INTERFACE ".ConsoleEnded", o);
}

static void
console_release(struct request *request)
{
	struct console *console = request->state;
	struct ev_loop *loop = loop_of(console);
	g_message("%s: the session of %s at its console has ended", console->name,
		  client_who(request->client));
	ev_io_stop(loop, &console->reading);
	ev_io_stop(loop, &console->writing);
	ev_timer_stop(loop, &console->recheck);
	close(console->fd);
	g_byte_array_unref(console->typed);
	g_free(console->name);
	g_free(console);
}

/* --- from the guest --- */

/* The client has taken most of what was queued: now it learns what it missed. */
static void
console_pump(struct request *request)
{
	struct console *console = request->state;
	if (!console->left_out)
		return;
	g_autofree char *note = g_strdup_printf("\r\n[childhurdd: %" G_GUINT64_FORMAT
						" bytes left out here; the log has them]\r\n",
						console->left_out);
	console->left_out = 0;
	client_write(request->client, note, strlen(note));
}

static void
show(struct console *console, const char *bytes, gsize n)
{
	struct control_client *client = console->request->client;
	if (console->left_out || client_backlog(client) > CONTROL_SHOWN_MAX) {
		console->left_out += n;
		return;
	}
	for (const char *end = bytes + n; bytes < end;) {
		const char *nul = memchr(bytes, 0, (gsize)(end - bytes));
		client_write(client, bytes, (gsize)((nul ? nul : end) - bytes));
		bytes = nul ? nul + 1 : end;
	}
}

static void
on_output(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct console *console = watcher->data;
	char bytes[READ_CHUNK];
	gssize n = recv(console->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n > 0)
		show(console, bytes, (gsize)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		session_end(console, "its QEMU has ended", NULL);
}

/* --- to the guest --- */

/* Keys are taken while there is room. */
static void
set_full(struct console *console)
{
	gboolean full = console->typed->len >= CONTROL_TYPED_MAX;
	if (console->request->full == full)
		return;
	console->request->full = full;
	client_wake(console->request->client);
}

static void
on_input(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct console *console = watcher->data;
	gssize n = send(console->fd, console->typed->data, console->typed->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		g_byte_array_remove_range(console->typed, 0, (guint)n);
	else if (errno != EAGAIN && errno != EINTR) /* that it is gone is said by reading */
		g_byte_array_set_size(console->typed, 0);
	if (!console->typed->len)
		ev_io_stop(loop, watcher);
	set_full(console);
}

static void
console_take(struct request *request, const char *bytes, gsize n)
{
	struct console *console = request->state;
	g_byte_array_append(console->typed, (const guint8 *)bytes, (guint)n);
	ev_io_start(loop_of(console), &console->writing);
	set_full(console);
}

/* While nothing is read from the client, nobody says that it is gone. */
static gboolean
is_gone(const struct console *console)
{
	struct pollfd ask = {.fd = console->request->client->fd};
	return poll(&ask, 1, 0) == 1 && (ask.revents & (POLLHUP | POLLERR));
}

static void
on_recheck(struct ev_loop *loop, ev_timer *watcher, int events)
{
	const struct console *console = watcher->data;
	struct control_client *client = console->request->client;
	if (is_gone(console)) {
		client->cut = TRUE;
		client_wake(client);
	}
}

/* --- the beginning --- */

/* fd and name are taken over. */
static void
session_begin(struct request *request, char *name, int fd)
{
	const struct control *control = request->client->control;
	struct console *console = g_new0(struct console, 1);
	*console = (struct console){.request = request,
				    .name = name,
				    .fd = fd,
				    .typed = g_byte_array_new(),
				    .since = g_get_real_time()};
	ev_io_init(&console->reading, on_output, fd, EV_READ);
	ev_io_init(&console->writing, on_input, fd, EV_WRITE);
	ev_timer_init(&console->recheck, on_recheck, control->recheck, control->recheck);
	console->reading.data = console->writing.data = console->recheck.data = console;
	ev_io_start(control->loop, &console->reading);
	ev_timer_start(control->loop, &console->recheck);
	request->state = console;
	request->take = console_take;
	request->pump = console_pump;
	request->release = console_release;
	g_message("%s: %s is at its console", name, client_who(request->client));
	JsonObject *o = json_object_new();
	json_set_text(o, "name", name);
	request_upgrade(request, o);
}

/* "alice (process 4711) has been at its console since 12:03:04". Caller frees. */
static char *
who_is_there(const struct console *console)
{
	struct control_client *client = console->request->client;
	g_autoptr(GDateTime) since =
	    g_date_time_new_from_unix_local(console->since / G_USEC_PER_SEC);
	g_autofree char *time = since ? g_date_time_format(since, "%T") : g_strdup("?");
	return g_strdup_printf("%s (process %d) has been at its console since %s; --force takes it "
			       "over",
			       client_who(client), (int)client->peer.pid, time);
}

void
method_console(struct request *request)
{
	const struct control *control = request->client->control;
	const struct control_hird *hird = &control->hird;
	gboolean force = FALSE;
	if (!request->message->upgrade || request->message->oneway) {
		request_invalid(request, "upgrade", "has to be true, and the call not oneway");
		return;
	}
	if (!hird->console) {
		request_unknown(request);
		return;
	}
	if (!request_boolean(request, "force", &force))
		return;
	g_autofree char *name = request_name(request);
	if (!name)
		return;
	struct console *other = session_of(control, name);
	g_autofree char *there = other && !force && !is_gone(other) ? who_is_there(other) : NULL;
	g_autoptr(GError) error = NULL;
	int fd = there ? -1 : hird->console(hird->data, name, &error);
	if (fd < 0) {
		request_not_possible(request, name, there ? there : error->message);
		return;
	}
	if (other) {
		g_autofree char *why =
		    g_strdup_printf("%s has taken it over", client_who(request->client));
		session_end(other, why, client_who(request->client));
	}
	session_begin(request, g_steal_pointer(&name), fd);
}
