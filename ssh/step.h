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

#define SSH_ERROR (ssh_error_quark())
GQuark ssh_error_quark(void);
enum ssh_error {
	SSH_ERROR_REFUSED,  /* refused, reset or closed before a banner; try again */
	SSH_ERROR_TIMEOUT,  /* a step's limit passed */
	SSH_ERROR_PROTOCOL, /* not SSH, or an error of libssh */
	SSH_ERROR_IMPOSTOR, /* another host key than the injected ones */
	SSH_ERROR_DENIED,   /* login refused */
	SSH_ERROR_CLOSED,   /* the session ended */
	SSH_ERROR_KEY,	    /* one of our own key files cannot be used */
	SSH_ERROR_HOST,	    /* this host lacks something, so the guest was not asked */
};
/* The code for the errno of a connection: SSH_ERROR_REFUSED or SSH_ERROR_HOST. */
enum ssh_error ssh_error_of(int problem);

/* Limits of the steps, in milliseconds. docs/limits.md has SSH_LIMITS_DEFAULT. */
struct ssh_limits {
	gint64 connect, banner, host_key, login;
};
#define SSH_LIMITS_DEFAULT ((struct ssh_limits){5000, 20000, 30000, 30000})

#endif
