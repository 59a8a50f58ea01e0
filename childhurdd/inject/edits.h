/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is to be written into a guest's disk: files of its secret root, and what its distribution
 * needs to use them. */
#ifndef CHILDHURDD_INJECT_EDITS_H
#define CHILDHURDD_INJECT_EDITS_H

#include <glib.h>
#include <sys/types.h>

#include "config/config.h"

#define EDITS_BYTES_MAX (64 * 1024 * 1024) /* of all contents */
#define EDIT_TEXT_MAX	(1024 * 1024)	   /* bytes of a file that lines are added to */

enum edit_kind {
	EDIT_PUT,     /* the file has this content */
	EDIT_LINES,   /* the file has these lines, among others */
	EDIT_CONSOLE, /* GRUB's menu: each GNU Mach has its console on the serial line too */
};

struct edit {
	enum edit_kind kind;
	char *path;
	mode_t mode;	 /* of a new file */
	GBytes *content; /* empty for EDIT_CONSOLE */
};

/*
 * The edits for a guest of that distribution, an array of struct edit that the caller unrefs.
 * files: its secret root, of struct secret_file. admin: the account that the daemon uses; key: the
 * line that lets it in. Never NULL.
 */
GPtrArray *edits_for(enum config_distribution distribution, const GPtrArray *files,
		     const char *admin, const char *key);

/* As bytes, for another process. The caller unrefs. */
GBytes *edits_pack(const GPtrArray *edits);
/* NULL: no edits. */
GPtrArray *edits_unpack(GBytes *bytes);

/* The new content of a file that has old; old NULL: it is missing. NULL: nothing changes. The
 * caller unrefs. */
GBytes *edit_content(const struct edit *edit, GBytes *old);

#endif
