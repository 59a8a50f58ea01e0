/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom QEMU runs as: never root. */
#ifndef CHILDHURDD_QEMU_USER_H
#define CHILDHURDD_QEMU_USER_H

#include <gio/gio.h>
#include <sys/types.h>

#include "config/base/acl.h"

#define QEMU_USER	   "childhurd"	  /* whom root's daemon takes when none is named, */
#define QEMU_USER_FALLBACK "libvirt-qemu" /* and when there is none of that name */

struct qemu_user {
	char *name;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* all of his, gid among them */
	int n_groups;
	gboolean other; /* than whom this process runs as */
	char *note;	/* what the administrator should know and do; NULL: nothing */
};

/*
 * The user for QEMU. named: the key qemu-user, or NULL. A daemon that is not root's has no choice:
 * it is whom it runs as, and naming another is an error, as are root, and a user that does not
 * exist. The error says what to do. Free with qemu_user_free.
 */
struct qemu_user *qemu_user_find(const char *named, GError **error);
void qemu_user_free(struct qemu_user *user); /* NULL is allowed */

/* That user by name, for what is done in his stead; NULL and an error when there is no such one. */
struct qemu_user *qemu_user_named(const char *name, GError **error);

/*
 * From here to qemu_user_leave this thread reaches files as the user does (fsuid, groups), without
 * root's rights; the other threads go on as they are. user NULL, or one who is not other: nothing
 * is changed. Between the two nothing may be run but file access.
 */
void qemu_user_enter(const struct qemu_user *user);
void qemu_user_leave(const struct qemu_user *user);

/* The same for starting a program: what is started in between (posix_spawn) is the user's for good.
 */
void qemu_user_become(const struct qemu_user *user);
void qemu_user_return(const struct qemu_user *user);

/*
 * Can the user open the file for reading? The error names file, user, what is in the way and what
 * to do. what: "the image", "the kernel". user NULL: we.
 */
gboolean qemu_user_check(const struct qemu_user *user, const char *what, const char *file,
			 GError **error);

/* What to do about a file that cannot be opened because systemd hides its place from the service;
 * NULL: that is not why. A constant. */
const char *qemu_user_sandbox(const char *file);

/*
 * Let the user, when it is not we, read the file or pass the folder at path (may: one of
 * ACL_MAY_*), and pass each folder above it, by access control lists: what root's daemon is told to
 * run a guest from was readable for QEMU while QEMU was root, and is meant to be. Only what is ours
 * is changed, nothing at the end of a way that is not (way_find), and each change is logged. What
 * is not possible shows when he opens the file.
 */
void qemu_user_let(const struct qemu_user *user, const char *path, int may);

/* The same for reading, and then qemu_user_check. */
gboolean qemu_user_may_read(const struct qemu_user *user, const char *what, const char *file,
			    GError **error);

#endif
