/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads on in a file that another program appends to, and that is truncated or replaced when it has
 * become too long.
 */
#ifndef CONFIG_BASE_GROWING_FILE_H
#define CONFIG_BASE_GROWING_FILE_H

#include <glib.h>
#include <sys/types.h>

struct growing_file {
	char *path;
	gint64 offset; /* of the next byte; the caller may set it */
	dev_t device;  /* of the file that offset belongs to; inode 0: none yet */
	ino_t inode;
	gboolean held; /* keep it open, so that a file that is replaced is read to its end */
	int fd;	       /* -1: not open */
	int problem;   /* errno of the last try to open it; 0: it was opened */
};

/* Begin at path's start or, with at_end, at its present end. path is copied; the file need not
 * exist. */
void growing_file_init(struct growing_file *file, const char *path, gboolean at_end, gboolean held);
void growing_file_clear(struct growing_file *file);

/*
 * Read n bytes, or up to the end, and return how many. *anew (may be NULL): the file is another one
 * than before, or was truncated, and these are its first bytes. 0 also if there is no plain file.
 */
gsize growing_file_read(struct growing_file *file, void *bytes, gsize n, gboolean *anew);

#endif
