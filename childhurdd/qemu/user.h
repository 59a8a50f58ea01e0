/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom QEMU runs as: never root. */
#ifndef CHILDHURDD_QEMU_USER_H
#define CHILDHURDD_QEMU_USER_H

#include <gio/gio.h>
#include <sys/types.h>

#include "config/base/acl.h"
#include "config/base/identity.h"

#define QEMU_USER	   "childhurd"	  /* whom root's daemon takes when none is named, */
#define QEMU_USER_FALLBACK "libvirt-qemu" /* and when there is none of that name */

struct qemu_user {
	char *name;
	struct identity identity;
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

/* The identity to take on for what is done as the user. NULL, which all that takes one allows: user
 * is NULL, or we are that user. Owned by user. */
const struct identity *qemu_user_identity(const struct qemu_user *user);

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
