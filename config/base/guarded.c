/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/guarded.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io_error.h"
#include "config/base/trusted_path.h"

/* Can only the folder's owner change where path leads? whose: from way_find. In a sticky folder
 * only its owner can replace an entry. */
static gboolean
leads_to_owners(const char *path, const struct stat *st, const char *whose)
{
	struct stat other, entry;
	g_autofree char *above = g_path_get_dirname(path);
	gboolean there = lstat(whose, &other) == 0;
	if (there && other.st_uid == st->st_uid && !(other.st_mode & (S_IWGRP | S_IWOTH)))
		return TRUE;
	return there && (other.st_mode & S_ISVTX) && other.st_uid == 0 && !strcmp(above, whose) &&
	       lstat(path, &entry) == 0 && entry.st_dev == st->st_dev && entry.st_ino == st->st_ino;
}

static gboolean
check_way(const char *path, const struct stat *st, GError **error)
{
	g_autofree char *whose = NULL;
	g_autofree char *real = way_find(path, &whose);
	if (real || leads_to_owners(path, st, whose))
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "%s: others than root can write to %s, and make the path lead elsewhere; "
		    "prevent that with chown root and chmod go-w",
		    path, whose);
	errno = EACCES;
	return FALSE;
}

gboolean
guarded_open(const char *path, struct guarded *folder, GError **error)
{
	struct stat st;
	*folder = (struct guarded){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (folder->fd < 0 || fstat(folder->fd, &st) < 0)
		return io_error(error, path, NULL);
	folder->flags = st.st_mode & (S_IWGRP | S_IWOTH) ? O_NOFOLLOW : 0;
	if (geteuid() != 0)
		return TRUE;
	if (!check_way(path, &st, error))
		return FALSE;
	folder->owner = identity_of(st.st_uid);
	return TRUE;
}

void
guarded_close(struct guarded *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	identity_free(folder->owner);
	*folder = (struct guarded){.fd = -1};
}

void
guarded_enter(const struct guarded *folder)
{
	identity_enter(folder->owner);
}

void
guarded_leave(const struct guarded *folder)
{
	identity_leave(folder->owner);
}

int
guarded_unlink(const char *path)
{
	g_autofree char *above = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	g_auto(guarded) folder = {.fd = -1};
	if (!guarded_open(above, &folder, NULL))
		return -1;
	guarded_enter(&folder);
	int result = unlinkat(folder.fd, name, 0);
	guarded_leave(&folder);
	return result;
}
