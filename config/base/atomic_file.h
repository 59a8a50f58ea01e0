/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replaces a file as a whole: temporary file in the same folder, fsync, rename, fsync of the
 * folder. */
#ifndef CONFIG_BASE_ATOMIC_FILE_H
#define CONFIG_BASE_ATOMIC_FILE_H

#include <glib.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Write length bytes (-1: up to the NUL) to path with exactly this mode, whatever the umask. At
 * every moment path is the old file or the whole new one. The temporary name is path + ".new"; one
 * left by a killed process is overwritten, so only one process may write a path. The error names
 * the path. Root writes as the folder's owner (config/base/guarded.h).
 */
gboolean atomic_file_write(const char *path, const char *content, gssize length, mode_t mode,
			   GError **error);

/* A file in an open folder, for writing without a path that another user could redirect. */
struct atomic_file_place {
	int folder;
	uid_t uid; /* the new file's owner, set before it gets its name; -1: as it is made */
	gid_t gid;
	const struct stat *old; /* the file to replace, as it was read; NULL: any */
};

/* Like atomic_file_write, in that folder. path is for messages; its last part is the name.
 * G_IO_ERROR_BUSY: another file has replaced old, and nothing was changed. */
gboolean atomic_file_write_at(const struct atomic_file_place *place, const char *path,
			      const char *content, gssize length, mode_t mode, GError **error);

/* Remove the temporary file of a process that was killed while it wrote path. */
void atomic_file_tidy(const char *path);

#endif
