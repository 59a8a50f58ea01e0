/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by session.c, handshake.c and command.c: the session itself and its small tools. No other
 * file includes this.
 *
 * Only session.c changes a session's state or ends it; the other two report to it.
 */
#ifndef SSH_SESSION_BASE_H
#define SSH_SESSION_BASE_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <ev.h>

#include "ssh/step.h"

/* ms from the end of a limit to the verdict: other work or a stopped process may have kept the loop
 * from reading for longer than the limit. */
#define SSH_LAST_LOOK 50

enum session_state {
	SESSION_NEW,	    /* the loop has not run yet */
	SESSION_CONNECTING, /* TCP */
	SESSION_BANNER,	    /* waiting for "SSH-" with MSG_PEEK */
	SESSION_HANDSHAKE,  /* libssh exchanges keys */
	SESSION_LOGIN,
	SESSION_READY,
	SESSION_DEAD, /* over; the memory waits for ssh_session_free */
};

struct ssh_session {
	struct ev_loop *loop;
	char *address, *user, *private_key;
	char *peer, *key_source; /* for messages */
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
	ev_timer timer; /* first starts it from the loop, then limits the step; when ready, the next
			   question for a sign of life, if any */
	ssh_session libssh; /* NULL before the banner */
	ssh_event event;    /* polls libssh's socket once logged in */
	ssh_key key;	    /* ours, wiped by libssh */
	char *banner;
	char *prelude;			   /* excerpt of the bytes before the banner */
	gsize prelude_length;		   /* bytes of lines before the banner */
	gsize peeked;			   /* bytes seen at the last look */
	struct ssh_counter_struct counter; /* bytes that libssh read from the socket */
	uint64_t alive_bytes;		   /* of counter, when it was looked at last */
	guint unanswered;		   /* questions for a sign of life */
	uint64_t stuck_bytes; /* of counter, since when the other end has not read all that libssh
				 has for it; 0: it has */
	GQueue commands;      /* struct ssh_command, in the order they were run */
	gboolean late;	      /* the step's limit has passed */
	gboolean asked;	      /* the other end has asked for something itself */
	int busy; /* depth of our calls on the stack, during which a free is postponed */
	gboolean freed;
};

/*
 * Around everything that libev calls. A callback may free its session: the memory goes when the
 * outermost call leaves.
 */
void session_enter(struct ssh_session *session);
void session_leave(struct ssh_session *session);
/* An error of the step that the session is in; the caller frees. */
GError *session_error(const struct ssh_session *session, enum ssh_error code, const char *format,
		      ...) G_GNUC_PRINTF(3, 4);
/* libssh's own words on its last error, in which the other end's may be: one line, without
 * characters that act on a terminal. The caller frees. */
char *session_libssh_said(const struct ssh_session *session);
/* The error of a libssh that has given up: its own words, or "PEER closed the connection". */
GError *session_libssh_error(const struct ssh_session *session);
/* Watch the socket for the events that libssh waits for. */
void session_watch(struct ssh_session *session);
/* The same, for EV_READ, EV_WRITE or both. */
void session_watch_for(struct ssh_session *session, int events);

#endif
