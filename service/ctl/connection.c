/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl's connection: a blocking socket, with poll for the limits. It does not use GIO: most
 * runs are one call and one reply, and end sooner than a main loop would be set up.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

G_DEFINE_QUARK(ctl - error - quark, ctl_error)

/* The default path; *searched is TRUE unless the environment names one. */
static char *
default_socket(gboolean *searched)
{
	const char *named = g_getenv("CHILDHURD_SOCKET");
	if (named && *named)
		return g_strdup(named);
	*searched = TRUE;
	if (geteuid() == 0)
		return g_strdup(CTL_SYSTEM);
	char *own = g_build_filename(g_get_user_runtime_dir(), "childhurd", "control", NULL);
	if (access(CTL_SYSTEM, F_OK) == 0 && access(own, F_OK) < 0) {
		g_free(own);
		return g_strdup(CTL_SYSTEM);
	}
	return own;
}

void
ctl_find_socket(struct ctl *ctl)
{
	if (ctl->host)
		return;
	g_free(ctl->socket);
	ctl->socket = default_socket(&ctl->searched);
}

const char *
ctl_place(const struct ctl *ctl)
{
	return ctl->host ? ctl->host : ctl->socket;
}

static gboolean
no_daemon(const struct ctl *ctl, int problem, GError **error)
{
	/* A daemon is there, but this user may not use its socket or the folder. */
	if (problem == EACCES || problem == EPERM) {
		g_set_error(error, CTL_ERROR, CTL_NO_DAEMON,
			    "%s: %s; only root and members of the control-group (childhurd by "
			    "default) or of childhurd-admin may use it",
			    ctl->socket, g_strerror(problem));
		return FALSE;
	}
	/* su, sudo and cron drop the variable; the socket of a user's own daemon is then not found.
	 */
	gboolean lost = problem == ENOENT && ctl->searched && strcmp(ctl->socket, CTL_SYSTEM) &&
			!g_getenv("XDG_RUNTIME_DIR");
	g_set_error(
	    error, CTL_ERROR, CTL_NO_DAEMON,
	    "no childhurdd at %s%s: %s; %sstart the daemon (as a service, or childhurdd), or name "
	    "another socket with --socket or CHILDHURD_SOCKET",
	    ctl->socket,
	    ctl->searched && strcmp(ctl->socket, CTL_SYSTEM) ? ", nor at " CTL_SYSTEM : "",
	    g_strerror(problem),
	    lost ? "XDG_RUNTIME_DIR is not set: was it when the daemon was started? If there "
		   "is none, "
		 : "");
	return FALSE;
}

/* *absent is set to whether no daemon listens there; one may do so later. */
static gboolean
open_socket(struct ctl *ctl, gboolean *absent, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = CTL_REPLY_LIMIT / 1000};
	*absent = FALSE;
	if (!*ctl->socket || strlen(ctl->socket) >= sizeof address.sun_path) {
		g_set_error(error, CTL_ERROR, CTL_USAGE,
			    "%s: a socket's path has 1 to %zu characters", ctl->socket,
			    sizeof address.sun_path - 1);
		return FALSE;
	}
	memcpy(address.sun_path, ctl->socket, strlen(ctl->socket));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* This also limits how long connect waits for a place in the daemon's backlog. */
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int problem = errno;
		if (fd >= 0)
			close(fd);
		*absent = problem == ENOENT || problem == ECONNREFUSED;
		return no_daemon(ctl, problem, error);
	}
	ctl->fd = fd;
	varlink_buffer_init(&ctl->input, CTL_REPLY_MAX);
	return TRUE;
}

gboolean
ctl_await_daemon(struct ctl *ctl, gint64 until, GError **error)
{
	gint64 latest = g_get_monotonic_time() + CTL_DAEMON_LIMIT * 1000;
	if (until < 0 || until > latest)
		until = latest;
	if (ctl->host && ctl->fd == -1)
		return ctl_open_host(ctl, MAX(until - g_get_monotonic_time(), 0) / 1000, error);
	while (ctl->fd == -1) {
		GError *why = NULL;
		gboolean absent;
		if (open_socket(ctl, &absent, &why))
			break;
		if (!absent || g_get_monotonic_time() >= until) {
			g_propagate_error(error, why);
			return FALSE;
		}
		g_clear_error(&why);
		poll(NULL, 0, CTL_DAEMON_RETRY);
		/* The daemon may appear at the other of the two default paths. */
		if (ctl->searched)
			ctl_find_socket(ctl);
	}
	return TRUE;
}

void
ctl_disconnect(struct ctl *ctl)
{
	if (ctl->fd == -1)
		return;
	close(ctl->fd);
	ctl->fd = -1;
	varlink_buffer_clear(&ctl->input);
	ctl_end_ssh(ctl);
}

/* A connection that breaks has the same exit status as no daemon. */
static gboolean
broken(const struct ctl *ctl, const char *why, GError **error)
{
	g_set_error(error, CTL_ERROR, CTL_NO_DAEMON, "the connection to %s broke: %s",
		    ctl_place(ctl), why);
	return FALSE;
}

static gboolean
send_text(struct ctl *ctl, const char *text, GError **error)
{
	gsize length = strlen(text) + 1;
	gboolean absent;
	if (ctl->fd == -1 &&
	    !(ctl->host ? ctl_open_host(ctl, 0, error) : open_socket(ctl, &absent, error)))
		return FALSE;
	for (gsize at = 0; at < length;) {
		ssize_t n = send(ctl->fd, text + at, length - at, MSG_NOSIGNAL);
		/* A daemon that refuses the client sends the reason and closes; that can still be
		 * read. */
		if (n < 0 && errno == EPIPE)
			return TRUE;
		if (n < 0 && errno != EINTR)
			return broken(ctl, g_strerror(errno), error);
		if (n > 0)
			at += (gsize)n;
	}
	return TRUE;
}

gboolean
ctl_send(struct ctl *ctl, const char *method, JsonObject *parameters, gboolean more, GError **error)
{
	g_autofree char *text = varlink_call(method, parameters, more);
	return send_text(ctl, text, error);
}

/* Wait until there is something to read. until: monotonic µs, -1: no limit. */
static gboolean
wait_for_input(const struct ctl *ctl, gint64 until, GError **error)
{
	struct pollfd ready = {.fd = ctl->fd, .events = POLLIN};
	while (!ctl_terminal_ended()) {
		gint64 left = until < 0 ? -1 : MAX(until - g_get_monotonic_time(), 0);
		int n = ctl_terminal_wait(&ready, 1, left < 0 ? -1 : (left + 999) / 1000);
		if (n > 0)
			return TRUE;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return broken(ctl, g_strerror(errno), error);
		g_set_error(error, CTL_ERROR, CTL_TIMED_OUT, "the daemon at %s does not answer",
			    ctl_place(ctl));
		return FALSE;
	}
	g_set_error(error, CTL_ERROR, CTL_INTERRUPTED, "interrupted");
	return FALSE;
}

static struct varlink_message *
take_message(struct ctl *ctl, GError **error)
{
	g_autoptr(GError) why = NULL;
	const char *text = varlink_buffer_take(&ctl->input, &why);
	struct varlink_message *message = text ? varlink_parse(text, &why) : NULL;
	if (why)
		g_set_error(error, CTL_ERROR, CTL_FAILED,
			    "%s: the reply is not one of childhurdd: %s", ctl_place(ctl),
			    why->message);
	return message;
}

struct varlink_message *
ctl_receive(struct ctl *ctl, gint64 limit, GError **error)
{
	gint64 until = limit < 0 ? -1 : g_get_monotonic_time() + limit * 1000;
	for (;;) {
		GError *why = NULL;
		struct varlink_message *message = take_message(ctl, &why);
		if (message || why) {
			if (why)
				g_propagate_error(error, why);
			return message;
		}
		if (!wait_for_input(ctl, until, error))
			return NULL;
		char bytes[65536];
		ssize_t n = recv(ctl->fd, bytes, sizeof bytes, 0);
		if (n > 0)
			varlink_buffer_append(&ctl->input, bytes, (gsize)n);
		else if (n == 0 || errno != EINTR) {
			broken(ctl, n ? g_strerror(errno) : "the daemon closed it", error);
			return NULL;
		}
	}
}

/* The reply to the call that was sent. An error of the daemon becomes error. */
static struct varlink_message *
take_answer(struct ctl *ctl, GError **error)
{
	struct varlink_message *message = ctl_receive(ctl, CTL_REPLY_LIMIT, error);
	if (message && ctl_refused(message, error))
		g_clear_pointer(&message, varlink_message_free);
	return message;
}

struct varlink_message *
ctl_call(struct ctl *ctl, const char *method, JsonObject *parameters, GError **error)
{
	return ctl_send(ctl, method, parameters, FALSE, error) ? take_answer(ctl, error) : NULL;
}

struct varlink_message *
ctl_upgrade(struct ctl *ctl, const char *method, JsonObject *parameters, GError **error)
{
	g_autofree char *text = varlink_upgrade(method, parameters);
	return send_text(ctl, text, error) ? take_answer(ctl, error) : NULL;
}
