/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bind tells the truth; /proc/net/tcp and the open files in /proc tell who is in the way
 * (proc(5)). */
#include "childhurdd/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The inode of the socket that listens on port, 0: none. */
static unsigned long
listener(int port)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents("/proc/net/tcp", &text, NULL, NULL))
		return 0;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		unsigned int local, state;
		unsigned long inode;
		if (sscanf(*line, "%*d: %*x:%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*d %*d %lu", &local,
			   &state, &inode) == 3 &&
		    state == 0x0a /* TCP_LISTEN */ && (int)local == port)
			return inode;
	}
	return 0;
}

static gboolean
has_socket(const char *pid, unsigned long inode)
{
	g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
	g_autofree char *wanted = g_strdup_printf("socket:[%lu]", inode);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *entry;
	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, entry, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);
		if (g_strcmp0(target, wanted) == 0)
			return TRUE;
	}
	return FALSE;
}

/* "process 4711 (sshd)", or NULL when it cannot be seen. Caller frees. */
static char *
owner(int port)
{
	unsigned long inode = listener(port);
	g_autoptr(GDir) proc = inode ? g_dir_open("/proc", 0, NULL) : NULL;
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		if (!g_ascii_isdigit(*entry) || !has_socket(entry, inode))
			continue;
		g_autofree char *path = g_strdup_printf("/proc/%s/comm", entry);
		g_autofree char *name = NULL;
		g_file_get_contents(path, &name, NULL, NULL);
		return g_strdup_printf("process %s (%s)", entry, name ? g_strchomp(name) : "?");
	}
	return NULL;
}

gboolean
port_is_free(const char *address, int port, GError **error)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "%s: not an IPv4 address", address);
		return FALSE;
	}
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	int bound = bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 1) == 0;
	int why = errno;
	close(fd);
	if (bound)
		return TRUE;
	g_autofree char *who = why == EADDRINUSE ? owner(port) : NULL;
	if (why == EADDRINUSE)
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
		    "port %d on %s is taken by %s; end that, or give this guest another port or id",
		    port, address, who ? who : "another process");
	else
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(why), "port %d on %s: %s",
			    port, address, g_strerror(why));
	return FALSE;
}
