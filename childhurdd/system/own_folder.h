/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes the daemon's folders, safe from other users. */
#ifndef CHILDHURDD_SYSTEM_OWN_FOLDER_H
#define CHILDHURDD_SYSTEM_OWN_FOLDER_H

#include <glib.h>

/*
 * Make path and missing folders above it (0755), and make sure that only we and root can put
 * anything there. *made: it did not exist before; may be NULL. The error names the path.
 */
gboolean folder_make(const char *path, gboolean *made, GError **error);

#endif
