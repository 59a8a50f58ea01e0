/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps of an SSH session, their errors and their limits. */
#ifndef SSH_STEP_H
#define SSH_STEP_H

#include <glib.h>

enum ssh_step {
	SSH_STEP_CONNECT,  /* TCP connect */
	SSH_STEP_BANNER,   /* "SSH-2.0-..." from the guest */
	SSH_STEP_HOST_KEY, /* key exchange, with the injected key */
	SSH_STEP_LOGIN,	   /* public key authentication */
	SSH_STEP_COMMAND,  /* a command's exit status */
};
const char *
ssh_step_name(enum ssh_step step); /* "connect", "banner", "host key", "login", "command" */

#define SESSION_ERROR (session_error_quark())
GQuark session_error_quark(void);
enum ssh_error {
	SESSION_ERROR_REFUSED,	/* refused, reset or closed before a banner; try again */
	SESSION_ERROR_TIMEOUT,	/* a step's limit passed */
	SESSION_ERROR_PROTOCOL, /* not SSH, or an error of libssh */
	SESSION_ERROR_IMPOSTOR, /* another host key than the injected ones */
	SESSION_ERROR_DENIED,	/* login refused */
	SESSION_ERROR_CLOSED,	/* the session ended */
	SESSION_ERROR_KEY,	/* one of our own key files cannot be used */
	SESSION_ERROR_HOST,	/* this host lacks something, so the guest was not asked */
};
/* The code for the errno of a connection: SESSION_ERROR_REFUSED or SESSION_ERROR_HOST. */
enum ssh_error ssh_error_of(int problem);

/* Limits of the steps, in milliseconds. docs/limits.md has SSH_LIMITS_DEFAULT. */
struct ssh_limits {
	gint64 connect, banner, host_key, login;
};
#define SSH_LIMITS_DEFAULT ((struct ssh_limits){5000, 20000, 30000, 30000})

#endif
