/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The main function of a fuzzer that does not fuzz: it feeds the fuzzer the files that are named,
 * and those in folders that are named. So a machine without clang can show that what was found once
 * stays repaired.
 *
 *     NAME FILE|FOLDER...
 *
 * Names each file before it is fed, as the last one named is the one that ended the program. Exit
 * status: 0 all were fed, 1 one cannot be read or there is none.
 */
#include <stdio.h>

#include "tests/fuzz/lib/fuzz.h"

#pragma weak LLVMFuzzerInitialize

static gboolean
feed(const char *path, guint *n)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *content = NULL;
	gsize size;
	if (!g_file_get_contents(path, &content, &size, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return FALSE;
	}
	fprintf(stderr, "%s\n", path);
	/* Of its own size, so that a sanitizer notices who reads behind it. */
	g_autofree uint8_t *input = g_memdup2(content, size);
	LLVMFuzzerTestOneInput(input ? input : (const uint8_t *)"", size);
	++*n;
	return TRUE;
}

static gboolean
feed_all(const char *path, guint *n)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	const char *name;
	gboolean good = TRUE;
	if (!folder)
		return feed(path, n);
	while (good && (name = g_dir_read_name(folder))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		good = feed(file, n);
	}
	return good;
}

int
main(int argc, char **argv)
{
	guint n = 0;
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		if (!feed_all(argv[i], &n))
			return 1;
	fprintf(stderr, "%u inputs\n", n);
	return n ? 0 : 1;
}
