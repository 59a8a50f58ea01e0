/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/base/text.h"

void
streams_fill(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDONLY); /* no O_CLOEXEC: children get it too */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

gboolean
streams_write(int fd, const void *bytes, gsize length)
{
	const char *at = bytes;
	while (length) {
		ssize_t n = write(fd, at, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FALSE;
		at += n;
		length -= (gsize)n;
	}
	return TRUE;
}

void
streams_complain(const char *program, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	gboolean terminal = isatty(STDERR_FILENO);
	fflush(stdout);
	for (char **line = lines; *line; line++) {
		g_autofree char *clean = text_output(*line, TRUE, terminal);
		fprintf(stderr, "%s: %s\n", program, clean);
	}
}

gboolean
streams_colours(int fd)
{
	const char *none = g_getenv("NO_COLOR"), *kind = g_getenv("TERM");
	return isatty(fd) && !(none && *none) && kind && strcmp(kind, "dumb") != 0;
}
