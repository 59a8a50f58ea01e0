/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/io_error.h"

#include <errno.h>
#include <gio/gio.h>

gboolean
io_error(GError **error, const char *path, const char *what)
{
	int code = errno;
	g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(code), "%s: %s%s%s", path,
		    what ? what : "", what ? ": " : "", g_strerror(code));
	return FALSE;
}
