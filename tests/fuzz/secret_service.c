/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what a guest may say to us, and what names we may have to send.
 *
 * Input: up to the first NUL what the guest says, the rest a file name. A real delivery runs
 * against a socket that says the former and closes: only a guest that said the hello and blanks may
 * ever get a byte. The name is printed into a message and read back as Guile would read it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(gboolean good, const char *what)
{
	if (!good) {
		fprintf(stderr, "broken promise: %s\n", what);
		abort();
	}
}

static gboolean
on_hello(struct secret_delivery *delivery, int fd, void *data)
{
	(void)delivery;
	(void)fd;
	*(gboolean *)data = TRUE;
	return TRUE;
}

static void
on_done(struct secret_delivery *delivery, const GError *error, void *data)
{
	(void)delivery;
	(void)error;
	(void)data;
}

static gboolean
is_hello(const uint8_t *said, size_t size)
{
	size_t length = strlen(SECRET_SERVICE_HELLO);

	if (size < length || memcmp(said, SECRET_SERVICE_HELLO, length) != 0)
		return FALSE;
	for (size_t i = length; i < size; i++)
		if (!memchr(" \t\r\n", said[i], 4))
			return FALSE;
	return TRUE;
}

static void
fuzz_hello(const uint8_t *said, size_t size)
{
	static const char text[] = "message";
	static struct ev_loop *loop;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	struct secret_service_limits limits = {50, 50, 50, 50};
	g_autoptr(GBytes) message = g_bytes_new_static(text, sizeof text);
	gboolean greeted = FALSE;
	char heard[64];

	if (!loop)
		loop = ev_loop_new(EVFLAG_AUTO);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(listener, (struct sockaddr *)&address, length) == 0 &&
		    listen(listener, 1) == 0 &&
		    getsockname(listener, (struct sockaddr *)&address, &length) == 0,
		"a socket");
	struct secret_delivery *delivery =
	    secret_delivery_new(loop, "127.0.0.1", ntohs(address.sin_port), message, &limits,
				on_hello, on_done, &greeted);
	ev_run(loop, EVRUN_ONCE); /* it connects */
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	require(send(client, said, size, MSG_NOSIGNAL) == (ssize_t)size, "a send");
	shutdown(client, SHUT_WR);
	ev_run(loop, 0);
	ssize_t count = recv(client, heard, sizeof heard, MSG_DONTWAIT);
	require(greeted || count <= 0, "a guest without the hello gets nothing");
	require(!greeted || is_hello(said, size), "only the hello is the hello");
	secret_delivery_free(delivery);
	close(client);
	close(listener);
}

/* Read a string as Guile's `read` does; the end of it, or NULL. */
static const char *
read_string(const char *at, const char *end, GString *out)
{
	static const char letters[] = "abtnvfr";

	if (at == end || *at++ != '"')
		return NULL;
	while (at < end && *at != '"') {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return NULL; /* never raw */
		if (*at != '\\') {
			g_string_append_c(out, *at++);
			continue;
		}
		char kind = at[1];
		int digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 6 : 0;
		const char *letter = kind ? strchr(letters, kind) : NULL;
		if (digits) {
			g_autofree char *hex = g_strndup(at + 2, (gsize)digits);
			g_string_append_unichar(out, (gunichar)strtoul(hex, NULL, 16));
		} else {
			g_string_append_c(out, letter ? (char)(7 + (letter - letters)) : kind);
		}
		at += 2 + digits;
	}
	return at < end ? at + 1 : NULL;
}

static void
fuzz_name(const uint8_t *name, size_t size)
{
	static const char start[] = "(secrets (version 0) (files ((", middle[] = " 4 33152))))abc";
	g_autofree char *text = g_strndup((const char *)name, size);
	struct secret_file file = {
	    .name = text, .mode = S_IFREG | 0600, .content = g_bytes_new_static("abc", 4)};
	g_autoptr(GPtrArray) files = g_ptr_array_new();
	g_autoptr(GString) back = g_string_new(NULL);
	gsize length = 0;

	g_ptr_array_add(files, &file);
	g_autoptr(GBytes) message = secret_service_message(files, NULL);
	g_bytes_unref(file.content);
	require((message != NULL) == g_utf8_validate(text, -1, NULL),
		"UTF-8 and nothing else is sent");
	if (!message)
		return;
	const char *bytes = g_bytes_get_data(message, &length), *end = bytes + length;
	require(length > sizeof start && memcmp(bytes, start, sizeof start - 1) == 0, "the start");
	const char *at = read_string(bytes + sizeof start - 1, end, back);
	require(at && strcmp(back->str, text) == 0, "a name comes back as it was");
	require(end - at == sizeof middle && memcmp(at, middle, sizeof middle) == 0, "the rest");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
	size_t said = nul ? (size_t)(nul - data) : size;

	if (said > 4096)
		return 0;
	fuzz_hello(data, said);
	if (nul)
		fuzz_name(nul + 1, size - said - 1);
	return 0;
}
