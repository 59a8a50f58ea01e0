/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The secret root: the tree of files that a guest receives (Guix: /etc/childhurd).
 *
 * DIRECTORY/etc/ssh/ssh_host_ed25519_key{,.pub}, ssh_host_ecdsa_key{,.pub},
 * etc/ssh/authorized_keys.d/USER, and the administrator's extra files for the guest. Modes as in
 * Guix (gnu/services/virtualization.scm, hurd-vm-activation): host keys 0600, authorized_keys.d
 * 0555 and its files 0444.
 */
#ifndef SSH_SECRETS_ROOT_H
#define SSH_SECRETS_ROOT_H

#include <glib.h>

#include "ssh/secrets/file.h"

struct secret_root_spec {
	const char *name;      /* the guest's, for messages and key comments */
	const char *directory; /* the secret root, made if missing (0700); its parent exists */
	const char *extra; /* folder of the administrator's extra files; NULL or missing: none */
	const char *offload_key; /* path of the coordinator's key pair, made if missing */
	const GPtrArray *files;	 /* of struct secret_file: more generated files; NULL: none */
	const char *const
	    *users; /* accounts with an authorized_keys.d file, NULL-terminated, each once */
	const char *shared;		/* the one of users whom other hosts' keys let in, too */
	const char *const *shared_keys; /* these keys, "TYPE BASE64 COMMENT"; NULL: none */
};

/*
 * Make sure that the secret root exists and is complete and safe. Idempotent: existing keys stay;
 * extra files are copied again if they changed, and removed if they are gone (DIRECTORY.extra,
 * beside the root, lists the copied ones). Extra files replace generated ones, so that an
 * administrator can bring other host keys. The file of an account that is no longer one of users is
 * removed; one that had other hosts' keys stays and is empty, because a guest with a persistent
 * disk keeps what it was once sent until it is sent another. Everything below directory and extra
 * must belong to us or root, private keys must not be readable by others, and symbolic links are
 * refused: SECRET_ERROR_UNSAFE names the file, the problem, and the command that fixes it. Blocks
 * on disk (call from a worker thread); thread-safe.
 */
gboolean secret_root_ensure(const struct secret_root_spec *spec, GError **error);

/*
 * Read the whole root, sorted by name as in Guix (byte order), so that every announced byte is in
 * memory before the first is sent. Returns an array of struct secret_file; NULL on error. Blocks on
 * disk; thread-safe.
 */
GPtrArray *secret_root_read(const char *directory, GError **error);

/* The host keys' public halves ("TYPE BASE64" lines), NULL-terminated, g_strfreev; pairs: only
 * those with a private half. NULL on error. */
char **secret_root_host_keys(const char *directory, gboolean pairs, GError **error);

#endif
