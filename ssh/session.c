/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session's life from the TCP connection to the end, and the work of libssh on the event loop.
 *
 * libssh polls by itself, with a timeout of 0 if the session is non-blocking. So we watch its
 * socket with libev, and call libssh whenever something happened. Until the login is done, its
 * pending call (ssh_connect, ssh_userauth_publickey) is repeated; afterwards an ssh_event reads and
 * handles what is there. An idle session has no timer and costs nothing. libssh calls back in the
 * midst of its own work: those callbacks (command.c) only take notes, and ours run once libssh has
 * returned. Ours may free the session: its memory stays until the outermost of our functions
 * returns.
 */
#include "ssh/session.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh/server.h>
#include <string.h>
#include <unistd.h>

#include "ssh/handshake.h"
#include "ssh/session_base.h"
#include "ssh/wire.h"

#define DRIVE_ROUNDS_MAX 16

static void
session_limit(struct ssh_session *session, gint64 milliseconds)
{
	ev_timer_stop(session->loop, &session->timer);
	session->late = FALSE;
	if (milliseconds <= 0)
		return;
	ev_timer_set(&session->timer, (double)milliseconds / 1000., 0.);
	ev_timer_start(session->loop, &session->timer);
}

/* Release the connection. The commands must have ended. */
static void
session_stop(struct ssh_session *session)
{
	ev_timer_stop(session->loop, &session->timer);
	ev_io_stop(session->loop, &session->io);
	if (session->event)
		ssh_event_free(session->event);
	session->event = NULL;
	/*
	 * Only ssh_free closes the socket; ssh_disconnect leaves one that we passed in
	 * (SSH_OPTIONS_FD) open, and its message tells the guest no more than the end of file does.
	 */
	if (session->libssh)
		ssh_free(session->libssh);
	else if (session->fd != -1)
		close(session->fd);
	session->libssh = NULL;
	session->fd = -1;
	ssh_key_free(session->key);
	session->key = NULL;
	session->state = SESSION_DEAD;
}

static void
session_end(struct ssh_session *session, GError *error)
{
	gboolean was_ready = session->state == SESSION_READY;

	session->state = SESSION_DEAD;
	session_enter(session);
	if (was_ready)
		session_end_commands(session, error);
	if (!session->freed) {
		session_stop(session);
		if (!was_ready)
			session->ready(session, session->step, error, session->data);
		else if (session->closed)
			session->closed(session, error, session->data);
	}
	g_error_free(error);
	session_leave(session);
}

static void
session_succeed(struct ssh_session *session)
{
	session->state = SESSION_READY;
	session->step = SSH_STEP_COMMAND;
	session_limit(session, 0);
	ssh_key_free(session->key);
	session->key = NULL;
	ssh_set_counters(session->libssh, &session->counter, NULL);
	session->event = ssh_event_new();
	if (!session->event || ssh_event_add_session(session->event, session->libssh) != SSH_OK) {
		session->state = SESSION_LOGIN;
		session_end(session, session_error(session, SESSION_ERROR_HOST,
						   "libssh cannot poll the session"));
		return;
	}
	session->ready(session, session->step, NULL, session->data);
}

/* The banner came, and nothing more was asked for. */
static void
session_answered(struct ssh_session *session)
{
	session_stop(session);
	session->ready(session, session->step, NULL, session->data);
}

/* libssh would store each such request for somebody to answer it, and so grow without a limit. */
static int
note_asked(ssh_session libssh, ssh_message message, void *data)
{
	struct ssh_session *session = data;

	session->asked = TRUE;
	return 0;
}

/* Has the other end asked for what only a client asks for, such as a channel? Then the session
 * ends. sshd does this for forwards alone, and this session wants none. */
static gboolean
session_is_asked(struct ssh_session *session)
{
	if (session->asked)
		session_end(session, session_error(session, SESSION_ERROR_PROTOCOL,
						   "%s asks for channels or services itself, as no "
						   "SSH server should",
						   session->peer));
	return session->asked;
}

/* Does the other end send on and on, without reading its answers? Then the session ends. */
static gboolean
session_is_stuck(struct ssh_session *session)
{
	uint64_t heard = session->counter.in_bytes;

	if (!(ssh_get_poll_flags(session->libssh) & SSH_WRITE_PENDING))
		session->stuck_bytes = 0;
	else if (!session->stuck_bytes)
		session->stuck_bytes = MAX(heard, 1);
	else if (heard - session->stuck_bytes > SSH_UNREAD_MAX) {
		session_end(session, session_error(session, SESSION_ERROR_PROTOCOL,
						   "%s does not read what it is sent, and sends on",
						   session->peer));
		return TRUE;
	}
	return FALSE;
}

/*
 * The socket of a logged-in session is ready. Each call into libssh may read, and so handle packets
 * of a command that had its turn before: repeat until nothing more was read. A guest that never
 * stops sending gets its next turn from the loop.
 */
static void
session_drive(struct ssh_session *session)
{
	uint64_t before;
	int rounds = 0;

	do {
		before = session->counter.in_bytes;
		ssh_event_dopoll(session->event, 0);
		if (session_is_asked(session) || session_is_stuck(session))
			return;
		session_drive_commands(session);
		if (session->state != SESSION_READY || session->freed)
			return;
	} while (session->counter.in_bytes != before && ++rounds < DRIVE_ROUNDS_MAX);
	if (!ssh_is_connected(session->libssh))
		session_end(session, session_libssh_error(session));
	else if (session->counter.in_bytes != before)
		ev_feed_event(session->loop, &session->io, EV_READ);
}

static void
session_unconnected(struct ssh_session *session, int problem)
{
	session_end(session,
		    session_error(session, ssh_error_of(problem), "%s", g_strerror(problem)));
}

static void
session_connected(struct ssh_session *session)
{
	int problem = wire_error(session->fd);

	if (problem) {
		session_unconnected(session, problem);
		return;
	}
	session->state = SESSION_BANNER;
	session->step = SSH_STEP_BANNER;
	session_limit(session, session->limits.banner);
	session_watch_for(session, EV_READ);
}

static void
session_next(struct ssh_session *session, enum session_state state, enum ssh_step step,
	     gint64 limit)
{
	session->state = state;
	session->step = step;
	session_limit(session, limit);
}

/* Go on with the handshake, step by step, as far as it goes without waiting. */
static void
session_handshake(struct ssh_session *session)
{
	GError *error = NULL;
	enum handshake result = HANDSHAKE_DONE;

	while (result == HANDSHAKE_DONE) {
		switch (session->state) {
		case SESSION_BANNER:
			result = handshake_banner(session, &error);
			if (result != HANDSHAKE_DONE)
				break;
			if (!session->user) {
				session_answered(session);
				return;
			}
			session_next(session, SESSION_BANNER, SSH_STEP_HOST_KEY,
				     session->limits.host_key);
			if (!handshake_hand_over(session, &error)) {
				result = HANDSHAKE_FAILED;
				break;
			}
			ssh_set_message_callback(session->libssh, note_asked, session);
			session->state = SESSION_HANDSHAKE;
			break;
		case SESSION_HANDSHAKE:
			result = handshake_keys(session, &error);
			if (result == HANDSHAKE_DONE)
				session_next(session, SESSION_LOGIN, SSH_STEP_LOGIN,
					     session->limits.login);
			break;
		case SESSION_LOGIN:
			result = handshake_login(session, &error);
			if (result != HANDSHAKE_DONE)
				break;
			session_succeed(session);
			return;
		default:
			g_return_if_reached();
		}
	}
	if (result == HANDSHAKE_FAILED)
		session_end(session, error);
	else
		session_is_asked(session);
}

static void
on_socket(struct ev_loop *loop, ev_io *watcher, int revents)
{
	struct ssh_session *session = watcher->data;

	session_enter(session);
	switch (session->state) {
	case SESSION_CONNECTING:
		session_connected(session);
		break;
	case SESSION_BANNER:
	case SESSION_HANDSHAKE:
	case SESSION_LOGIN:
		session_handshake(session);
		break;
	case SESSION_READY:
		session_drive(session);
		break;
	case SESSION_NEW:
	case SESSION_DEAD:
		break;
	}
	if (!session->freed)
		session_watch(session);
	session_leave(session);
}

/* FALSE: the session has ended. libssh does not report why it cannot read a file, so this checks
 * first. */
static gboolean
session_read_key(struct ssh_session *session)
{
	int fd = open(session->private_key, O_RDONLY | O_CLOEXEC);
	const char *problem =
	    fd < 0 ? g_strerror(errno) : "is not a private key without passphrase";

	if (fd >= 0)
		close(fd);
	if (fd >= 0 && ssh_pki_import_privkey_file(session->private_key, NULL, NULL, NULL,
						   &session->key) == SSH_OK)
		return TRUE;
	session_end(session, session_error(session, SESSION_ERROR_KEY, "%s: %s",
					   session->private_key, problem));
	return FALSE;
}

static void
session_start(struct ssh_session *session)
{
	int problem = 0;

	session->state = SESSION_CONNECTING;
	if (session->user && !session_read_key(session))
		return;
	session->fd = wire_connect(session->address, session->port, &problem);
	if (session->fd == -1) {
		session_unconnected(session, problem);
		return;
	}
	session_limit(session, session->limits.connect);
	session_watch_for(session, EV_WRITE);
}

static void
session_timeout(struct ssh_session *session)
{
	const gint64 limits[] = {session->limits.connect, session->limits.banner,
				 session->limits.host_key, session->limits.login};
	static const char *const missing[] = {"no connection", "no SSH banner",
					      "no end of the key exchange",
					      "no answer to our login"};

	g_return_if_fail((gsize)session->step < G_N_ELEMENTS(limits));
	session_end(session, session_error(session, SESSION_ERROR_TIMEOUT,
					   "%s within %" G_GINT64_FORMAT " ms%s%s%s%s",
					   missing[session->step], limits[session->step],
					   session->prelude ? "; instead " : "",
					   session->prelude ? session->peer : "",
					   session->prelude ? " said " : "",
					   session->prelude ? session->prelude : ""));
}

static void
session_last_look(struct ssh_session *session)
{
	session_limit(session, SSH_LAST_LOOK);
	session->late = TRUE;
}

/* What arrived while the loop was busy is read before the verdict. Whether libssh then has an
 * answer for its question, or only other bytes, does not matter. */
static void
session_alive(struct ssh_session *session)
{
	session_drive(session);
	if (session->state != SESSION_READY || session->freed)
		return;
	if (session->counter.in_bytes != session->alive_bytes)
		session->unanswered = 0;
	else if (++session->unanswered >= SSH_ALIVE_TRIES) {
		session_end(session,
			    session_error(session, SESSION_ERROR_TIMEOUT,
					  "%s has given no sign of life for %d s", session->peer,
					  (SSH_ALIVE_TRIES + 1) * SSH_ALIVE_PERIOD / 1000));
		return;
	}
	session->alive_bytes = session->counter.in_bytes;
	/* The first call may only take note of the answer to the one before, and sends nothing. */
	ssh_send_keepalive(session->libssh);
	ssh_send_keepalive(session->libssh);
	session_limit(session, SSH_ALIVE_PERIOD);
	ev_feed_event(session->loop, &session->io, EV_READ); /* what libssh has read meanwhile */
}

void
ssh_session_keep_alive(struct ssh_session *session)
{
	session->alive_bytes = session->counter.in_bytes;
	session->unanswered = 0;
	session_limit(session, SSH_ALIVE_PERIOD);
}

static void
on_timer(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct ssh_session *session = watcher->data;

	session_enter(session);
	if (session->state == SESSION_NEW)
		session_start(session);
	else if (session->state == SESSION_READY)
		session_alive(session);
	else if (!session->late) /* what arrived while the loop was busy is read first */
		session_last_look(session);
	else
		session_timeout(session);
	if (!session->freed)
		session_watch(session);
	session_leave(session);
}

struct ssh_session *
ssh_session_new(struct ev_loop *loop, const struct ssh_session_spec *spec,
		ssh_session_ready_fn ready, ssh_session_closed_fn closed, void *data)
{
	static gsize initialized;
	struct ssh_session *session = g_new0(struct ssh_session, 1);

	if (g_once_init_enter(&initialized)) {
		ssh_init();
		ssh_set_log_level(SSH_LOG_NONE);
		g_once_init_leave(&initialized, 1);
	}
	session->loop = loop;
	session->address = g_strdup(spec->address);
	session->port = spec->port;
	session->user = g_strdup(spec->user);
	session->private_key = g_strdup(spec->private_key);
	session->host_keys = g_strdupv(spec->host_keys);
	session->peer = g_strdup(spec->peer ? spec->peer : "the guest");
	session->key_source = g_strdup(spec->key_source ? spec->key_source : "injected was");
	session->limits = spec->limits;
	session->ready = ready;
	session->closed = closed;
	session->data = data;
	session->fd = -1;
	g_queue_init(&session->commands);
	ev_io_init(&session->io, on_socket, -1, EV_NONE);
	session->io.data = session;
	ev_timer_init(&session->timer, on_timer, 0., 0.);
	session->timer.data = session;
	ev_timer_start(loop, &session->timer);
	return session;
}

void
ssh_session_free(struct ssh_session *session)
{
	if (!session || session->freed)
		return;
	session->freed = TRUE;
	session_enter(session);
	session_end_commands(session, NULL);
	session_stop(session);
	session_leave(session);
}

gboolean
ssh_session_ended(const struct ssh_session *session)
{
	return session->state == SESSION_DEAD;
}

int
ssh_session_port(const struct ssh_session *session)
{
	return session->fd >= 0 ? wire_port(session->fd) : 0;
}

guint
ssh_session_round_trip(const struct ssh_session *session)
{
	return session->fd >= 0 ? wire_round_trip(session->fd) : 0;
}

const char *
ssh_session_banner(const struct ssh_session *session)
{
	return session->banner;
}
