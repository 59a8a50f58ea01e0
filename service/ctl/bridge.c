/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl bridge: the daemon's socket over stdin and stdout, for a program on another host
 * that runs this by ssh, as systemd-stdio-bridge and virt-ssh-helper do it. The bytes pass as they
 * are, so all of the protocol works through it, consoles included.
 *
 * --read-only is for a forced command (sshd(8), AUTHORIZED_KEYS FILE FORMAT): the daemon then
 * refuses everything on this connection that changes something.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536

/* Bytes on their way in one direction. */
struct way {
	int from, to;
	gsize n, sent; /* of bytes */
	gboolean ended;
	char bytes[CHUNK];
};

static gboolean
is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* Read when all is sent. FALSE with error: from is broken. */
static gboolean
take(struct way *way, const char *name, GError **error)
{
	ssize_t n = read(way->from, way->bytes, sizeof way->bytes);
	if (n < 0 && is_passing(errno))
		return TRUE;
	if (n < 0) {
		g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", name, g_strerror(errno));
		return FALSE;
	}
	way->ended = n == 0;
	way->n = (gsize)n;
	way->sent = 0;
	return TRUE;
}

/* Send what a poll that reported room leaves room for. FALSE: nobody reads it any more. */
static gboolean
give(struct way *way)
{
	const char *at = way->bytes + way->sent;
	gsize left = way->n - way->sent;
	ssize_t n = send(way->to, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A pipe with room takes PIPE_BUF bytes at once (pipe(7)). */
	if (n < 0 && errno == ENOTSOCK)
		n = write(way->to, at, MIN(left, PIPE_BUF));
	if (n < 0 && !is_passing(errno))
		return FALSE;
	if (n > 0)
		way->sent += (gsize)n;
	return TRUE;
}

static gboolean
is_full(const struct way *way)
{
	return way->sent < way->n;
}

/* Until the daemon has closed the connection and its last bytes are written, or stdout is closed.
 */
static gboolean
relay(struct way *in, struct way *out, GError **error)
{
	gboolean shut = FALSE;
	while (!out->ended || is_full(out)) {
		struct pollfd fds[] = {
		    {.fd = is_full(in) || in->ended ? -1 : in->from, .events = POLLIN},
		    {.fd = in->to, .events = (short)(is_full(in) ? POLLOUT : 0)},
		    {.fd = out->to, .events = (short)(is_full(out) ? POLLOUT : 0)}};
		if (!is_full(out))
			fds[1].events |= POLLIN;
		else if (!is_full(in))
			fds[1].fd = -1; /* its end waits until there is room for its last bytes */
		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
			return TRUE;
		if (fds[2].revents & (POLLERR | POLLHUP | POLLNVAL))
			return TRUE; /* the other host is gone, and with it who wanted replies */
		if (fds[0].revents && !take(in, "standard input", error))
			return FALSE;
		if (fds[1].revents & ~POLLIN && is_full(in) && !give(in))
			in->sent = in->n; /* the daemon has closed; its reason can still be read */
		if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && !is_full(out) &&
		    !take(out, "the daemon's socket", error))
			return FALSE;
		if ((fds[2].revents & POLLOUT) && !give(out))
			return TRUE;
		if (in->ended && !is_full(in) && !shut) {
			shutdown(in->to, SHUT_WR);
			shut = TRUE;
		}
	}
	return TRUE;
}

/* From now on the daemon refuses what changes something. */
static gboolean
restrict_to_reading(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = NULL;
	if (ctl_send(ctl, "org.childhurd.ReadOnly", NULL, FALSE, error))
		reply = ctl_receive(ctl, CTL_REPLY_LIMIT, error);
	if (!reply)
		return FALSE;
	if (g_strcmp0(reply->error, VARLINK_METHOD_NOT_FOUND))
		return !ctl_refused(reply, error);
	g_set_error(error, CTL_ERROR, CTL_FAILED,
		    "the daemon at %s cannot be restricted to reading: it is older than "
		    "childhurdctl; restart it",
		    ctl->socket);
	return FALSE;
}

int
ctl_bridge(struct ctl *ctl, GError **error)
{
	gint64 patience = (gint64)(MIN(ctl->timeout, 1e9) * G_USEC_PER_SEC);
	if (!ctl_await_daemon(ctl, g_get_monotonic_time() + patience, error))
		return CTL_NO_DAEMON;
	if (ctl->read_only && !restrict_to_reading(ctl, error))
		return CTL_FAILED;
	signal(SIGPIPE, SIG_IGN);
	g_autofree struct way *in = g_new0(struct way, 1), *out = g_new0(struct way, 1);
	in->from = STDIN_FILENO;
	in->to = out->from = ctl->fd;
	out->to = STDOUT_FILENO;
	return relay(in, out, error) ? CTL_DONE : CTL_FAILED;
}
