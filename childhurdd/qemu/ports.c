/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bind shows whether a port is free; the kernel's tables and the open files in /proc show the
 * process that has it, or is at the other end (proc(5)). */
#include "childhurdd/qemu/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/system/tcp_table.h"
#include "config/base/process_text.h"

/* A socket in this state at port local, its other end at port remote (0 when it listens). */
struct search {
	enum tcp_state wanted;
	guint32 address; /* in network order; INADDR_ANY: any */
	unsigned local, remote;
	struct tcp_socket *found;
	gboolean there;
};

/* Has it the address, or all? A socket of IPv6 may have it. */
static gboolean
has_address(const struct tcp_socket *socket, guint32 address)
{
	return address == INADDR_ANY || socket->local == INADDR_ANY || socket->local == address;
}

static gboolean
compare(const struct tcp_socket *socket, void *data)
{
	struct search *s = data;
	s->there = socket->local_port == s->local && has_address(socket, s->address) &&
		   (s->wanted == TCP_ANY ||
		    (socket->state == s->wanted && socket->remote_port == s->remote));
	if (s->there)
		*s->found = *socket;
	return s->there;
}

/* FALSE: there is none. A socket of IPv6 may also have the port in IPv4. */
static gboolean
find_socket(enum tcp_state wanted, guint32 address, unsigned local, unsigned remote,
	    struct tcp_socket *found)
{
	struct search s = {
	    .wanted = wanted, .address = address, .local = local, .remote = remote, .found = found};
	tcp_table_read(TCP_TABLE, compare, &s);
	if (!s.there)
		tcp_table_read(TCP_TABLE_6, compare, &s);
	return s.there;
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

/* The process that has this socket open; 0: none, or it cannot be seen. */
static pid_t
holder(const struct tcp_socket *socket)
{
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		if (g_ascii_isdigit(*entry) && has_socket(entry, socket->inode))
			return (pid_t)g_ascii_strtoll(entry, NULL, 10);
	}
	return 0;
}

/* In network order; text that is no address: any. */
static guint32
address_of(const char *text)
{
	struct in_addr address;
	return inet_pton(AF_INET, text, &address) == 1 ? address.s_addr : INADDR_ANY;
}

pid_t
port_owner(const char *address, int port)
{
	struct tcp_socket socket;
	return find_socket(TCP_LISTEN, address_of(address), (unsigned int)port, 0, &socket)
		   ? holder(&socket)
		   : 0;
}

static void
say_taken(const char *address, int port, GError **error)
{
	struct tcp_socket socket;
	guint32 where = address_of(address);
	gboolean listens = find_socket(TCP_LISTEN, where, (unsigned int)port, 0, &socket);
	if (!listens && find_socket(TCP_ANY, where, (unsigned int)port, 0, &socket)) {
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
		    "port %d on %s is taken by a connection of this host, until a minute after its "
		    "end; reserve it (sysctl net.ipv4.ip_local_reserved_ports), or give this guest "
		    "another port or id",
		    port, address);
		return;
	}
	g_autofree char *who = process_text(listens ? holder(&socket) : 0);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
		    "port %d on %s is taken by %s; end that, or give this guest another port or id",
		    port, address, who);
}

gboolean
port_peer_is(int fd, pid_t pid)
{
	struct sockaddr_in ours = {0}, theirs = {0};
	socklen_t length = sizeof ours;
	struct tcp_socket socket;
	struct stat st;
	g_autofree char *name = g_strdup_printf("%d", (int)pid);
	g_autofree char *folder = g_strdup_printf("/proc/%d", (int)pid);
	g_autofree char *files = g_build_filename(folder, "fd", NULL);
	if (getsockname(fd, (struct sockaddr *)&ours, &length) < 0 ||
	    getpeername(fd, (struct sockaddr *)&theirs, &length) < 0 ||
	    !find_socket(TCP_ESTABLISHED, theirs.sin_addr.s_addr, ntohs(theirs.sin_port),
			 ntohs(ours.sin_port), &socket))
		return FALSE;
	if (access(files, R_OK) == 0)
		return has_socket(name, socket.inode);
	return stat(folder, &st) == 0 && st.st_uid == socket.uid;
}

/* Ports below this one are for root, and QEMU never runs as root (ip(7)). */
static int
first_for_all(void)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start", &text, NULL,
				 NULL))
		return 1024;
	return (int)g_ascii_strtoll(text, NULL, 10);
}

/* The reason why it cannot be bound, other than that it is in use. */
static void
say_why(const char *address, int port, int why, GError **error)
{
	if (why == EADDRNOTAVAIL)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "listen-address %s: no interface of this host has it; name one that "
			    "`ip address` shows, or 127.0.0.1",
			    address);
	else if (why == EACCES)
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "port %d on %s: ports below %d are for root, and QEMU never runs as root; "
		    "give the guest a higher one, or lower sysctl "
		    "net.ipv4.ip_unprivileged_port_start",
		    port, address, first_for_all());
	else if (why == EAFNOSUPPORT)
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
		    "port %d on %s: this kernel has no IPv4, which QEMU's user network needs", port,
		    address);
	else
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(why), "port %d on %s: %s",
			    port, address, g_strerror(why));
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
	if (fd < 0) {
		say_why(address, port, errno, error);
		return FALSE;
	}
	int yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	int bound = bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 1) == 0;
	int why = errno;
	close(fd);
	if (bound && geteuid() == 0 && port < first_for_all()) {
		bound = FALSE;
		why = EACCES;
	}
	if (!bound && why == EADDRINUSE)
		say_taken(address, port, error);
	else if (!bound)
		say_why(address, port, why, error);
	return bound;
}
