/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The coordinator's user: the user that guix-daemon, and so Guix' offload hook, runs as. It must be
 * able to read the private key, or builds wait for ever.
 */
#ifndef OFFLOAD_COORDINATOR_H
#define OFFLOAD_COORDINATOR_H

#include <glib.h>
#include <sys/types.h>

/*
 * Find it: user or, if that is NULL, the user of the running guix-daemon. Any process can have that
 * name, so one counts only if it belongs to root or to the owner of guix_state_directory. FALSE:
 * there is none; with an error if user was named.
 */
gboolean coordinator_find(const char *user, const char *guix_state_directory, uid_t *uid,
			  GError **error);

/*
 * Make private_key (and its folder) readable by user, and by nobody else. user NULL: found as
 * above; if there is none, nobody gets access. Root gives the key away; another user cannot, and
 * shares a copy of it (coordinator_key). If that is not possible, it is an error only if user was
 * named and is not ourselves. Blocks on disk; thread-safe.
 */
gboolean coordinator_grant(const char *user, const char *guix_state_directory,
			   const char *private_key, GError **error);

/* The path of the shared copy; NULL: there is none, private_key itself is used. Caller frees. */
char *coordinator_key(const char *private_key);

#endif
