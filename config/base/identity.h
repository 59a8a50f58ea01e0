/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One thread of root's acts as another user, while the others stay root. */
#ifndef CONFIG_BASE_IDENTITY_H
#define CONFIG_BASE_IDENTITY_H

#include <glib.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* all of the user's, gid among them */
	int n_groups;
};

/*
 * The user with this uid, with the groups of the user database; one who is not in it has no group
 * that owns anything. NULL: that is us, or we are not root, and there is nothing to take on, which
 * the functions below take. Free with identity_free. Thread-safe; asks the user database.
 */
struct identity *identity_of(uid_t uid);
void identity_free(struct identity *identity); /* NULL is allowed */

/* Can this process act as the user at all? Root of a name space may have nobody else in it. */
gboolean identity_possible(const struct identity *identity);

/* From here to identity_leave this thread reaches files as the user does (fsuid, groups), without
 * root's rights. Between the two nothing may be run but file access. NULL: nothing is changed. */
void identity_enter(const struct identity *identity);
void identity_leave(const struct identity *identity);

/* The same for starting a program: what is started in between (posix_spawn) is the user's for good.
 */
void identity_become(const struct identity *identity);
void identity_return(const struct identity *identity);

#endif
