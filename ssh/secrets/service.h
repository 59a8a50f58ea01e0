/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The host's side of Guix' secret service, version 0 (gnu/build/secret-service.scm of Guix 1.5).
 *
 * The guest listens on its port 1004, accepts one client, and sends `(secret-service-server
 * (version 0))`. We answer with `(secrets (version 0) (files ((NAME SIZE MODE) ...)))` in Guile's
 * `write` syntax, directly followed by the files' bytes. Then we shut down our writing side and
 * wait for the guest to close.
 */
#ifndef SSH_SECRETS_SERVICE_H
#define SSH_SECRETS_SERVICE_H

#include <ev.h>
#include <glib.h>

#define SECRET_SERVICE_HELLO	  "(secret-service-server (version 0))"
#define SECRET_SERVICE_BLANKS_MAX 64 /* spaces and newlines that may follow the hello */

#define SECRET_SERVICE_ERROR (secret_service_error_quark())
GQuark secret_service_error_quark(void);
enum secret_service_error {
	SECRET_SERVICE_ERROR_ABSENT,   /* refused, reset or closed before a byte: not up yet, try
					  again */
	SECRET_SERVICE_ERROR_TIMEOUT,  /* a limit passed; the message names it */
	SECRET_SERVICE_ERROR_PROTOCOL, /* something other than the hello came; nothing was sent */
	SECRET_SERVICE_ERROR_BROKEN,   /* closed or reset after the hello: the guest may have a part
					*/
};

/* Limits in milliseconds: from connect to the first byte, to the whole hello from its first byte,
 * without any progress while sending, and from our end of file to the guest's. */
struct secret_service_limits {
	gint64 silence, hello, progress, close;
};
#define SECRET_SERVICE_LIMITS_DEFAULT ((struct secret_service_limits){90000, 10000, 30000, 60000})

/*
 * The message for these files (array of struct secret_file): header and contents. NULL and
 * SECRET_ERROR_NAME if a name is not UTF-8. Caller unrefs; the memory is wiped with the last
 * reference.
 */
GBytes *secret_service_message(GPtrArray *files, GError **error);

struct secret_delivery;
/*
 * The other end of fd has greeted. Return TRUE if it is the guest: sending begins. FALSE: it gets
 * nothing, and done is called with SECRET_SERVICE_ERROR_PROTOCOL. Called at most once, before done.
 */
typedef gboolean (*secret_hello_fn)(struct secret_delivery *delivery, int fd, void *data);
/* Called exactly once; error NULL: the guest read every byte and closed. May free the delivery. */
typedef void (*secret_done_fn)(struct secret_delivery *delivery, const GError *error, void *data);

/*
 * Make one attempt: connect to address:port, wait for the hello, send message, wait for the guest
 * to close. Callbacks come only from the loop. The message is referenced. Free at any time with
 * secret_delivery_free (NULL allowed), also from callbacks.
 */
struct secret_delivery *secret_delivery_new(struct ev_loop *loop, const char *address, int port,
					    GBytes *message,
					    const struct secret_service_limits *limits,
					    secret_hello_fn hello, secret_done_fn done, void *data);
void secret_delivery_free(struct secret_delivery *delivery);

#endif
