/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps of an SSH session, what can go wrong in one, and how long each may take. */
#ifndef SSH_STEP_H
#define SSH_STEP_H

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
/* What a connection's errno is: SSH_ERROR_REFUSED, or SSH_ERROR_HOST. */
enum ssh_error ssh_error_of(int problem);

/* Limits of the steps, in milliseconds. SSH_LIMITS_DEFAULT is what the manual lists. */
struct ssh_limits {
	gint64 connect, banner, host_key, login;
};
#define SSH_LIMITS_DEFAULT ((struct ssh_limits){5000, 20000, 30000, 30000})

#endif
