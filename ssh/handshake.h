/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps from a TCP connection to a login. Each is called whenever the session's socket is
 * ready, until it is done. */
#ifndef SSH_HANDSHAKE_H
#define SSH_HANDSHAKE_H

#include <glib.h>

struct ssh_session;

enum handshake {
	HANDSHAKE_AGAIN, /* nothing to do until the socket is ready again */
	HANDSHAKE_DONE,
	HANDSHAKE_FAILED, /* see error; the session cannot be used any more */
};

/* At most this many bytes of other lines may come before the banner (RFC 4253, 4.2). */
#define SSH_PRELUDE_MAX 4096

/* Look for the banner, and leave it on the socket for libssh. */
enum handshake handshake_banner(struct ssh_session *session, GError **error);
/* Hand the socket to a new libssh session, which will close it. FALSE: failed. */
gboolean handshake_hand_over(struct ssh_session *session, GError **error);
/* Exchange keys, and compare the guest's host key with the injected ones. */
enum handshake handshake_keys(struct ssh_session *session, GError **error);
/* Log in with our key. */
enum handshake handshake_login(struct ssh_session *session, GError **error);

#endif
