/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everybody may read the published files in the daemon's folders, but only the daemon may put files
 * there. Another user could have made one in /tmp before us.
 */
#include "childhurdd/system/own_folder.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io_error.h"
#include "config/base/trusted_path.h"

gboolean
folder_make(const char *path, gboolean *made, GError **error)
{
	struct stat st;
	gboolean absent = stat(path, &st) < 0 && errno == ENOENT;
	if (made)
		*made = absent;
	g_autofree char *whose = NULL;
	g_autofree char *real = geteuid() == 0 ? way_find(path, &whose) : g_strdup(path);
	if (!real) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "%s: others than root can write to %s, and put another folder in its "
			    "place; prevent that with chown root and chmod go-w, or name another",
			    path, whose);
		return FALSE;
	}
	if (g_mkdir_with_parents(path, 0755) < 0 || stat(path, &st) < 0)
		return io_error(error, path, NULL);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "%s: other users may write there; it must belong to the user that "
			    "runs childhurdd, with mode 0755 or less",
			    path);
		return FALSE;
	}
	return access(path, W_OK | X_OK) == 0 || io_error(error, path, "cannot be written to");
}
