/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The secret root: the tree of files that is copied into a guest (Guix: /etc/childhurd).
 *
 * DIRECTORY/etc/ssh/ssh_host_ed25519_key{,.pub}, ssh_host_ecdsa_key{,.pub},
 * etc/ssh/authorized_keys.d/USER, and what the administrator put into the guest's folder of extra
 * files. Modes as in Guix (gnu/services/ virtualization.scm, hurd-vm-activation): host keys 0600,
 * authorized_keys.d 0555 and its files 0444.
 */
#ifndef SSH_SECRETS_ROOT_H
#define SSH_SECRETS_ROOT_H

#include <glib.h>

#include "ssh/secrets/file.h"

struct secret_root_spec {
	const char *name;      /* the guest's, for messages and key comments */
	const char *directory; /* the secret root, made when missing (0700); its parent is there */
	const char *extra; /* folder of the administrator's extra files, NULL or missing: none */
	const char *offload_key; /* path of the coordinator's key pair, made when missing */
	const GPtrArray *files;	 /* of struct secret_file: more that we made; NULL: none */
	const char *const
	    *users; /* accounts that get an authorized_keys.d file, NULL-terminated, no doubles */
};

/*
 * Make sure the secret root is there, whole and safe. Idempotent: keys that are there are kept;
 * extra files are copied again when they changed and removed when they are gone (a list of what was
 * copied is kept beside the root as DIRECTORY.extra). Extra files win over made ones, so that an
 * administrator can bring host keys of his own. Everything below directory and extra must belong to
 * us or root, private keys must not be readable by others, symbolic links are refused:
 * SECRET_ERROR_UNSAFE names the file, what it is, and the command that mends it. Blocks on
 * disk (call from a worker thread); thread-safe.
 */
gboolean secret_root_ensure(const struct secret_root_spec *spec, GError **error);

/*
 * Read the whole root, sorted by name as Guix sorts (byte order): every byte that will be announced
 * is in memory before the first one is sent. Returns an array of struct secret_file; NULL on error.
 * Blocks on disk; thread-safe.
 */
GPtrArray *secret_root_read(const char *directory, GError **error);

/* The host keys' public halves ("TYPE BASE64" lines), NULL-terminated, g_strfreev; pairs: only
 * those whose private half is there, too. NULL on error. */
char **secret_root_host_keys(const char *directory, gboolean pairs, GError **error);

#endif
