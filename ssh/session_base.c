/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tools that the parts of a session share. */
#include "ssh/session_base.h"

#include <string.h>

#include "config/base/text.h"

GError *
session_error(const struct ssh_session *session, enum ssh_error code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	GError *error = g_error_new_valist(SESSION_ERROR, (gint)code, format, arguments);
	va_end(arguments);
	g_prefix_error(&error, "ssh to %s:%d: %s: ", session->address, session->port,
		       ssh_step_name(session->step));
	return error;
}

char *
session_libssh_said(const struct ssh_session *session)
{
	return text_line(ssh_get_error(session->libssh), ' ');
}

GError *
session_libssh_error(const struct ssh_session *session)
{
	g_autofree char *said = session_libssh_said(session);
	gboolean closed =
	    !*said || strstr(said, "Socket error") || strstr(said, "Remote host closed");

	/* libssh has no code for a connection that ended, only these words (session.c, socket.c).
	 */
	if (closed)
		return session_error(session, SESSION_ERROR_CLOSED, "%s closed the connection",
				     session->peer);
	if (strstr(said, "Received SSH_MSG_DISCONNECT"))
		return session_error(session, SESSION_ERROR_CLOSED, "%s ended the session: %s",
				     session->peer, said);
	return session_error(session, SESSION_ERROR_PROTOCOL, "%s", said);
}

void
session_watch_for(struct ssh_session *session, int events)
{
	if (ev_is_active(&session->io) && (session->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(session->loop, &session->io);
	ev_io_set(&session->io, session->fd, events);
	ev_io_start(session->loop, &session->io);
}

void
session_watch(struct ssh_session *session)
{
	if (session->state < SESSION_HANDSHAKE || session->state == SESSION_DEAD)
		return;
	session_watch_for(
	    session,
	    EV_READ | (ssh_get_poll_flags(session->libssh) & SSH_WRITE_PENDING ? EV_WRITE : 0));
}

static void
session_destroy(struct ssh_session *session)
{
	g_free(session->address);
	g_free(session->user);
	g_free(session->private_key);
	g_free(session->peer);
	g_free(session->key_source);
	g_strfreev(session->host_keys);
	g_free(session->banner);
	g_free(session->prelude);
	g_free(session);
}

void
session_enter(struct ssh_session *session)
{
	session->busy++;
}

void
session_leave(struct ssh_session *session)
{
	if (--session->busy == 0 && session->freed)
		session_destroy(session);
}
