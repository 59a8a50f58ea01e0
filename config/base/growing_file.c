/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that was truncated, and has grown beyond offset since the last read, looks like one that
 * only grew. This is no problem in practice: files are truncated far less often than they are read.
 */
#include "config/base/growing_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
is_anew(const struct growing_file *file, const struct stat *now)
{
	return now->st_ino != file->inode || now->st_dev != file->device ||
	       now->st_size < file->offset;
}

static void
file_close(struct growing_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

static gboolean
file_open(struct growing_file *file, gboolean *anew)
{
	struct stat now;
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	file->problem = file->fd < 0 ? errno : 0;
	if (file->fd < 0)
		return FALSE;
	if (fstat(file->fd, &now) < 0 || !S_ISREG(now.st_mode)) {
		file_close(file);
		return FALSE;
	}
	*anew = file->inode && is_anew(file, &now);
	if (*anew)
		file->offset = 0;
	file->device = now.st_dev;
	file->inode = now.st_ino;
	return TRUE;
}

void
growing_file_init(struct growing_file *file, const char *path, gboolean at_end, gboolean held)
{
	struct stat now;
	*file = (struct growing_file){.path = g_strdup(path), .held = held, .fd = -1};
	if (!at_end || stat(path, &now) < 0 || !S_ISREG(now.st_mode))
		return;
	file->offset = now.st_size;
	file->device = now.st_dev;
	file->inode = now.st_ino;
}

void
growing_file_clear(struct growing_file *file)
{
	file_close(file);
	g_clear_pointer(&file->path, g_free);
}

static gsize
read_on(struct growing_file *file, char *bytes, gsize n)
{
	gsize got = 0;
	while (got < n) {
		ssize_t more = pread(file->fd, bytes + got, n - got, file->offset);
		if (more <= 0)
			break;
		got += (gsize)more;
		file->offset += more;
	}
	return got;
}

gsize
growing_file_read(struct growing_file *file, void *bytes, gsize n, gboolean *anew)
{
	struct stat now;
	gboolean other = FALSE;
	gsize got = 0;
	if (file->fd >= 0 || file_open(file, &other))
		got = read_on(file, bytes, n);
	if (!got && n && file->fd >= 0 && stat(file->path, &now) == 0 && is_anew(file, &now)) {
		file_close(file);
		if (file_open(file, &other))
			got = read_on(file, bytes, n);
	}
	if (!file->held)
		file_close(file);
	if (anew)
		*anew = other;
	return got;
}
