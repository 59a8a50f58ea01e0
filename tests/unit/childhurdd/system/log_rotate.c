/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs that another program has open with O_APPEND. */
#include "childhurdd/system/log_rotate.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bed {
	char *folder, *log, *copy, *older;
	int fd; /* open as QEMU has it */
};

static void
bed_make(struct bed *bed)
{
	bed->folder = g_dir_make_tmp("log-rotate-XXXXXX", NULL);
	bed->log = g_build_filename(bed->folder, "a.log", NULL);
	bed->copy = g_strconcat(bed->log, ".1", NULL);
	bed->older = g_strconcat(bed->log, ".2", NULL);
	bed->fd = open(bed->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	g_assert_cmpint(bed->fd, >=, 0);
}

static void
bed_remove(struct bed *bed)
{
	close(bed->fd);
	g_remove(bed->log);
	g_remove(bed->copy);
	g_assert_cmpint(g_rmdir(bed->folder), ==, 0);
	g_free(bed->folder);
	g_free(bed->log);
	g_free(bed->copy);
	g_free(bed->older);
}

static gint64
size_of(const char *path)
{
	struct stat status;
	return stat(path, &status) < 0 ? -1 : (gint64)status.st_size;
}

static void
write_lines(const struct bed *bed, gint64 bytes)
{
	static const char line[] = "slirp: a packet that is none\n";
	for (; bytes > 0; bytes -= (gint64)strlen(line))
		g_assert_cmpint(write(bed->fd, line, strlen(line)), ==, (gssize)strlen(line));
}

static void
test_flood(void)
{
	struct bed bed;
	bed_make(&bed);
	for (int i = 0; i < 20; i++) {
		write_lines(&bed, 3 * LOG_LIMIT); /* between two looks */
		log_rotate_all(bed.folder);
		g_assert_cmpint(size_of(bed.log), ==, 0);
		g_assert_cmpint(size_of(bed.copy), >, LOG_LIMIT);
		g_assert_cmpint(size_of(bed.copy), <=, LOG_LIMIT + LOG_LIMIT / 4);
		g_assert_cmpint(size_of(bed.older), ==, -1);
	}
	/* later output is at the start, and complete */
	g_assert_cmpint(write(bed.fd, "last words\n", 11), ==, 11);
	log_rotate_all(bed.folder);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(bed.log, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "last words\n");
	bed_remove(&bed);
}

static void
test_small(void)
{
	struct bed bed;
	bed_make(&bed);
	write_lines(&bed, LOG_LIMIT / 2);
	gint64 size = size_of(bed.log);
	log_rotate_all(bed.folder);
	g_assert_cmpint(size_of(bed.log), ==, size);
	g_assert_cmpint(size_of(bed.copy), ==, -1);
	bed_remove(&bed);
}

/* A hole of 64 GiB, and a copy that cannot be made, as on a full disk. */
static void
test_hopeless(void)
{
	struct bed bed;
	bed_make(&bed);
	g_autofree char *temporary = g_strconcat(bed.copy, ".new", NULL);
	g_assert_cmpint(g_mkdir(temporary, 0700), ==, 0);
	g_assert_cmpint(ftruncate(bed.fd, (off_t)64 << 30), ==, 0);
	log_rotate_all(bed.folder);
	g_assert_cmpint(size_of(bed.log), ==, 0);
	/* an older copy has no part of it: a reader of that begins after its end */
	gint64 ahead = 0;
	write_lines(&bed, 5 * LOG_LIMIT);
	gint64 size = size_of(bed.log);
	g_assert_true(log_rotate(bed.log, LOG_LIMIT, 1, &ahead, NULL));
	g_assert_cmpint(size_of(bed.log), ==, 0);
	g_assert_cmpint(ahead, ==, -size);
	write_lines(&bed, 2 * LOG_LIMIT);
	log_rotate_all(bed.folder); /* but a shorter one is kept for a later try */
	g_assert_cmpint(size_of(bed.log), >=, 2 * LOG_LIMIT);
	g_assert_cmpint(g_rmdir(temporary), ==, 0);
	log_rotate_all(bed.folder);
	g_assert_cmpint(size_of(bed.log), ==, 0);
	g_assert_cmpint(size_of(bed.copy), >, LOG_LIMIT);
	bed_remove(&bed);
}

static void
test_link(void)
{
	struct bed bed;
	bed_make(&bed);
	g_autofree char *link = g_build_filename(bed.folder, "link.log", NULL);
	g_autofree char *stranger = g_build_filename(bed.folder, "stranger", NULL);
	g_assert_cmpint(g_rename(bed.log, stranger), ==, 0);
	write_lines(&bed, 2 * LOG_LIMIT);
	g_assert_cmpint(symlink(stranger, link), ==, 0);
	log_rotate_all(bed.folder);
	g_assert_cmpint(size_of(stranger), >=, 2 * LOG_LIMIT);
	g_remove(link);
	g_remove(stranger);
	bed_remove(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/log-rotate/a-flood-has-a-limit", test_flood);
	g_test_add_func("/log-rotate/a-small-log-is-left-alone", test_small);
	g_test_add_func("/log-rotate/what-cannot-be-kept-is-lost-before-it-fills-the-disk",
			test_hopeless);
	g_test_add_func("/log-rotate/a-link-is-not-followed", test_link);
	return g_test_run();
}
