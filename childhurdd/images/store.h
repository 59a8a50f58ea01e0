/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where images are kept: STATE/images, and its folder for what is not whole yet. */
#ifndef CHILDHURDD_IMAGES_STORE_H
#define CHILDHURDD_IMAGES_STORE_H

#include <glib.h>

#include "childhurdd/qemu/user.h"
#include "config/config.h"
#include "config/image_name.h"
#include "config/image_record.h"

#define STORE_UNFINISHED "unfinished"
#define STORE_PINS	 "sha512" /* digests that were found beside images when they were fetched */

struct store {
	const struct config *config; /* borrowed */
	char *path;		     /* STATE/images */
	int folder;		     /* open; -1: it does not exist */
	int unfinished;		     /* the same; -1 too if it was opened for reading */
	struct qemu_user *user;	     /* NULL: the work is done as ourselves, unless we are root */
};

/*
 * Open the folder. writing: make what is missing, and take on the identity of the folder's owner if
 * root runs this and the folder is not root's, for good: root must not act in a folder of others.
 * Close with store_close, even after a failure.
 */
gboolean store_open(struct store *store, const struct config *config, gboolean writing,
		    GError **error);
void store_close(struct store *store);

/* The path of an image. The caller frees. */
char *store_image(const struct store *store, const char *name);
/* Does the image exist? */
gboolean store_has(const struct store *store, const char *name);
/* The names of all images, sorted; the caller frees. */
char **store_names(const struct store *store);
/* The same of those that are not whole yet; none without the right to look. */
char **store_begun(const struct store *store);

/*
 * A file of the folder for what is not whole, NAME.KIND, open for reading and writing; -1 and an
 * error. anew: empty; else its content of before, if any. shared: it belongs to the user that the
 * work is done as, who can open it by its descriptor (/proc/self/fd).
 */
int store_unfinished(const struct store *store, const char *name, const char *kind, gboolean anew,
		     gboolean shared, GError **error);
/* Its path, for messages and for reading. The caller frees. */
char *store_unfinished_path(const struct store *store, const char *name, const char *kind);
void store_remove_unfinished(const struct store *store, const char *name, const char *kind);
/* All that an earlier run may have left of this name, the lock's file last. */
void store_clear_unfinished(const struct store *store, const char *name);

/* The same for NAME.part, for this process alone until it is closed: another one that works on that
 * name is an error. */
int store_lock(const struct store *store, const char *name, GError **error);

/* Make the unfinished file NAME.qcow2, open as fd, the image NAME, with that record: whole, on the
 * disk, and readable by everybody. It is an error if there is an image of that name. */
gboolean store_finish(const struct store *store, const char *name, int fd,
		      const struct image_record *record, GError **error);

/* Write a small file into the folder (unfinished: into that one). */
gboolean store_write(const struct store *store, gboolean unfinished, const char *file,
		     const char *text, GError **error);

#endif
