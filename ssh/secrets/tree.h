/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking a tree of secrets without trusting it: no links, no strangers' files, no keys that others
 * can read. */
#ifndef SSH_SECRETS_TREE_H
#define SSH_SECRETS_TREE_H

#include <glib.h>

#include "ssh/secrets/file.h"

#define SECRET_TREE_DEPTH_MAX 32 /* folders within folders */

enum secret_tree_folder {
	SECRET_TREE_CLOSED, /* the top folder is 0700: nobody else may look into it */
	SECRET_TREE_OPEN,   /* others may look into it, not write */
};

/*
 * Read the tree below directory: an array of struct secret_file (caller unrefs), sorted by name in
 * byte order. Everything is opened relative to its folder and checked on the open descriptor, so
 * nothing can be exchanged between the look and the reading. NULL and SECRET_ERROR on error;
 * is_missing (may be NULL): when the folder is not there, it is set to TRUE, NULL is returned, and
 * there is no error.
 */
GPtrArray *secret_tree_read(const char *directory, enum secret_tree_folder folder,
			    gboolean *is_missing, GError **error);

#endif
