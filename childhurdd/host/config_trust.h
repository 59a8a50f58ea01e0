/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who beside root could change what root's daemon does, by writing to its configuration? */
#ifndef CHILDHURDD_HOST_CONFIG_TRUST_H
#define CHILDHURDD_HOST_CONFIG_TRUST_H

#include <glib.h>

#include "config/config.h"

/*
 * What is wrong with the owners and modes of the configuration's files, their folders and the
 * secrets directory: an array of char *, each with the command that fixes it. The caller frees the
 * array, and with it the texts. Empty when all is well, and when we are not root.
 */
GPtrArray *trust_problems(const struct config *config);

/*
 * Root's rule for what it believes: path, and each folder and link on the way to it, belongs to
 * root and can be written by nobody else (what is in a sticky folder and root's stays where it is).
 * The first that does not, which the caller frees; NULL: all do, or nothing is there.
 */
char *trust_find_others(const char *path);

#endif
