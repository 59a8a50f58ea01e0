/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that others read at any moment, machines.scm above all: half of one, and every build of
 * every system fails. So a file is written aside, brought to the disk and renamed over the old one;
 * after a crash of the host, too, it is one or the other.
 */
#include "config/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/io_error.h"

static gboolean
write_all(int fd, const char *content, gsize length)
{
	while (length) {
		ssize_t n = write(fd, content, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FALSE;
		content += n;
		length -= (gsize)n;
	}
	return TRUE;
}

/* The rename itself is only on disk when the folder is. */
static gboolean
sync_folder(const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return FALSE;
	gboolean synced = fsync(fd) == 0 || errno == EINVAL; /* not every file system can */
	close(fd);
	return synced;
}

gboolean
atomic_file_write(const char *path, const char *content, gssize length, mode_t mode, GError **error)
{
	g_autofree char *temporary = g_strconcat(path, ".new", NULL);
	unlink(temporary); /* of a killed process; perhaps with another mode or owner */
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return io_error(error, temporary, "cannot be made");
	gboolean written = fchmod(fd, mode) == 0 &&
			   write_all(fd, content, length < 0 ? strlen(content) : (gsize)length) &&
			   fsync(fd) == 0;
	int why = errno;
	if (close(fd) < 0 && written) {
		written = FALSE;
		why = errno;
	}
	if (written && rename(temporary, path) == 0)
		return sync_folder(path) || io_error(error, path, "cannot sync its folder");
	if (!written)
		errno = why;
	io_error(error, path, "cannot be written");
	unlink(temporary);
	return FALSE;
}

void
atomic_file_tidy(const char *path)
{
	g_autofree char *temporary = g_strconcat(path, ".new", NULL);
	unlink(temporary);
}
