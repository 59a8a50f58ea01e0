/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks a tree of secrets without trusting it: no links, no files of other users, no keys that
 * others can read. */
#ifndef SSH_SECRETS_TREE_H
#define SSH_SECRETS_TREE_H

#include <glib.h>

#include "ssh/secrets/file.h"

#define SECRET_TREE_DEPTH_MAX 32 /* folders within folders */

enum secret_tree_folder {
	SECRET_TREE_CLOSED, /* the top folder must be 0700: no other user may read it */
	SECRET_TREE_OPEN,   /* other users may read it, not write */
};

/*
 * Read the tree below directory: an array of struct secret_file (caller unrefs), sorted by name in
 * byte order. Everything is opened relative to its folder and checked on the open descriptor, so
 * nobody can exchange a file between check and use. NULL and SECRET_ERROR on error. If the folder
 * is missing and is_missing is not NULL: *is_missing is TRUE, NULL is returned, and there is no
 * error.
 */
GPtrArray *secret_tree_read(const char *directory, enum secret_tree_folder folder,
			    gboolean *is_missing, GError **error);

#endif
