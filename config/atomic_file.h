/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replacing a file as a whole: temporary file in the same folder, fsync, rename, fsync of the
 * folder. */
#ifndef CONFIG_ATOMIC_FILE_H
#define CONFIG_ATOMIC_FILE_H

#include <glib.h>
#include <sys/types.h>

/*
 * Write length bytes (-1: up to the NUL) to path with exactly this mode, whatever the umask. At
 * every moment path is the old file or the whole new one. The temporary name is path + ".new"; one
 * left by a killed process is overwritten, so only one process may write a path. The error names
 * the path.
 */
gboolean atomic_file_write(const char *path, const char *content, gssize length, mode_t mode,
			   GError **error);

/* Remove what a process that was killed while it wrote path has left beside it. */
void atomic_file_tidy(const char *path);

#endif
