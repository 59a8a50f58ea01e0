/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt makes the socket and gives it to QEMU as a descriptor (libvirt, src/qemu/qemu_process.c,
 * qemuProcessPrepareHostBackendChardevOne). It belongs to the daemon's user, and nobody else may
 * write to it, as connecting requires (unix(7)). It stays when QEMU ends; the next start replaces
 * it.
 */
#include "childhurdd/qemu/serial.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

char *
serial_path(const char *directory)
{
	char *path = g_build_filename(directory, "console", NULL);
	if (strlen(path) > SERIAL_PATH_MAX)
		g_clear_pointer(&path, g_free);
	return path;
}

static int
fail(GError **error, int fd, int code, const char *why)
{
	if (fd >= 0)
		close(fd);
	g_set_error_literal(error, G_IO_ERROR, (gint)g_io_error_from_errno(code), why);
	return -1;
}

int
serial_connect(const char *path, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!path)
		return fail(error, -1, ENAMETOOLONG,
			    "its folder's path is too long for a socket (107 bytes); set a shorter "
			    "state-directory");
	g_assert(strlen(path) < sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int code = errno;
	/* A QEMU of an older daemon has no such socket, or that of an earlier QEMU. */
	if (code == ENOENT || code == ECONNREFUSED)
		return fail(
		    error, fd, code,
		    "it was started by an older childhurdd, and its console can only be read; "
		    "restart it first");
	if (code == EAGAIN)
		return fail(error, fd, code, "somebody else is connected to its console's socket");
	g_autofree char *why = g_strdup_printf("%s: %s", path, g_strerror(code));
	return fail(error, fd, code, why);
}
