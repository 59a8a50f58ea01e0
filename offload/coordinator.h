/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The coordinator's user: whom guix-daemon, and so Guix' offload hook, runs as. He has to be able
 * to read the private key, or builds wait for ever.
 */
#ifndef OFFLOAD_COORDINATOR_H
#define OFFLOAD_COORDINATOR_H

#include <glib.h>
#include <sys/types.h>

/*
 * Who it is: user, or, when that is NULL, who the running guix-daemon is. Any process can have that
 * name; one is believed when it is root's or of the owner of guix_state_directory. FALSE: there is
 * none; with an error when user was named.
 */
gboolean coordinator_find(const char *user, const char *guix_state_directory, uid_t *uid,
			  GError **error);

/*
 * Make private_key (and the folder it is in) readable for user, and for nobody else. user NULL:
 * found out as above, and when there is none, nothing is given to anybody. Root gives the key away;
 * another, who cannot, shares a copy of it (coordinator_key). Where that is not possible, it is an
 * error only when user was named and is not ourselves. Blocks on disk; thread-safe.
 */
gboolean coordinator_grant(const char *user, const char *guix_state_directory,
			   const char *private_key, GError **error);

/* The path of the copy that is shared, if there is one; NULL: private_key itself is for everybody
 * who may. Caller frees. */
char *coordinator_key(const char *private_key);

#endif
