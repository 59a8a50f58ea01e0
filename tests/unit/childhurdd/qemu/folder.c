/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's folder, and the files in it that QEMU's user writes to. */
#include "childhurdd/qemu/folder.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct bed {
	char *top, *folder, *picture;
	struct qemu_user *user;
};

static void
bed_begin(struct bed *bed, const void *data)
{
	bed->top = g_dir_make_tmp("childhurd-folder-XXXXXX", NULL);
	bed->folder = g_build_filename(bed->top, "a", NULL);
	bed->picture = g_build_filename(bed->folder, "screen.png", NULL);
	bed->user = qemu_user_find(geteuid() ? NULL : "nobody", NULL);
	g_assert_nonnull(bed->user);
	g_assert_cmpint(chmod(bed->top, 0711), ==, 0);
	g_autoptr(GError) error = NULL;
	guest_folder_make(bed->folder, bed->user, &error);
	g_assert_no_error(error);
}

static void
bed_end(struct bed *bed, const void *data)
{
	g_remove(bed->picture);
	g_rmdir(bed->folder);
	g_rmdir(bed->top);
	qemu_user_free(bed->user);
	g_free(bed->picture);
	g_free(bed->folder);
	g_free(bed->top);
}

#define BED_TEST(name) static void name(struct bed *bed, const void *data)

BED_TEST(test_owner)
{
	struct stat st;
	g_assert_cmpint(stat(bed->folder, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, geteuid());
	g_assert_cmpuint(st.st_mode & 0006, ==, 0);
	g_assert_true(guest_folder_lay_out(bed->picture, bed->user));
	g_assert_cmpint(lstat(bed->picture, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, bed->user->identity.uid);
	g_assert_cmpuint(st.st_mode & 0777, ==, bed->user->other ? 0600 : st.st_mode & 0777);
}

static void
write_picture(struct bed *bed, gint64 size)
{
	g_autofree char *content = g_malloc0(16);
	g_assert_true(g_file_set_contents(bed->picture, content, 16, NULL));
	g_assert_cmpint(truncate(bed->picture, size), ==, 0);
}

BED_TEST(test_collected)
{
	g_autoptr(GError) error = NULL;
	write_picture(bed, GUEST_FOLDER_COLLECT_MAX);
	g_autoptr(GBytes) png = guest_folder_collect(bed->picture, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(png), ==, GUEST_FOLDER_COLLECT_MAX);
}

BED_TEST(test_too_large)
{
	g_autoptr(GError) error = NULL;
	write_picture(bed, GUEST_FOLDER_COLLECT_MAX + 1);
	g_assert_null(guest_folder_collect(bed->picture, &error));
	g_assert_nonnull(strstr(error->message, "are no picture of a screen"));
}

BED_TEST(test_absent)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(guest_folder_collect(bed->picture, &error));
	g_assert_nonnull(strstr(error->message, bed->picture));
}

BED_TEST(test_link)
{
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(symlink("/etc/passwd", bed->picture), ==, 0);
	g_assert_null(guest_folder_collect(bed->picture, &error));
	g_assert_nonnull(error);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, test) g_test_add("/guest-folder/" path, struct bed, NULL, bed_begin, test, bed_end)
	T("it-is-ours-and-a-file-laid-out-in-it-is-qemus", test_owner);
	T("what-qemu-has-written-is-read", test_collected);
	T("more-than-a-picture-is-an-error", test_too_large);
	T("none-is-an-error-that-names-it", test_absent);
	T("a-link-is-not-followed", test_link);
#undef T
	return g_test_run();
}
