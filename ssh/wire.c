/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TCP connections to a guest's forwarded ports, made without waiting.
 *
 * Addresses are literals, so getaddrinfo with AI_NUMERICHOST only parses: it asks no resolver and
 * does not block.
 */
#include "ssh/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int
wire_connect(const char *address, int port, int *problem)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char service[16];
	const int one = 1;

	snprintf(service, sizeof service, "%d", port);
	if (port < 1 || port > 65535 || getaddrinfo(address, service, &hints, &found) != 0) {
		*problem = EINVAL;
		return -1;
	}
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		*problem = errno;
		freeaddrinfo(found);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	/* The system could choose a guest's port for our end; this keeps it free. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (connect(fd, found->ai_addr, found->ai_addrlen) == -1 && errno != EINPROGRESS) {
		*problem = errno;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

int
wire_error(int fd)
{
	int problem = 0;
	socklen_t size = sizeof problem;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) == -1)
		return errno;
	return problem;
}

int
wire_port(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
		return 0;
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return address.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&address)->sin_port) : 0;
}

guint
wire_round_trip(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_rtt : 0;
}

char *
wire_excerpt(const void *bytes, gsize length)
{
	const unsigned char *byte = bytes;
	GString *text = g_string_new("\"");

	for (gsize i = 0; i < length && i < WIRE_EXCERPT_MAX; i++) {
		if (byte[i] == '"' || byte[i] == '\\')
			g_string_append_printf(text, "\\%c", byte[i]);
		else if (byte[i] >= 0x20 && byte[i] < 0x7f)
			g_string_append_c(text, (char)byte[i]);
		else
			g_string_append_printf(text, "\\x%02x", byte[i]);
	}
	g_string_append(text, length > WIRE_EXCERPT_MAX ? "...\"" : "\"");
	return g_string_free(text, FALSE);
}
