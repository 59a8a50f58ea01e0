/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lets one thread of root's act as another user while the others stay root. */
#ifndef CONFIG_BASE_IDENTITY_H
#define CONFIG_BASE_IDENTITY_H

#include <glib.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* all groups of the user, including gid */
	int n_groups;
};

/*
 * The user with this uid and the groups of the user database; a user that is not in it gets a group
 * that owns nothing. NULL, which the functions below accept: that user is us, or we are not root,
 * so there is no identity to take on. Free with identity_free. Thread-safe; asks the user database.
 */
struct identity *identity_of(uid_t uid);
void identity_free(struct identity *identity); /* NULL is allowed */

/* Can this process act as the user at all? A name space may have no user but root. */
gboolean identity_possible(const struct identity *identity);

/* From here to identity_leave this thread accesses files as the user (fsuid, groups), without
 * root's rights. Do nothing but access files between the two. NULL: no change. */
void identity_enter(const struct identity *identity);
void identity_leave(const struct identity *identity);

/* The same for starting a program: one started in between (posix_spawn) runs as the user for good.
 */
void identity_become(const struct identity *identity);
void identity_return(const struct identity *identity);

#endif
