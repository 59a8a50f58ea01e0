/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' signing keys. A guest signs its builds with its key, and this host accepts them only if
 * that key is in its acl. What the host sends to a guest is signed with the host's key, which must
 * be in the guest's acl.
 *
 * The files are those of guix/pki.scm: canonical s-expressions in libgcrypt's advanced form, an acl
 * being (acl (entry (public-key ...) (tag (guix import))) ...).
 */
#ifndef OFFLOAD_SIGNING_H
#define OFFLOAD_SIGNING_H

#include <glib.h>

#include "offload/signing_key.h"

/* Does this host have Guix and a signing key? configuration_directory: /etc/guix. */
gboolean signing_possible(const char *configuration_directory);

/* The contents of a guest's files in its etc/guix. Clear with signing_clear. */
struct signing {
	char *public_key, *secret_key; /* signing-key.pub, signing-key.sec */
	char *acl;
};
void signing_clear(struct signing *signing);

/*
 * Make a guest's files: a key pair if signing has none, and an acl with all entries of the host's
 * acl, the host's key, and others: texts of further public keys, NULL-terminated; NULL: none.
 * Without a signing key (signing_possible) the host has no part in it. The error names the host's
 * file, or "the guest's signing key". Thread-safe.
 */
gboolean signing_make(const char *configuration_directory, const char *const *others,
		      struct signing *signing, GError **error);

/*
 * The host's own public key on one line, as a configuration takes it; caller frees. NULL without an
 * error: it has none. Blocks on disk; thread-safe.
 */
char *signing_host_key(const char *configuration_directory, GError **error);

/*
 * Add a guest's public key, in the form of Guix' own keys (signing_check_key), to the host's acl,
 * which is made if it is missing, as in Guix. An acl never becomes larger than SIGNING_ACL_MAX, the
 * most that is read. One that has the key already is not touched; one that is not a valid acl is
 * refused. All entries, the owner and the mode stay, and the file is replaced as a whole. In a
 * folder of another user root does this as that user, which then owns the file. *added: the key was
 * not there. Waits up to 5 s for another daemon; an acl that another process writes at the same
 * time is read again.
 */
gboolean signing_authorize(const char *configuration_directory, const char *public_key,
			   gboolean *added, GError **error);

/* The same for any number of keys, NULL-terminated, with one reading and one writing of the acl.
 * *added: how many were not there. */
gboolean signing_authorize_all(const char *configuration_directory, const char *const *public_keys,
			       guint *added, GError **error);

/* What is wrong with the host's acl; NULL: nothing. Caller frees. */
GError *signing_check(const char *configuration_directory);

#endif
