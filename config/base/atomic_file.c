/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Other programs read these files at any moment. With half a machines.scm every build of every
 * system fails. So a file is written under another name, synced to the disk and renamed over the
 * old one; even after a crash of the host it is one or the other.
 */
#include "config/base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/guarded.h"
#include "config/base/io_error.h"
#include "config/base/streams.h"

/* The rename is on disk only once the folder is synced. Not every file system can do that. */
static gboolean
sync_folder(int folder)
{
	return fsync(folder) == 0 || errno == EINVAL;
}

/* Is the file to replace still the one that was read? */
static gboolean
is_still(const struct atomic_file_place *place, const char *name)
{
	struct stat now;
	const struct stat *old = place->old;
	return !old || (fstatat(place->folder, name, &now, 0) == 0 && now.st_dev == old->st_dev &&
			now.st_ino == old->st_ino && now.st_size == old->st_size &&
			now.st_mtim.tv_sec == old->st_mtim.tv_sec &&
			now.st_mtim.tv_nsec == old->st_mtim.tv_nsec);
}

static gboolean
fill(const struct atomic_file_place *place, int fd, const char *content, gsize length, mode_t mode)
{
	gboolean owned = (place->uid == (uid_t)-1 && place->gid == (gid_t)-1) ||
			 fchown(fd, place->uid, place->gid) == 0;
	return owned && fchmod(fd, mode) == 0 && streams_write(fd, content, length) &&
	       fsync(fd) == 0;
}

gboolean
atomic_file_write_at(const struct atomic_file_place *place, const char *path, const char *content,
		     gssize length, mode_t mode, GError **error)
{
	g_autofree char *name = g_path_get_basename(path);
	g_autofree char *temporary = g_strconcat(name, ".new", NULL);
	/* left by a killed process, perhaps with another mode or owner */
	unlinkat(place->folder, temporary, 0);
	int fd = openat(place->folder, temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
	if (fd < 0) { /* only what is in the way makes the temporary name worth a word */
		g_autofree char *shown = g_strconcat(path, errno == EEXIST ? ".new" : "", NULL);
		return io_error(error, shown, "cannot be made");
	}
	gboolean written =
	    fill(place, fd, content, length < 0 ? strlen(content) : (gsize)length, mode);
	int why = errno;
	close(fd); /* its content is on disk, or known not to be */
	if (written && !is_still(place, name)) {
		written = FALSE;
		why = EBUSY;
	}
	if (written && renameat(place->folder, temporary, place->folder, name) == 0)
		return sync_folder(place->folder) ||
		       io_error(error, path, "cannot sync its folder");
	if (!written)
		errno = why;
	io_error(error, path, "cannot be written");
	unlinkat(place->folder, temporary, 0);
	return FALSE;
}

gboolean
atomic_file_write(const char *path, const char *content, gssize length, mode_t mode, GError **error)
{
	g_autofree char *above = g_path_get_dirname(path);
	g_auto(guarded) folder = {.fd = -1};
	if (!guarded_open(above, &folder, error)) {
		g_prefix_error(error, "%s: cannot be written: ", path);
		return FALSE;
	}
	const struct atomic_file_place place = {
	    .folder = folder.fd, .uid = (uid_t)-1, .gid = (gid_t)-1};
	guarded_enter(&folder);
	gboolean good = atomic_file_write_at(&place, path, content, length, mode, error);
	guarded_leave(&folder);
	return good;
}

void
atomic_file_tidy(const char *path)
{
	g_autofree char *temporary = g_strconcat(path, ".new", NULL);
	guarded_unlink(temporary);
}
