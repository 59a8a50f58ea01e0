/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds users beside root that could change what root's daemon does by writing to its
 * configuration. */
#ifndef CHILDHURDD_HOST_CONFIG_TRUST_H
#define CHILDHURDD_HOST_CONFIG_TRUST_H

#include <glib.h>

#include "config/config.h"

/*
 * Problems with the owners and modes of the configuration's files, their folders and the secrets
 * directory: an array of char *, each with the command that fixes it. The caller frees the array,
 * and the texts with it. Empty if there are none, or if we are not root.
 */
GPtrArray *trust_problems(const struct config *config);

/*
 * Root's rule for files that it trusts: path, and each folder and link on the way to it, belongs to
 * root, and nobody else can write to it (entries of root's in a sticky folder stay where they are).
 * Returns the first one against the rule, which the caller frees; NULL: there is none, or path does
 * not exist.
 */
char *trust_find_others(const char *path);

#endif
