/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder of the daemon's: there, and safe from other users. */
#ifndef CHILDHURDD_SYSTEM_OWN_FOLDER_H
#define CHILDHURDD_SYSTEM_OWN_FOLDER_H

#include <glib.h>

/*
 * Make path and what is missing above it (0755), and see that only we and root can put anything
 * there. *made: it was not there before; may be NULL. The error names the path.
 */
gboolean folder_make(const char *path, gboolean *made, GError **error);

#endif
