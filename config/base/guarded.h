/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder that may be somebody else's, in which root works without being led astray. */
#ifndef CONFIG_BASE_GUARDED_H
#define CONFIG_BASE_GUARDED_H

#include <glib.h>

#include "config/base/identity.h"

/*
 * An open folder. What is done in it is done by fd (openat and the like, with flags added), between
 * guarded_enter and guarded_leave: root then acts as the folder's owner, and no link of that
 * owner's leads root where the owner could not go. We, when we are not root, act as ourselves.
 */
typedef struct guarded {
	int fd;
	int flags; /* O_NOFOLLOW where others than the owner may write to the folder, else 0 */
	struct identity *owner; /* NULL: nothing is to be taken on */
} guarded;

/*
 * Open the folder. As root FALSE, too, when a third one (neither root nor the folder's owner) can
 * make path lead elsewhere. The error names path and that one's folder. Close with guarded_close,
 * whatever came of it; g_auto(guarded) does. Blocks on disk; thread-safe.
 */
gboolean guarded_open(const char *path, struct guarded *folder, GError **error);
void guarded_close(struct guarded *folder);

/* errno stays what it is. */
void guarded_enter(const struct guarded *folder);
void guarded_leave(const struct guarded *folder);

/* unlink(2) of a file in such a folder: 0, or -1 and errno. */
int guarded_unlink(const char *path);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(guarded, guarded_close)

#endif
