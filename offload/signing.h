/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' signing keys. What a guest has built is signed with its key, and this host takes it only if
 * that key is in its acl; what a guest is sent to build from is signed with the host's key, which
 * has to be in the guest's acl.
 *
 * The files are those of guix/pki.scm: canonical s-expressions in libgcrypt's advanced form, an acl
 * being (acl (entry (public-key ...) (tag (guix import))) ...).
 */
#ifndef OFFLOAD_SIGNING_H
#define OFFLOAD_SIGNING_H

#include <glib.h>

#include "offload/signing_key.h"

/* Is Guix on this host, with a signing key of its own? configuration_directory: /etc/guix. */
gboolean signing_possible(const char *configuration_directory);

/* The content of a guest's files in its etc/guix. Clear with signing_clear. */
struct signing {
	char *public_key, *secret_key; /* signing-key.pub, signing-key.sec */
	char *acl;
};
void signing_clear(struct signing *signing);

/*
 * Make a guest's files: its own key pair where signing has none, and an acl with all entries of the
 * host's and the host's key. The error names the file of the host, or "the guest's signing key".
 * Thread-safe.
 */
gboolean signing_make(const char *configuration_directory, struct signing *signing, GError **error);

/*
 * Put a guest's public key, which has to be one as Guix makes it (signing_check_key), into the
 * host's acl, which is made when it is missing, as Guix does. An acl is never made larger than
 * SIGNING_ACL_MAX, the most that is read. An acl that has it already is not touched; one that
 * cannot be read as an acl is refused. All its entries, its owner and its mode are kept, and it is
 * replaced as a whole; as root in a folder of another user's it is done as that user, whose file it
 * then is. *added: it was not there. Waits up to 5 s for another daemon that is at it, and an acl
 * that somebody writes at the same time is read again.
 */
gboolean signing_authorize(const char *configuration_directory, const char *public_key,
			   gboolean *added, GError **error);

/* What is wrong with the host's acl, NULL: nothing. Caller frees. */
GError *signing_check(const char *configuration_directory);

#endif
