/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file replaced as a whole: what readers see, what a killed process may leave, what an error
 * leaves. */
#include "config/base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/refuse.h"

struct place {
	char *dir, *path, *temporary;
};

static void
place_make(struct place *p, gconstpointer data)
{
	p->dir = g_dir_make_tmp("atomic-file-XXXXXX", NULL);
	g_assert_nonnull(p->dir);
	p->path = g_build_filename(p->dir, "machines.scm", NULL);
	p->temporary = g_strconcat(p->path, ".new", NULL);
}

static void
place_clear(struct place *p, gconstpointer data)
{
	g_remove(p->temporary);
	g_remove(p->path);
	g_assert_cmpint(g_rmdir(p->dir), ==, 0); /* nothing else was left there */
	g_free(p->dir);
	g_free(p->path);
	g_free(p->temporary);
}

static void
write_good(const struct place *p, const char *content, gssize length, mode_t mode)
{
	g_autoptr(GError) error = NULL;
	gboolean written = atomic_file_write(p->path, content, length, mode, &error);
	g_assert_no_error(error);
	g_assert_true(written);
	g_assert_false(g_file_test(p->temporary, G_FILE_TEST_EXISTS));
}

static void
assert_content(const struct place *p, const char *expected, gsize expected_length)
{
	g_autofree char *content = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(p->path, &content, &length, NULL));
	g_assert_cmpmem(content, length, expected, expected_length);
}

static mode_t
mode_of(const char *path)
{
	struct stat status;
	g_assert_cmpint(lstat(path, &status), ==, 0);
	g_assert_true(S_ISREG(status.st_mode));
	return status.st_mode & 07777;
}

static void
test_replaces(struct place *p, gconstpointer data)
{
	write_good(p, "a longer old content", -1, 0644);
	write_good(p, "new", -1, 0644);
	assert_content(p, "new", 3);
	write_good(p, "a\0b and more", 3, 0644);
	assert_content(p, "a\0b", 3);
	write_good(p, "", -1, 0644);
	assert_content(p, "", 0);
}

static void
test_mode(struct place *p, gconstpointer data)
{
	static const mode_t umasks[] = {0, 022, 077, 0777};
	for (gsize i = 0; i < G_N_ELEMENTS(umasks); i++) {
		mode_t before = umask(umasks[i]);
		write_good(p, "x", -1, 0644);
		g_assert_cmpint(mode_of(p->path), ==, 0644);
		write_good(p, "x", -1, 0600);
		g_assert_cmpint(mode_of(p->path), ==, 0600);
		umask(before);
	}
}

/* Who has the old file open goes on reading the old file. */
static void
test_reader(struct place *p, gconstpointer data)
{
	char bytes[16];
	write_good(p, "old content", -1, 0644);
	int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	write_good(p, "new", -1, 0644);
	g_assert_cmpint(read(fd, bytes, sizeof bytes), ==, strlen("old content"));
	g_assert_cmpmem(bytes, 11, "old content", 11);
	close(fd);
}

/* What lies at the temporary name is neither written through nor trusted with its mode. */
static void
test_left_over(struct place *p, gconstpointer data)
{
	g_autofree char *victim = g_build_filename(p->dir, "victim", NULL);
	g_assert_true(g_file_set_contents(victim, "safe", -1, NULL));
	g_assert_cmpint(symlink(victim, p->temporary), ==, 0);
	write_good(p, "secret", -1, 0600);
	g_autofree char *content = NULL;
	g_assert_true(g_file_get_contents(victim, &content, NULL, NULL));
	g_assert_cmpstr(content, ==, "safe");
	g_assert_cmpint(mode_of(p->path), ==, 0600);
	g_remove(victim);

	g_assert_true(g_file_set_contents(p->temporary, "half a fi", -1, NULL));
	g_assert_cmpint(g_chmod(p->temporary, 0666), ==, 0);
	write_good(p, "whole", -1, 0600);
	assert_content(p, "whole", 5);
	g_assert_cmpint(mode_of(p->path), ==, 0600);
}

static void
test_link(struct place *p, gconstpointer data)
{
	g_autofree char *target = g_build_filename(p->dir, "target", NULL);
	g_assert_true(g_file_set_contents(target, "kept", -1, NULL));
	g_assert_cmpint(symlink(target, p->path), ==, 0);
	write_good(p, "new", -1, 0644);
	g_assert_cmpint(mode_of(p->path), ==, 0644); /* a file now */
	g_autofree char *content = NULL;
	g_assert_true(g_file_get_contents(target, &content, NULL, NULL));
	g_assert_cmpstr(content, ==, "kept");
	g_remove(target);
}

static void
test_missing_folder(struct place *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(p->dir, "none", "file", NULL);
	g_assert_false(atomic_file_write(path, "x", -1, 0644, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, path));
}

static void
test_folder_in_place(struct place *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(g_mkdir(p->path, 0700), ==, 0);
	g_assert_false(atomic_file_write(p->path, "x", -1, 0644, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, p->path));
	g_assert_false(g_file_test(p->temporary, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(p->path, G_FILE_TEST_IS_DIR));
}

/* A disk that is full in the middle of the file, by a limit on the size of files. */
static void
test_full(struct place *p, gconstpointer data)
{
	static char large[256 * 1024];
	struct rlimit before;
	memset(large, 'x', sizeof large);
	write_good(p, "the old one", -1, 0600);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit small = {.rlim_cur = 64 * 1024, .rlim_max = before.rlim_max};
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	g_autoptr(GError) error = NULL;
	gboolean written = atomic_file_write(p->path, large, sizeof large, 0600, &error);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
	g_assert_false(written);
	g_assert_nonnull(strstr(error->message, p->path));
	g_assert_nonnull(strstr(error->message, g_strerror(EFBIG)));
	assert_content(p, "the old one", 11);
	g_assert_false(g_file_test(p->temporary, G_FILE_TEST_EXISTS));
}

/* A writer that is killed somewhere: a reader finds one of the two contents, whole, and the next
 * writer succeeds. */
static void
test_killed(struct place *p, gconstpointer data)
{
	static char a[100000], b[100000];
	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	write_good(p, a, sizeof a, 0644);
	for (int round = 0; round < 20; round++) {
		pid_t child = fork();
		if (child == 0)
			for (int i = 0;; i++)
				atomic_file_write(p->path, i % 2 ? a : b, sizeof a, 0644, NULL);
		g_assert_cmpint(child, >, 0);
		for (int reads = 0; reads <= round * 5; reads++) {
			g_autofree char *content = NULL;
			gsize length;
			g_assert_true(g_file_get_contents(p->path, &content, &length, NULL));
			g_assert_cmpuint(length, ==, sizeof a);
			g_assert_true(memcmp(content, a, length) == 0 ||
				      memcmp(content, b, length) == 0);
		}
		g_assert_cmpint(kill(child, SIGKILL), ==, 0);
		g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
	}
	write_good(p, "after", -1, 0644);
	assert_content(p, "after", 5);
}

static void
test_tidy(struct place *p, gconstpointer data)
{
	write_good(p, "whole", -1, 0600);
	g_assert_true(g_file_set_contents(p->temporary, "ha", -1, NULL));
	atomic_file_tidy(p->path);
	g_assert_false(g_file_test(p->temporary, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(p->path, G_FILE_TEST_EXISTS));
	atomic_file_tidy(p->path); /* nothing to do is no error */
}

/* Whoever read, changed and writes again loses nothing of what another one wrote in between. */
static void
test_changed_meanwhile(struct place *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct stat old, now;
	struct atomic_file_place place = {.uid = (uid_t)-1, .gid = (gid_t)-1, .old = &old};
	place.folder = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(place.folder, >=, 0);
	write_good(p, "read", -1, 0640);
	g_assert_cmpint(stat(p->path, &old), ==, 0);
	write_good(p, "else", -1, 0640); /* of the same size */
	g_assert_false(atomic_file_write_at(&place, p->path, "mine", -1, 0640, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
	assert_content(p, "else", 4);
	g_assert_false(g_file_test(p->temporary, G_FILE_TEST_EXISTS));
	g_assert_cmpint(stat(p->path, &old), ==, 0);
	if (geteuid() == 0)
		place.uid = place.gid = 65534;
	g_assert_true(atomic_file_write_at(&place, p->path, "mine", -1, 0640, NULL));
	assert_content(p, "mine", 4);
	g_assert_cmpint(stat(p->path, &now), ==, 0);
	g_assert_cmpuint(now.st_mode & 07777, ==, 0640);
	g_assert_cmpuint(now.st_uid, ==, geteuid() ? geteuid() : 65534);
	close(place.folder);
}

static void
test_tidy_nowhere(void)
{
	atomic_file_tidy("/nowhere/at/all"); /* is no error either */
}

/* Below a folder that is the same user's, that user's file is written as that user. */
static void
test_users_own(struct place *p, gconstpointer data)
{
	g_autofree char *users = g_build_filename(p->dir, "users", NULL);
	g_autofree char *below = g_build_filename(users, "below", NULL);
	g_autofree char *path = g_build_filename(below, "file", NULL);
	g_autoptr(GError) error = NULL;
	struct stat st;
	uid_t owner = geteuid() ? geteuid() : 65534;
	g_assert_cmpint(chmod(p->dir, 0755), ==, 0);
	g_assert_cmpint(g_mkdir(users, 0755), ==, 0);
	g_assert_cmpint(g_mkdir(below, 0700), ==, 0);
	g_assert_cmpint(chown(users, owner, (gid_t)-1), ==, 0);
	g_assert_cmpint(chown(below, owner, (gid_t)-1), ==, 0);
	gboolean written = atomic_file_write(path, "x", -1, 0600, &error);
	g_assert_no_error(error);
	g_assert_true(written);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, owner);
	g_remove(path);
	g_rmdir(below);
	g_rmdir(users);
}

/* The file is there, but may be gone after a crash of the host: that is an error. */
static void
test_unsynced(struct place *p, gconstpointer data)
{
	if (g_test_subprocess()) {
		g_autoptr(GError) error = NULL;
		struct atomic_file_place place = {.uid = (uid_t)-1, .gid = (gid_t)-1};
		place.folder = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		refuse_at(SYS_fsync, place.folder, EIO);
		g_assert_false(atomic_file_write_at(&place, p->path, "x", -1, 0600, &error));
		g_autofree char *expected =
		    g_strdup_printf("%s: cannot sync its folder: Input/output error", p->path);
		g_assert_cmpstr(error->message, ==, expected);
		g_remove(p->path);
		g_rmdir(p->dir);
		refuse_over();
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function)                                                                       \
	g_test_add("/atomic-file/" name, struct place, NULL, place_make, function, place_clear)
	TEST("a-file-is-replaced-as-a-whole", test_replaces);
	TEST("it-has-exactly-the-mode-whatever-the-umask", test_mode);
	TEST("who-reads-the-old-file-keeps-it", test_reader);
	TEST("what-a-killed-process-left-is-not-trusted", test_left_over);
	TEST("a-link-is-replaced-and-its-target-kept", test_link);
	TEST("a-missing-folder-is-an-error-with-the-path", test_missing_folder);
	TEST("a-folder-in-the-place-stays", test_folder_in_place);
	TEST("a-full-disk-leaves-the-old-file-and-nothing-else", test_full);
	TEST("a-killed-writer-leaves-a-whole-file", test_killed);
	TEST("what-a-killed-writer-left-is-removed", test_tidy);
	TEST("what-another-one-wrote-meanwhile-stays", test_changed_meanwhile);
	TEST("below-a-users-own-folder-it-is-written-as-that-user", test_users_own);
	TEST("a-folder-that-cannot-be-synced-is-an-error", test_unsynced);
	g_test_add_func("/atomic-file/nothing-is-tidied-in-no-folder", test_tidy_nowhere);
	return g_test_run();
}
