/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lets root work in a folder of another user without being led astray. */
#ifndef CONFIG_BASE_GUARDED_H
#define CONFIG_BASE_GUARDED_H

#include <glib.h>

#include "config/base/identity.h"

/*
 * An open folder. Use fd (openat and similar, with flags added), between guarded_enter and
 * guarded_leave. Root then acts as the folder's owner, so no link of that owner leads root where
 * the owner could not go. A process that is not root acts as itself.
 */
typedef struct guarded {
	int fd;
	int flags; /* O_NOFOLLOW if others than the owner may write to the folder, else 0 */
	struct identity *owner; /* NULL: act as ourselves */
} guarded;

/*
 * Open the folder. For root this also fails if a third user (neither root nor the folder's owner)
 * can make path lead elsewhere; the error names path and that user's folder. Close with
 * guarded_close even after a failure; g_auto(guarded) does. Blocks on disk; thread-safe.
 */
gboolean guarded_open(const char *path, struct guarded *folder, GError **error);
void guarded_close(struct guarded *folder);

/* These keep errno. */
void guarded_enter(const struct guarded *folder);
void guarded_leave(const struct guarded *folder);

/* unlink(2) of a file in such a folder: 0, or -1 and errno. */
int guarded_unlink(const char *path);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(guarded, guarded_close)

#endif
