/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's part in Guix' signing keys: the files in its secret root. */
#ifndef CHILDHURDD_WORLD_SIGNING_FILES_H
#define CHILDHURDD_WORLD_SIGNING_FILES_H

#include <glib.h>

#include "offload/signing.h"
#include "ssh/secrets/root.h"

#define GUEST_SIGNING_FOLDER "etc/guix" /* within the secret root */

/* The key pair in the root, from the administrator or an earlier start; none is no error. The root
 * was checked before. */
gboolean guest_signing_read(const struct secret_root_spec *spec, struct signing *signing,
			    GError **error);
/* Put the files of signing_make into the root; spec->files must be NULL. */
gboolean guest_signing_put(const struct secret_root_spec *spec, const struct signing *signing,
			   GError **error);
/* The text of the public key in a secret root; NULL: there is no good one. Caller frees. Blocks on
 * disk; thread-safe. */
char *guest_signing_public(const char *directory);

/* Did we put an acl into the root, at an earlier start? spec->extra is the administrator's. */
gboolean guest_signing_has_acl(const struct secret_root_spec *spec);
/* The guest takes nothing from anybody any more: if it has an acl of ours, that is empty. */
gboolean guest_signing_withdraw(const struct secret_root_spec *spec, GError **error);

/*
 * Both, for a caller that may wait for any file: put a guest's key pair and acl into its secret
 * root, which is made as by secret_root_ensure. guix, others: as for signing_make. An existing pair
 * stays. spec->files must be NULL. Returns the public key's text, which the coordinator must
 * authorize; caller frees. NULL on error. Blocks on disk; thread-safe.
 */
char *guest_signing_make(const struct secret_root_spec *spec, const char *guix,
			 const char *const *others, GError **error);

#endif
