/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One SSH session into a guest or to a node, driven by the event loop: banner, host key, login,
 * then commands on channels.
 *
 * libssh is used non-blocking throughout; nothing here blocks the loop. We connect and wait for the
 * banner (MSG_PEEK) before libssh sees the socket, because QEMU's forward accepts a connection long
 * before the guest does: only bytes from the guest prove anything.
 */
#ifndef SSH_SESSION_H
#define SSH_SESSION_H

#include <ev.h>
#include <glib.h>

#include "ssh/command.h"
#include "ssh/step.h"

struct ssh_session_spec {
	const char *address; /* IPv4/IPv6 literal; no name is looked up */
	int port;
	const char *user;	 /* NULL: end at the banner, without a login */
	const char *private_key; /* path of an OpenSSH private key */
	char **host_keys; /* acceptable "TYPE BASE64" lines; only their algorithms are negotiated */
	struct ssh_limits limits;
	const char *peer;	/* the other end's name in messages; NULL: "the guest" */
	const char *key_source; /* where host_keys are from; NULL: "injected was" */
};

/*
 * Called once. error NULL: the session is logged in (or, without a user, the banner came, and the
 * session is dead). Otherwise the session is dead, and step shows how far it came. The callback may
 * free the session. error is owned by the caller of the callback.
 */
typedef void (*ssh_session_ready_fn)(struct ssh_session *session, enum ssh_step step,
				     const GError *error, void *data);
/* Called at most once, after ready, when a logged-in session ends by itself. May free the session.
 */
typedef void (*ssh_session_closed_fn)(struct ssh_session *session, const GError *error, void *data);

/*
 * Start a session. This never fails: every error comes through ready, from the loop, not from
 * within this call. The spec is copied. Free with ssh_session_free, at any time, also from
 * callbacks.
 */
struct ssh_session *ssh_session_new(struct ev_loop *loop, const struct ssh_session_spec *spec,
				    ssh_session_ready_fn ready, ssh_session_closed_fn closed,
				    void *data);
void
ssh_session_free(struct ssh_session *session); /* NULL is allowed; no callback is called any more */

/*
 * From now on ask the other end for a sign of life after each SSH_ALIVE_PERIOD in which nothing
 * came from it. Once SSH_ALIVE_TRIES are not answered, the session ends with SESSION_ERROR_TIMEOUT.
 * For a session that is logged in.
 */
#define SSH_ALIVE_PERIOD 10000 /* ms */
#define SSH_ALIVE_TRIES	 2
void ssh_session_keep_alive(struct ssh_session *session);

/*
 * Bytes that may come from the other end while it does not read what it was sent. libssh answers
 * some of its messages, and stores the answers until they are read, so a session ends that gets
 * more.
 */
#define SSH_UNREAD_MAX (32 << 20)

/* Has it ended? TRUE also while the callbacks are being called for that. */
gboolean ssh_session_ended(const struct ssh_session *session);
/* The local port of its connection; 0: none. */
int ssh_session_port(const struct ssh_session *session);
/* The time in µs that bytes take to the other end and back; 0: unknown. */
guint ssh_session_round_trip(const struct ssh_session *session);
/* The guest's banner without its line end, through text_line, or NULL; owned by the session. */
const char *ssh_session_banner(const struct ssh_session *session);

#endif
