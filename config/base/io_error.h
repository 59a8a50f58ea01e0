/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the system said about a file, as an error that names it. */
#ifndef CONFIG_BASE_IO_ERROR_H
#define CONFIG_BASE_IO_ERROR_H

#include <glib.h>

/*
 * Set *error to "PATH: WHAT: the words for errno" in G_IO_ERROR; what may be NULL. FALSE always, so
 * that a caller can return it.
 */
gboolean io_error(GError **error, const char *path, const char *what);

#endif
