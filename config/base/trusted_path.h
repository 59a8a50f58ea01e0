/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who can change where a path leads? Root checks this before it gives a file, or access to it, to
 * another user. */
#ifndef CONFIG_BASE_TRUSTED_PATH_H
#define CONFIG_BASE_TRUSTED_PATH_H

#include <glib.h>

/*
 * The real path that path leads to, without links; parts that do not exist yet stay at its end.
 * NULL if a user other than us and root could make it lead elsewhere: that user owns a folder or
 * link on the path, or can write to a folder. In a sticky folder our entries stay where they are,
 * but that user may have put a file or link of ours there. *whose, which may be NULL, is then that
 * folder or link. The owner of the file itself is not checked. The caller frees both.
 */
char *way_find(const char *path, char **whose);

#endif
