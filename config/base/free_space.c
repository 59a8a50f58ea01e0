/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/free_space.h"

#include <sys/statvfs.h>

gint64
free_space(const char *path)
{
	struct statvfs fs;
	return statvfs(path, &fs) < 0 ? -1 : (gint64)fs.f_bavail * (gint64)fs.f_frsize;
}
