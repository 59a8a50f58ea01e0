/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An error of the system about a file, with the file's name. */
#ifndef CONFIG_BASE_IO_ERROR_H
#define CONFIG_BASE_IO_ERROR_H

#include <glib.h>

/*
 * Set *error to "PATH: WHAT: the words for errno" in G_IO_ERROR; what may be NULL. Always returns
 * FALSE, for the caller to return.
 */
gboolean io_error(GError **error, const char *path, const char *what);

#endif
