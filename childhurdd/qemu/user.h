/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user that QEMU runs as: never root. */
#ifndef CHILDHURDD_QEMU_USER_H
#define CHILDHURDD_QEMU_USER_H

#include <gio/gio.h>
#include <sys/types.h>

#include "config/base/acl.h"
#include "config/base/identity.h"

#define QEMU_USER	   "childhurd"	  /* root's daemon uses this one if none is named, */
#define QEMU_USER_FALLBACK "libvirt-qemu" /* and this one if the first does not exist */

struct qemu_user {
	char *name;
	struct identity identity;
	gboolean other; /* another user than this process' */
	char *note;	/* for the administrator; NULL: nothing */
};

/*
 * The user for QEMU. named: the key qemu-user, or NULL. For a daemon that is not root's it is the
 * daemon's own user, and naming another is an error. So is naming root, or a user that does not
 * exist. The error says what to do. Free with qemu_user_free.
 */
struct qemu_user *qemu_user_find(const char *named, GError **error);
void qemu_user_free(struct qemu_user *user); /* NULL is allowed */

/* The user of that name, for acting as it; NULL and an error: there is none. */
struct qemu_user *qemu_user_named(const char *name, GError **error);

/* The identity for acting as the user; owned by user. NULL, which all functions with an identity
 * accept: user is NULL, or is ours. */
const struct identity *qemu_user_identity(const struct qemu_user *user);

/*
 * Can the user open the file for reading? The error names file, user, the obstacle and what to do.
 * what: "the image", "the kernel". user NULL: ours.
 */
gboolean qemu_user_check(const struct qemu_user *user, const char *what, const char *file,
			 GError **error);

/* What to do if a file cannot be opened because systemd hides its place from the service; NULL: it
 * does not. A constant. */
const char *qemu_user_sandbox(const char *file);

/*
 * Let the user, if it is not ours, read the file or pass the folder at path (may: one of
 * ACL_MAY_*), and pass each folder above it, by access control lists. QEMU as root could read all
 * files that root's daemon runs a guest from, and is meant to. Only our own files and folders are
 * changed, and only on a path that nobody else can change (way_find). Each change is logged. What
 * is not possible shows when the user opens the file.
 */
void qemu_user_let(const struct qemu_user *user, const char *path, int may);

/* The same for reading, and then qemu_user_check. */
gboolean qemu_user_may_read(const struct qemu_user *user, const char *what, const char *file,
			    GError **error);

/* Can the user read it, or could it after qemu_user_let? Changes nothing; the error is that of
 * qemu_user_check. */
gboolean qemu_user_could_read(const struct qemu_user *user, const char *what, const char *file,
			      GError **error);

#endif
