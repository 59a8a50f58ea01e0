/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/lib/guile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/lib/fuzz.h"

#define READER "tests/fuzz/lib/reader.scm"
#define LIMIT  60000 /* ms for one answer: other programs may be at work */

static struct {
	int in, out; /* its stdin and stdout */
	char *file;
} guile = {.in = -1};

static void
start(const char *form)
{
	const char *const argv[] = {"guile", "--no-auto-compile", "-q", READER, form, NULL};
	g_autoptr(GError) error = NULL;
	require(access(READER, R_OK) == 0, "this runs at the top of the sources", READER);
	/* Its end is that of its stdin. */
	g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
				 G_SPAWN_SEARCH_PATH | G_SPAWN_CLOEXEC_PIPES, NULL, NULL, NULL,
				 &guile.in, &guile.out, NULL, &error);
	require(!error, "guile can be run", error ? error->message : NULL);
	guile.file = g_build_filename(fuzz_folder(), "read-by-guile", NULL);
}

static void
get(char *bytes, gsize n)
{
	while (n) {
		struct pollfd ready = {.fd = guile.out, .events = POLLIN};
		int found = poll(&ready, 1, LIMIT);
		if (found < 0 && errno == EINTR) /* the fuzzing library's timer */
			continue;
		require(found > 0, "guile answers", NULL);
		ssize_t got = read(guile.out, bytes, n);
		require(got > 0, "guile goes on", NULL);
		bytes += got;
		n -= (gsize)got;
	}
}

GString *
guile_read(const char *form, const char *text, gsize n)
{
	char digits[32] = "", *end = digits;
	if (guile.in < 0)
		start(form);
	fuzz_write(guile.file, text, n);
	g_autofree char *line = g_strconcat(guile.file, "\n", NULL);
	require(write(guile.in, line, strlen(line)) == (ssize_t)strlen(line), "guile listens",
		NULL);
	do {
		require(end < digits + sizeof digits, "guile's answer has a length", digits);
		get(end, 1);
	} while (*end++ != '\n');
	gsize size = strtoul(digits, NULL, 10);
	GString *answer = g_string_sized_new(size);
	g_string_set_size(answer, size);
	get(answer->str, size);
	return answer;
}

void
guile_append(GString *out, const char *text)
{
	g_string_append_printf(out, "%zu:%s", strlen(text), text);
}
