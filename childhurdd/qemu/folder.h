/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's folder, STATE/NAME: ours, with a few files in it that QEMU's user may write to. */
#ifndef CHILDHURDD_QEMU_FOLDER_H
#define CHILDHURDD_QEMU_FOLDER_H

#include <glib.h>

#include "childhurdd/qemu/user.h"

#define GUEST_FOLDER_COLLECT_MAX (8 * 1024 * 1024) /* bytes of a file that QEMU has written */

/*
 * Make the folder and missing folders above it, closed to all users except us and, for passing it,
 * QEMU's user. A folder of another user is an error, and so is one that QEMU's user cannot reach;
 * both errors say what to do. Nothing changes if the folder is right already.
 */
gboolean guest_folder_make(const char *folder, const struct qemu_user *user, GError **error);

/*
 * Make an empty file of QEMU's user at path, in such a folder: QEMU cannot make one there itself.
 * An existing file is removed. FALSE and errno.
 */
gboolean guest_folder_lay_out(const char *path, const struct qemu_user *user);

/* Read such a file, GUEST_FOLDER_COLLECT_MAX at most; more is an error, because code that controls
 * QEMU can write anything. NULL: error. The caller unrefs. */
GBytes *guest_folder_collect(const char *path, GError **error);

#endif
