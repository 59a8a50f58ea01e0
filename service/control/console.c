/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Console: after the reply the connection is the guest's serial line, bytes both ways.
 *
 * The guest's output is read from its log, which QEMU always writes. So a slow client delays
 * neither the guest nor the log. Typed bytes go to QEMU's socket, and the daemon is connected to it
 * only until QEMU has taken them. QEMU also sends the guest's output there, each byte by itself.
 * Some 280 bytes fill the socket, and QEMU logs a byte that does not fit once more each time it
 * tries again (QEMU 7.2, chardev/char.c, qemu_chr_write_buffer). So that output is read at once and
 * discarded.
 *
 * At its end a session's stream has a NUL, and then the error ConsoleEnded, with a NUL behind it as
 * behind any Varlink message. NULs of the guest are left out, which makes no difference on a
 * terminal. A stream that ends without the error has lost its daemon.
 */
#include <errno.h>
#include <gio/gio.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/base/growing_file.h"
#include "service/control/internal.h"

#define READ_CHUNK (16 * 1024)
/* s to the first check whether QEMU has taken all. Each later wait is twice as long, up to
 * LOOK_MAX, as QEMU may be stopped for hours. */
#define HANG_UP	 0.005
#define LOOK_MAX 0.5

struct console {
	struct request *request;
	char *name;
	struct growing_file log;
	pid_t pid; /* QEMU's; the session ends with it */
	ev_stat stat;
	int fd; /* to QEMU; -1: not connected */
	ev_io reading, writing;
	ev_timer hang_up, recheck;
	GByteArray *typed; /* bytes that QEMU has not taken yet */
	gint64 refused;	   /* monotonic µs of QEMU's first refusal; 0: it does not refuse */
	gint64 since;	   /* begin of the session, wall clock µs */
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

/* End the session. by: the user that took the console over, or NULL. */
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
disconnect(struct console *console)
{
	struct ev_loop *loop = loop_of(console);
	ev_io_stop(loop, &console->reading);
	ev_io_stop(loop, &console->writing);
	ev_timer_stop(loop, &console->hang_up);
	if (console->fd >= 0)
		close(console->fd);
	console->fd = -1;
	console->hang_up.repeat = HANG_UP;
}

static void
console_release(struct request *request)
{
	struct console *console = request->state;
	struct ev_loop *loop = loop_of(console);
	g_message("%s: the session of %s at its console has ended", console->name,
		  client_who(request->client));
	disconnect(console);
	ev_stat_stop(loop, &console->stat);
	ev_timer_stop(loop, &console->recheck);
	g_byte_array_unref(console->typed);
	g_free(console->name);
	growing_file_clear(&console->log);
	g_free(console);
}

/* --- from the guest --- */

/* Send the log's next bytes to the client. FALSE: there are none. */
static gboolean
show(struct console *console)
{
	char bytes[READ_CHUNK];
	gsize n = growing_file_read(&console->log, bytes, sizeof bytes, NULL);
	for (const char *at = bytes, *end = bytes + n; at < end;) {
		const char *nul = memchr(at, 0, (gsize)(end - at));
		client_write(console->request->client, at, (gsize)((nul ? nul : end) - at));
		at = nul ? nul + 1 : end;
	}
	return n > 0;
}

/* Send the rest of the log, as far as there is room. A log full of NULs sends nothing but takes
 * time, so the bytes read are limited, too. */
static void
show_rest(struct console *console)
{
	for (gsize n = 0; n < CONTROL_BACKLOG_MAX / 2; n += READ_CHUNK)
		if (client_backlog(console->request->client) > CONTROL_BACKLOG_MAX / 2 ||
		    !show(console))
			return;
}

/* If its QEMU is gone, end the session. */
static gboolean
has_ended(struct console *console)
{
	const struct control *control = console->request->client->control;
	struct control_guest guest = {0};
	if (control->hird.describe(control->hird.data, console->name, FALSE, &guest) &&
	    guest.pid == console->pid)
		return FALSE;
	show_rest(console);
	session_end(console, "its QEMU has ended", NULL);
	return TRUE;
}

/* Called when the log has grown, the guest has changed, or the client has read its bytes. */
static void
console_pump(struct request *request)
{
	struct console *console = request->state;
	if (has_ended(console))
		return;
	if (client_backlog(request->client) <= CONTROL_LOW_WATER && show(console))
		client_wake(request->client);
}

static void
on_stat(struct ev_loop *loop, ev_stat *watcher, int events)
{
	const struct console *console = watcher->data;
	client_wake(console->request->client);
}

/* Discard what QEMU sends on its socket: the log has it, too. */
static void
on_output(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct console *console = watcher->data;
	char bytes[READ_CHUNK];
	gssize n = recv(console->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		disconnect(console);
		client_wake(console->request->client);
	}
}

/* --- to the guest --- */

/* Take bytes from the client only while there is room. */
static void
set_full(struct console *console)
{
	gboolean full = console->typed->len >= CONTROL_TYPED_MAX;
	if (console->request->full == full)
		return;
	console->request->full = full;
	client_wake(console->request->client);
}

/* QEMU took something, and may soon have taken all. */
static void
look_soon(struct console *console)
{
	console->hang_up.repeat = HANG_UP;
	ev_timer_again(loop_of(console), &console->hang_up);
}

static void
on_input(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct console *console = watcher->data;
	gssize n = send(console->fd, console->typed->data, console->typed->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		g_byte_array_remove_range(console->typed, 0, (guint)n);
		look_soon(console);
	} else if (errno != EAGAIN && errno != EINTR) /* on_output notices that QEMU is gone */
		g_byte_array_set_size(console->typed, 0);
	if (!console->typed->len)
		ev_io_stop(loop, watcher);
	set_full(console);
}

/* Takes over fd. It is kept until QEMU has taken all that was typed. */
static void
use(struct console *console, int fd)
{
	struct ev_loop *loop = loop_of(console);
	console->fd = fd;
	console->refused = 0;
	ev_io_set(&console->reading, fd, EV_READ);
	ev_io_set(&console->writing, fd, EV_WRITE);
	ev_io_start(loop, &console->reading);
	look_soon(console);
}

/* QEMU takes one connection at a time. */
static gboolean
is_taken(const GError *error)
{
	return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
}

/* Has QEMU refused connections for longer than CONTROL_TYPING_LIMIT? */
static gboolean
waited_enough(struct console *console)
{
	gint64 now = g_get_monotonic_time();
	if (!console->refused)
		console->refused = now;
	return now - console->refused > CONTROL_TYPING_LIMIT * 1000;
}

/* Connect and send what was typed. While QEMU still has another connection, try again. */
static void
send_typed(struct console *console)
{
	const struct control_hird *hird = &console->request->client->control->hird;
	g_autoptr(GError) error = NULL;
	int fd = console->fd < 0 ? hird->console(hird->data, console->name, &error) : -1;
	if (fd >= 0)
		use(console, fd);
	if (console->fd >= 0)
		ev_io_start(loop_of(console), &console->writing);
	else if (is_taken(error) && !waited_enough(console))
		ev_timer_again(loop_of(console), &console->hang_up);
	else
		session_end(console, error->message, NULL);
}

static void
on_hang_up(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct console *console = watcher->data;
	int left = 0;
	watcher->repeat = MIN(2 * watcher->repeat, LOOK_MAX);
	ev_timer_again(loop, watcher);
	if (console->typed->len)
		send_typed(console);
	else if (console->fd < 0 || ioctl(console->fd, SIOCOUTQ, &left) < 0 || !left)
		disconnect(console);
}

static void
console_take(struct request *request, const char *bytes, gsize n)
{
	struct console *console = request->state;
	g_byte_array_append(console->typed, (const guint8 *)bytes, (guint)n);
	set_full(console);
	send_typed(console);
}

/* Is the client gone? Without reading from it, only poll shows that. */
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
	client->cut = client->cut || is_gone(console);
	client_wake(client);
}

/* --- the beginning --- */

/* Takes over name and fd. fd -1: connect to QEMU when something is typed. */
static void
session_begin(struct request *request, char *name, int fd)
{
	const struct control *control = request->client->control;
	struct control_guest guest = {0};
	struct console *console = g_new0(struct console, 1);
	control->hird.describe(control->hird.data, name, FALSE, &guest);
	*console = (struct console){.request = request,
				    .name = name,
				    .pid = guest.pid,
				    .fd = -1,
				    .typed = g_byte_array_new(),
				    .since = g_get_real_time()};
	growing_file_init(&console->log, guest.console_log ? guest.console_log : "", TRUE, FALSE);
	ev_stat_init(&console->stat, on_stat, console->log.path, 0.);
	ev_init(&console->reading, on_output);
	ev_init(&console->writing, on_input);
	ev_timer_init(&console->hang_up, on_hang_up, 0., HANG_UP);
	ev_timer_init(&console->recheck, on_recheck, control->recheck, control->recheck);
	console->stat.data = console->reading.data = console->writing.data = console->hang_up.data =
	    console->recheck.data = console;
	request->state = console;
	request->take = console_take;
	request->pump = console_pump;
	request->release = console_release;
	if (fd >= 0)
		use(console, fd);
	ev_stat_start(control->loop, &console->stat);
	ev_timer_start(control->loop, &console->recheck);
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

/* Take the connection from the previous session, as QEMU takes no second one; -1: it has none. */
static int
hand_over(struct console *other)
{
	int fd = other->fd;
	other->fd = -1;
	if (fd >= 0)
		disconnect(other);
	return fd;
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
	int fd = other && !there ? hand_over(other) : -1;
	if (fd < 0 && !there)
		fd = hird->console(hird->data, name, &error);
	/* If QEMU still has the connection of an ended session, send_typed tries again. */
	if (there || (fd < 0 && !is_taken(error))) {
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
