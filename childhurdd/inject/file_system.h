/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ext2 file system of a partition, by libext2fs: whole files are read and written, nothing
 * else. Paths are absolute, and no symbolic link is followed. */
#ifndef CHILDHURDD_INJECT_FILE_SYSTEM_H
#define CHILDHURDD_INJECT_FILE_SYSTEM_H

#include <sys/types.h>

#include "childhurdd/inject/partitions.h"

struct file_system;

enum file_kind { FILE_MISSING, FILE_REGULAR, FILE_FOLDER, FILE_LINK, FILE_ELSE };

/* Is there an ext2 file system, of whatever state? FALSE without an error: no. */
gboolean file_system_is_there(struct device *device, const struct partition *partition,
			      GError **error);

/*
 * Open it. device is borrowed. writable: all of it must be understood, and it must be clean, with
 * an empty journal if it has one; otherwise INJECT_ERROR_UNFIT says what to do.
 */
struct file_system *file_system_open(struct device *device, const struct partition *partition,
				     gboolean writable, GError **error);
void file_system_close(struct file_system *fs); /* NULL is allowed; drops what is not committed */

/* FILE_LINK: a symbolic one. */
enum file_kind file_system_look(struct file_system *fs, const char *path);

/* A regular file's content; more than max bytes are an error. The caller unrefs. */
GBytes *file_system_read(struct file_system *fs, const char *path, gsize max, GError **error);
/* Its first bytes, as many as fit and it has. Returns their number; 0 also if there is no such
 * file. */
gsize file_system_begin(struct file_system *fs, const char *path, void *bytes, gsize length);
/* Does put have nothing to do? */
gboolean file_system_has(struct file_system *fs, const char *path, gboolean ours, mode_t mode,
			 GBytes *content);

/* The names in a folder that have middle in them; at most max. The caller frees with g_strfreev. */
char **file_system_names(struct file_system *fs, const char *folder, const char *middle, guint max);

/*
 * Give a file this content. A new one belongs to root, as do the folders above it that are made. An
 * existing one keeps its inode, with translator, author and extended attributes, and its owner and
 * permissions unless ours: then it becomes root's, with mode. What is right already is not written.
 * A link or a special file in its place is an error.
 */
gboolean file_system_put(struct file_system *fs, const char *path, gboolean ours, mode_t mode,
			 GBytes *content, GError **error);

/* What was put is on the disk. */
gboolean file_system_commit(struct file_system *fs, GError **error);

#endif
