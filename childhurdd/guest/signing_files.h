/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's part in Guix' signing keys: the files in its secret root. */
#ifndef CHILDHURDD_GUEST_SIGNING_FILES_H
#define CHILDHURDD_GUEST_SIGNING_FILES_H

#include <glib.h>

#include "offload/signing.h"
#include "ssh/secrets/root.h"

#define GUEST_SIGNING_FOLDER "etc/guix" /* within the secret root */

/* The key pair that the root has, from the administrator or an earlier start; none is no error. The
 * root has been looked at before. */
gboolean guest_signing_read(const struct secret_root_spec *spec, struct signing *signing,
			    GError **error);
/* Put what signing_make has made into the root; spec->files has to be NULL. */
gboolean guest_signing_put(const struct secret_root_spec *spec, const struct signing *signing,
			   GError **error);

/*
 * All of this for a caller that may wait for any file. Puts key pair and acl of a guest of the
 * coordinator whose /etc/guix is guix into its secret root, which is made as secret_root_ensure
 * says; a pair that is there is kept. spec->files has to be NULL. Returns the public key's text,
 * which the coordinator has to authorize; caller frees. NULL on error. Blocks on disk; thread-safe.
 */
char *guest_signing_make(const struct secret_root_spec *spec, const char *guix, GError **error);

#endif
