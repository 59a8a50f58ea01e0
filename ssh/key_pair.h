/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key pairs in OpenSSH's format, made by libssh on the host. */
#ifndef SSH_KEY_PAIR_H
#define SSH_KEY_PAIR_H

#include <glib.h>

enum key_pair_kind { KEY_PAIR_ED25519, KEY_PAIR_ECDSA };

/*
 * Make sure that a key pair is at path (private, 0600) and path.pub (public, 0644, "TYPE BASE64
 * COMMENT\n"). A good pair stays as it is. A missing or half-written public half is written again
 * from the private one. A private key that cannot be read is an error and never overwritten. New
 * files are written under a temporary name in the same folder, synced, and renamed.
 */
gboolean key_pair_ensure(const char *path, enum key_pair_kind kind, const char *comment,
			 GError **error);

/* Is it printable ASCII without a space, as a key's type and base64 are? libssh skips the rest. */
gboolean key_pair_is_word(const char *text);

/* "TYPE BASE64" of the public key at path (an OpenSSH .pub file). Caller frees. NULL on error. */
char *key_pair_public_line(const char *path, GError **error);

#endif
