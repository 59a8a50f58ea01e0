/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What session.c, handshake.c and command.c share: the session itself and its small tools. Nobody
 * else includes this.
 *
 * A step of the handshake and a command only look at the session; session.c alone changes its state
 * and ends it.
 */
#ifndef SSH_SESSION_BASE_H
#define SSH_SESSION_BASE_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#undef SSH_ERROR /* libssh's result code -1; in this module SSH_ERROR is the error domain */
#define LIBSSH_ERROR (-1)

#include <ev.h>

#include "ssh/step.h"

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
	/* See session.h. */
	void (*ready)(struct ssh_session *session, enum ssh_step step, const GError *error,
		      void *data);
	void (*closed)(struct ssh_session *session, const GError *error, void *data);
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

/*
 * Around everything that libev calls. What is freed meanwhile goes when the outermost leaves: a
 * callback may free its session.
 */
void session_enter(struct ssh_session *session);
void session_leave(struct ssh_session *session);
/* An error of the step that the session is in; the caller frees. */
GError *session_error(const struct ssh_session *session, enum ssh_error code, const char *format,
		      ...) G_GNUC_PRINTF(3, 4);
/* The error of a libssh that has given up: its own words, or that the guest closed the connection.
 */
GError *session_libssh_error(const struct ssh_session *session);
/* Watch the socket for what libssh wants now. */
void session_watch(struct ssh_session *session);
/* The same, for EV_READ, EV_WRITE or both. */
void session_watch_for(struct ssh_session *session, int events);

#endif
