/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sd_notify(3) without libsystemd: the protocol is one datagram of KEY=VALUE lines. s6, Shepherd
 * and others that supervise understand it, too, so NOTIFY_SOCKET is all that decides.
 */
#include "service/notify.h"

#include <errno.h>
#include <glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The address that name stands for; its length, 0 when it is none (relative, too long). */
static socklen_t
address_from(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof address->sun_path)
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, length);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	/* An abstract name is as long as it is said to be; a path may, and here does not, include
	 * its NUL. */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void
notify_send(const char *state)
{
	const char *name = g_getenv("NOTIFY_SOCKET");
	if (!name || !*name)
		return;
	struct sockaddr_un address;
	socklen_t length = address_from(name, &address);
	if (!length) {
		g_warning(
		    "NOTIFY_SOCKET=%s is neither an absolute path nor @name of at most %zu bytes",
		    name, sizeof address.sun_path - 1);
		return;
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0)
		g_debug("NOTIFY_SOCKET=%s: %s", name, g_strerror(errno));
	if (fd >= 0)
		close(fd);
}
