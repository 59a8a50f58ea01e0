/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One SSH session into a guest, driven by the event loop: banner, host key, login, then commands on
 * channels.
 *
 * libssh is used non-blocking throughout; nothing here blocks the loop. The TCP connection is made
 * and the banner is awaited (MSG_PEEK) before libssh sees the socket, because QEMU's forward
 * accepts a connection long before the guest does: only what the guest sends is proof of anything.
 */
#ifndef SSH_SESSION_H
#define SSH_SESSION_H

#include <ev.h>
#include <glib.h>

enum ssh_step {
	SSH_STEP_CONNECT,  /* TCP connect */
	SSH_STEP_BANNER,   /* "SSH-2.0-..." from the guest */
	SSH_STEP_HOST_KEY, /* key exchange, and the key is the injected one */
	SSH_STEP_LOGIN,	   /* public key authentication */
	SSH_STEP_COMMAND,  /* a command's exit status */
};
const char *
ssh_step_name(enum ssh_step step); /* "connect", "banner", "host key", "login", "command" */

#define SSH_ERROR (ssh_error_quark())
GQuark ssh_error_quark(void);
enum ssh_error {
	SSH_ERROR_REFUSED,  /* nothing there: refused, reset or closed before a banner; trying again
			       is right */
	SSH_ERROR_TIMEOUT,  /* a step's limit passed */
	SSH_ERROR_PROTOCOL, /* not SSH, or libssh says what */
	SSH_ERROR_IMPOSTOR, /* another host key than the injected ones */
	SSH_ERROR_DENIED,   /* login refused */
	SSH_ERROR_CLOSED,   /* the session ended */
	SSH_ERROR_KEY,	    /* one of our own key files cannot be used */
	SSH_ERROR_HOST,	    /* this host lacks something, and so the guest was not asked */
};

/* Limits of the steps, in milliseconds. SSH_LIMITS_DEFAULT is what the manual lists. */
struct ssh_limits {
	gint64 connect, banner, host_key, login;
};
#define SSH_LIMITS_DEFAULT ((struct ssh_limits){5000, 20000, 30000, 30000})

/* At most this many bytes of other lines may come before the banner (RFC 4253, 4.2). */
#define SSH_PRELUDE_MAX 4096

struct ssh_session_spec {
	const char *address; /* IPv4/IPv6 literal; no name look-up is made */
	int port;
	const char *user;	 /* NULL: the banner is enough, there is no login */
	const char *private_key; /* path of an OpenSSH private key */
	char **host_keys; /* acceptable "TYPE BASE64" lines; only their algorithms are negotiated */
	struct ssh_limits limits;
};

struct ssh_session;

/*
 * Called once: error NULL, the session is logged in (or, without a user, the banner came, and it is
 * dead); else it is dead, step says how far it came.
 * The callback may free the session. error is owned by the caller of the callback.
 */
typedef void (*ssh_session_ready_fn)(struct ssh_session *session, enum ssh_step step,
				     const GError *error, void *data);
/* Called at most once, after ready, when a logged-in session ends by itself. May free the session.
 */
typedef void (*ssh_session_closed_fn)(struct ssh_session *session, const GError *error, void *data);

/*
 * Start a session. Never fails by itself: every error comes through ready, from the loop, never
 * from within this call. The spec is copied. Free with ssh_session_free, at any time, also from
 * callbacks.
 */
struct ssh_session *ssh_session_new(struct ev_loop *loop, const struct ssh_session_spec *spec,
				    ssh_session_ready_fn ready, ssh_session_closed_fn closed,
				    void *data);
void
ssh_session_free(struct ssh_session *session); /* NULL is allowed; no callback is called any more */

/* It has ended, which the callbacks are being told. */
gboolean ssh_session_ended(const struct ssh_session *session);
/* How far it is, for status. */
enum ssh_step ssh_session_step(const struct ssh_session *session);
/* The port that its connection comes from; 0: none. */
int ssh_session_port(const struct ssh_session *session);
/* The guest's banner without its line end, or NULL; owned by the session. */
const char *ssh_session_banner(const struct ssh_session *session);

/* At most this much of a command's output is kept; the rest is read and dropped. */
#define SSH_OUTPUT_MAX (64 * 1024)
/* A command that writes more than this has failed: reading on would keep the loop busy for as long
 * as it likes. */
#define SSH_OUTPUT_READ (16 << 20)
/* How long the end of the output is waited for once the exit status is there, in milliseconds. */
#define SSH_OUTPUT_GRACE 1000

/*
 * Result of a command: error NULL: it ended with status (0..255, or -1 when a signal ended it) and
 * wrote output (stdout and stderr as they came, NUL-terminated, at most SSH_OUTPUT_MAX). Else
 * output may be partial.
 */
typedef void (*ssh_command_fn)(struct ssh_session *session, int status, const char *output,
			       const GError *error, void *data);

/*
 * Run command on a new channel of a logged-in session. input: bytes for its stdin, then end of
 * file; NULL: an empty stdin. limit: milliseconds from now to its exit status. Several may run at
 * once. When limit passes the channel is closed and done gets SSH_ERROR_TIMEOUT; the session stays.
 * done is called exactly once, unless the session is freed before.
 */
void ssh_session_run(struct ssh_session *session, const char *command, const char *input,
		     gint64 limit, ssh_command_fn done, void *data);

#endif
