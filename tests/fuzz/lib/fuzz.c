/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/lib/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
require(gboolean good, const char *promise, const char *subject)
{
	if (good)
		return;
	fprintf(stderr, "broken promise: %s%s%s\n", promise, subject ? ": " : "",
		subject ? subject : "");
	abort();
}

char *
fuzz_part(const uint8_t **data, size_t *size, char end)
{
	if (!*size)
		return NULL;
	const uint8_t *found = memchr(*data, end, *size);
	size_t length = found ? (size_t)(found - *data) : *size;
	char *part = g_strndup((const char *)*data, length);
	*data += length + (found ? 1 : 0);
	*size -= length + (found ? 1 : 0);
	return part;
}

static char *folder;
static pid_t owner;

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	return remove(path);
}

static void
remove_folder(void)
{
	if (getpid() == owner)
		nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
fuzz_folder(void)
{
	if (folder)
		return folder;
	folder = g_dir_make_tmp("childhurd-fuzz-XXXXXX", NULL);
	require(folder != NULL, "a folder can be made", NULL);
	owner = getpid();
	atexit(remove_folder);
	return folder;
}

void
fuzz_write(const char *path, const void *bytes, gsize n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "a file can be written", path);
	close(fd);
}

int
fuzz_listen(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(listener, (struct sockaddr *)&address, length) == 0 &&
		    listen(listener, 1) == 0 &&
		    getsockname(listener, (struct sockaddr *)&address, &length) == 0,
		"a socket", NULL);
	*port = ntohs(address.sin_port);
	return listener;
}
