/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest gets of the coordinators elsewhere, the configuration's [coordinator NAME]: their
 * SSH keys, and their signing keys.
 */
#ifndef CHILDHURDD_WORLD_COORDINATORS_H
#define CHILDHURDD_WORLD_COORDINATORS_H

#include <glib.h>

#include "config/config.h"

/* All of these are NULL-terminated copies, which the caller frees with g_strfreev. */

/* Does the guest let them in? Otherwise it gets nothing of them. */
gboolean coordinators_use(const struct config_guest *guest);

/* Their lines of authorized_keys. */
char **coordinators_ssh_keys(const struct config *config);

/* NAME, SIGNING-KEY, NAME, SIGNING-KEY ..., as configured. */
char **coordinators_signing_keys(const struct config *config);
/* The texts of these keys. complaints, of char *: a sentence for each file that has none, which is
 * left out. Blocks on disk; in a lane it names each file. */
char **coordinators_read(const char *const *signing_keys, GPtrArray *complaints);

/* What identifies each with its keys: "NAME DIGEST". */
char **coordinators_marks(const struct config *config);
/* The names of the marks that are not in the others: those that are there no more, then those that
 * are new. A name whose digest is another is in it once. NULL: no marks. */
char **coordinators_differences(char **before, char **now);
/* Is there a mark of that name? */
gboolean coordinators_have(char **marks, const char *name);

#endif
