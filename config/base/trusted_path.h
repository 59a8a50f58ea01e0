/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who can change where a path leads? Root asks before it opens to another what is there, or gives
 * it away. */
#ifndef CONFIG_BASE_TRUSTED_PATH_H
#define CONFIG_BASE_TRUSTED_PATH_H

#include <glib.h>

/*
 * The real path that path leads to, with no link in it; what is not there yet stays at its end.
 * NULL when somebody beside us and root could make it lead elsewhere: a folder or link on the way
 * is his, or he can write to the folder (in a sticky one, what is ours stays where it is; but a
 * file or link of ours that he had may have been put there by him). *whose, which may be NULL, is
 * then that folder or link. Whom the file itself belongs to is not looked at. The caller frees
 * both.
 */
char *way_find(const char *path, char **whose);

#endif
