/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other program holds the file open, so this copies and then truncates it. The program must
 * have opened it with O_APPEND, so that its next byte goes to the new start. QEMU does so with a
 * console's log (libvirt's <source append='on'>), libvirt with QEMU's standard error
 * (src/qemu/qemu_domain.c, qemuDomainLogContextNew) and with its own log (src/util/virlog.c,
 * virLogNewOutputToFile).
 *
 * Code that controls a QEMU can make the file as long as it likes, for instance with a hole of 64
 * GiB. So nothing here takes time in proportion to the file's size.
 */
#include "childhurdd/system/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/streams.h"

#define COPY_SIZE (64 * 1024)
/* times the limit: a log longer than this is truncated even if it cannot be copied, for instance on
 * a full disk */
#define LOG_HOPELESS 4

/* Copy at most max bytes of from, from its current position, to a new file to. */
static gboolean
copy_rest(int from, gint64 offset, gint64 max, int to)
{
	g_autofree char *buffer = g_malloc(COPY_SIZE);
	const gint64 end = offset + max;

	while (offset < end) {
		ssize_t got = pread(from, buffer, (gsize)MIN(COPY_SIZE, end - offset), offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0;
		if (!streams_write(to, buffer, (gsize)got))
			return FALSE;
		offset += got;
	}
	return TRUE;
}

/* Copy from, of size bytes, to a new file to; if it is far longer than limit, only its end, after a
 * line that states this. *ahead: how many bytes nearer to the start a byte is in the copy. */
static gboolean
copy_end(int from, gint64 size, gint64 limit, int to, gint64 *ahead)
{
	gint64 longest = limit + limit / 4;
	gint64 left_out = size > longest ? size - limit : 0;
	g_autofree char *note = left_out ? g_strdup_printf("[childhurdd: %" G_GINT64_FORMAT
							   " bytes before this were left out]\n",
							   left_out)
					 : g_strdup("");

	*ahead = left_out - (gint64)strlen(note);
	return streams_write(to, note, strlen(note)) && copy_rest(from, left_out, longest, to);
}

/* path.1 becomes path.2 and so on; the oldest is replaced. Errors do not matter: one copy less does
 * no harm. */
static void
copies_shift(const char *path, int copies)
{
	for (int i = copies; i > 1; i--) {
		g_autofree char *newer = g_strdup_printf("%s.%d", path, i - 1);
		g_autofree char *older = g_strdup_printf("%s.%d", path, i);

		rename(newer, older);
	}
}

/* The order is: copy, move the copies, put the new one in its place, truncate. A daemon killed in
 * between loses nothing. */
static gboolean
rotate_fd(int fd, gint64 size, const char *path, gint64 limit, int copies, gint64 *ahead)
{
	g_autofree char *temporary = g_strconcat(path, ".1.new", NULL);
	g_autofree char *copy = g_strconcat(path, ".1", NULL);
	int to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	gboolean good = FALSE;

	if (to >= 0 && copy_end(fd, size, limit, to, ahead)) {
		copies_shift(path, copies);
		good = rename(temporary, copy) == 0 && ftruncate(fd, 0) == 0;
	}
	if (!good) {
		int number = errno;

		unlink(temporary);
		if (size > LOG_HOPELESS * limit && ftruncate(fd, 0) == 0) {
			good = TRUE;
			*ahead = -size; /* no copy has any byte of it */
		}
		errno = number;
	}
	if (to >= 0)
		close(to);
	return good;
}

gboolean
log_rotate(const char *path, gint64 size, int copies, gint64 *ahead, GError **error)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat status;
	gint64 unasked;
	gboolean good = FALSE;

	if (!ahead)
		ahead = &unasked;
	*ahead = 0;
	if (fd < 0 && errno == ENOENT)
		return TRUE;
	if (fd >= 0 && fstat(fd, &status) == 0)
		good = status.st_size <= size ||
		       rotate_fd(fd, status.st_size, path, size, copies, ahead);
	if (!good)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "%s: cannot rotate: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

void
log_rotate_all(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_autoptr(GError) error = NULL;

		if (g_str_has_suffix(name, ".log") &&
		    !log_rotate(path, LOG_LIMIT, LOG_COPIES, NULL, &error))
			g_debug("%s", error->message);
	}
}
