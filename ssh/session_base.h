/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What session.c, handshake.c and command.c share; nobody else includes this. */
#ifndef SSH_SESSION_BASE_H
#define SSH_SESSION_BASE_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#undef SSH_ERROR /* libssh's result code -1; in this module SSH_ERROR is the error domain */
#define LIBSSH_ERROR (-1)

#include "ssh/session.h"

/* ms from the end of a limit to the verdict: the loop may have been kept from reading for longer
 * than the limit, by others' work or by a stopped process. */
#define SSH_LAST_LOOK 50

enum session_state {
	SESSION_NEW,	    /* the loop has not run yet */
	SESSION_CONNECTING, /* TCP */
	SESSION_BANNER,	    /* waiting for "SSH-" with MSG_PEEK */
	SESSION_HANDSHAKE,  /* libssh exchanges keys */
	SESSION_LOGIN,
	SESSION_READY,
	SESSION_DEAD, /* nothing moves any more, the memory waits for ssh_session_free */
};

struct ssh_session {
	struct ev_loop *loop;
	char *address, *user, *private_key;
	int port;
	char **host_keys;
	struct ssh_limits limits;
	ssh_session_ready_fn ready;
	ssh_session_closed_fn closed;
	void *data;

	enum session_state state;
	enum ssh_step step;
	int fd; /* ours until libssh gets it, then libssh's to close */
	ev_io io;
	ev_timer
	    timer; /* first the start from the loop, then the limit of the step; none when ready */
	ssh_session libssh; /* NULL before the banner */
	ssh_event event;    /* polls libssh's socket once logged in */
	ssh_key key;	    /* ours, wiped by libssh */
	char *banner;
	char *prelude;			   /* excerpt of what came before the banner */
	gsize prelude_length;		   /* bytes of lines before the banner */
	gsize peeked;			   /* bytes that were there at the last look */
	struct ssh_counter_struct counter; /* what libssh read from the socket */
	GQueue commands;		   /* struct ssh_command, in the order they were run */
	gboolean late;			   /* the step's limit has passed */
	int busy; /* depth of calls of ours on the stack: a free is put off */
	gboolean freed;
};

/* Around everything that libev calls: what is freed meanwhile goes when the outermost leaves. */
void session_enter(struct ssh_session *session);
void session_leave(struct ssh_session *session);
/* End the session; takes the error. Calls ready, or each command's done and then closed. */
void session_end(struct ssh_session *session, GError *error);
GError *session_error(const struct ssh_session *session, enum ssh_error code, const char *format,
		      ...) G_GNUC_PRINTF(3, 4);
/* The error for a libssh that has given up: what it says, or that the guest closed the connection.
 */
GError *session_libssh_error(struct ssh_session *session);
void session_limit(struct ssh_session *session, gint64 milliseconds);
/* Watch the socket for what libssh wants now. */
void session_watch(struct ssh_session *session);

/* handshake.c: one move in the state; they end the session when it fails. */
void session_look_for_banner(struct ssh_session *session);
void session_handshake(struct ssh_session *session);
void session_login(struct ssh_session *session);
/* Logged in: ready is called. */
void session_succeed(struct ssh_session *session);
/* The banner came, and that is all: ready is called. */
void session_answered(struct ssh_session *session);
/* What a connection's errno is: SSH_ERROR_REFUSED, or SSH_ERROR_HOST. */
enum ssh_error session_code(int problem);

/* command.c: move all commands on, after libssh has read. */
void session_drive_commands(struct ssh_session *session);
/* End all commands with copies of error (NULL: silently, no done is called). */
void session_end_commands(struct ssh_session *session, const GError *error);

#endif
