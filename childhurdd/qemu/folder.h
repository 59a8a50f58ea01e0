/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's folder, STATE/NAME: ours, with a few files in it that QEMU's user may write to. */
#ifndef CHILDHURDD_QEMU_FOLDER_H
#define CHILDHURDD_QEMU_FOLDER_H

#include <glib.h>

#include "childhurdd/qemu/user.h"

#define GUEST_FOLDER_COLLECT_MAX (8 * 1024 * 1024) /* bytes of a file that QEMU has written */

/*
 * Make the folder and what is missing above it, closed to everybody but us and, so that he can pass
 * it, QEMU's user. One that belongs to somebody else is an error, as is one that he cannot reach;
 * both say what to do. Nothing is changed when all is as it should be.
 */
gboolean guest_folder_make(const char *folder, const struct qemu_user *user, GError **error);

/*
 * An empty file of QEMU's user at path, in such a folder, for QEMU to write to, which can make none
 * there itself. What is at path goes. FALSE and errno.
 */
gboolean guest_folder_lay_out(const char *path, const struct qemu_user *user);

/* What QEMU has written to such a file, GUEST_FOLDER_COLLECT_MAX at most; more is an error, as a
 * QEMU that a guest has broken out of writes what it likes. NULL: error. The caller unrefs. */
GBytes *guest_folder_collect(const char *path, GError **error);

#endif
