/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file that grows, is truncated and is replaced while it is read. */
#include "config/base/growing_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char *folder, *path, *old;
	struct growing_file file;
};

static void
put(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
	close(fd);
}

static void
append(const struct place *p, const char *text)
{
	put(p->path, O_APPEND, text);
}

static void
replace(const struct place *p, const char *text)
{
	g_assert_cmpint(g_rename(p->path, p->old), ==, 0);
	append(p, text);
}

static void
assert_read(struct place *p, const char *expected, gboolean anew)
{
	char bytes[100];
	gboolean other;
	gsize n = growing_file_read(&p->file, bytes, sizeof bytes - 1, &other);
	bytes[n] = '\0';
	g_assert_cmpstr(bytes, ==, expected);
	g_assert_cmpint(other, ==, anew);
	if (!p->file.held)
		g_assert_cmpint(p->file.fd, ==, -1);
}

static void
place_make(struct place *p)
{
	*p = (struct place){.folder = g_dir_make_tmp("childhurd-growing-XXXXXX", NULL)};
	p->path = g_build_filename(p->folder, "log", NULL);
	p->old = g_build_filename(p->folder, "log.1", NULL);
}

static void
place_clear(struct place *p)
{
	growing_file_clear(&p->file);
	g_unlink(p->path);
	g_unlink(p->old);
	g_assert_cmpint(g_rmdir(p->folder), ==, 0);
	g_free(p->path);
	g_free(p->old);
	g_free(p->folder);
}

static void
test_growth(gconstpointer held)
{
	struct place p;
	place_make(&p);
	growing_file_init(&p.file, p.path, TRUE, held != NULL);
	assert_read(&p, "", FALSE);
	g_assert_cmpint(p.file.problem, ==, ENOENT);
	append(&p, "it is there\n");
	assert_read(&p, "it is there\n", FALSE);
	g_assert_cmpint(p.file.problem, ==, 0);
	assert_read(&p, "", FALSE);
	append(&p, "and gr");
	append(&p, "ows\n");
	assert_read(&p, "and grows\n", FALSE);
	growing_file_clear(&p.file);

	growing_file_init(&p.file, p.path, TRUE, held != NULL);
	assert_read(&p, "", FALSE);
	p.file.offset = 3;
	assert_read(&p, "is there\nand grows\n", FALSE);
	growing_file_clear(&p.file);
	growing_file_init(&p.file, p.path, FALSE, held != NULL);
	assert_read(&p, "it is there\nand grows\n", FALSE);
	place_clear(&p);
}

static void
test_truncated(gconstpointer held)
{
	struct place p;
	place_make(&p);
	append(&p, "before\n");
	growing_file_init(&p.file, p.path, TRUE, held != NULL);
	put(p.path, O_TRUNC, "new\n");
	assert_read(&p, "new\n", TRUE);
	put(p.path, O_TRUNC, "");
	assert_read(&p, "", TRUE);
	assert_read(&p, "", FALSE);
	append(&p, "newer\n");
	assert_read(&p, "newer\n", FALSE);
	place_clear(&p);
}

static void
test_replaced(gconstpointer held)
{
	struct place p;
	place_make(&p);
	append(&p, "before\n");
	growing_file_init(&p.file, p.path, FALSE, held != NULL);
	assert_read(&p, "before\n", FALSE);
	append(&p, "last words\n");
	replace(&p, "another, longer than the one before\n");
	if (held)
		assert_read(&p, "last words\n", FALSE);
	assert_read(&p, "another, longer than the one before\n", TRUE);
	assert_read(&p, "", FALSE);
	g_unlink(p.path);
	assert_read(&p, "", FALSE);
	append(&p, "x");
	assert_read(&p, "x", TRUE);
	place_clear(&p);
}

/* Not that it is waited for, or that a folder has an end to begin at. */
static void
test_no_file(gconstpointer held)
{
	struct place p;
	place_make(&p);
	g_assert_cmpint(mkfifo(p.path, 0600), ==, 0);
	growing_file_init(&p.file, p.path, TRUE, held != NULL);
	assert_read(&p, "", FALSE);
	growing_file_clear(&p.file);
	growing_file_init(&p.file, p.folder, TRUE, held != NULL);
	g_assert_cmpint(p.file.offset, ==, 0);
	assert_read(&p, "", FALSE);
	place_clear(&p);
}

int
main(int argc, char *argv[])
{
	static const char *const kinds[] = {"opened-each-time", "held"};
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
		const struct {
			const char *name;
			GTestDataFunc test;
		} tests[] = {{"growth-is-read-on", test_growth},
			     {"a-truncated-file-begins-anew", test_truncated},
			     {"a-replaced-file-begins-anew", test_replaced},
			     {"what-is-no-plain-file-has-nothing", test_no_file}};
		for (gsize t = 0; t < G_N_ELEMENTS(tests); t++) {
			g_autofree char *path =
			    g_strdup_printf("/growing-file/%s/%s", kinds[i], tests[t].name);
			g_test_add_data_func(path, i ? kinds : NULL, tests[t].test);
		}
	}
	return g_test_run();
}
