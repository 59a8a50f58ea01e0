/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Access control lists on real files. Root sees what they allow by being another user for a moment.
 */
#include "config/base/acl.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/user.h"

#define SOMEBODY 64999

static char *
folder_make(void)
{
	char *path = g_dir_make_tmp("acl-XXXXXX", NULL);
	g_assert_nonnull(path);
	return path;
}

static unsigned
mode_of(const char *path)
{
	struct stat st;
	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_mode & 07777;
}

/* Can somebody of that uid list the folder? */
static gboolean
may_list(const char *path, uid_t uid)
{
	gid_t group = uid;
	const struct identity identity = {.uid = uid, .gid = uid, .groups = &group, .n_groups = 1};
	identity_enter(&identity);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	identity_leave(&identity);
	return dir != NULL;
}

static void
test_grant(void)
{
	g_autofree char *folder = folder_make();
	g_autoptr(GError) error = NULL;
	gboolean changed = FALSE;
	const int may = ACL_MAY_READ | ACL_MAY_PASS;
	g_assert_true(acl_grant(folder, ACL_FOR_USER, SOMEBODY, may, &changed, &error));
	g_assert_no_error(error);
	g_assert_true(changed);
	g_assert_cmpuint(mode_of(folder), ==, 0750); /* the middle is the mask, no group's */
	if (geteuid() == 0) {
		g_assert_true(may_list(folder, SOMEBODY));
		g_assert_false(may_list(folder, SOMEBODY + 1));
	}
	g_rmdir(folder);
}

static void
test_again(void)
{
	g_autofree char *folder = folder_make();
	gboolean changed = FALSE;
	g_assert_true(acl_grant(folder, ACL_FOR_GROUP, SOMEBODY, ACL_MAY_PASS, &changed, NULL));
	g_assert_true(changed);
	g_assert_true(acl_grant(folder, ACL_FOR_GROUP, SOMEBODY, ACL_MAY_PASS, &changed, NULL));
	g_assert_false(changed);
	g_assert_true(acl_grant(folder, ACL_FOR_USER, SOMEBODY, ACL_MAY_PASS, &changed, NULL));
	g_assert_true(changed);
	g_assert_cmpuint(mode_of(folder), ==, 0710);
	g_rmdir(folder);
}

static void
test_below(void)
{
	g_autofree char *folder = folder_make();
	g_autofree char *file = g_build_filename(folder, "file", NULL);
	gboolean changed = FALSE;
	g_assert_true(acl_grant_below(folder, ACL_FOR_USER, SOMEBODY, ACL_MAY_READ | ACL_MAY_WRITE,
				      &changed, NULL));
	g_assert_true(changed);
	g_assert_true(
	    acl_grant_below(folder, ACL_FOR_USER, SOMEBODY, ACL_MAY_READ, &changed, NULL));
	g_assert_false(changed);
	g_assert_cmpuint(mode_of(folder), ==, 0700);
	g_assert_true(g_file_set_contents_full(file, "", 0, G_FILE_SET_CONTENTS_NONE, 0666, NULL));
	g_assert_cmpuint(mode_of(file), ==, 0660);
	g_unlink(file);
	g_rmdir(folder);
}

/* A folder that is closed, below one whose list names others: they stay out. */
static void
test_closed(void)
{
	g_autofree char *folder = folder_make();
	g_autofree char *inside = g_build_filename(folder, "closed", NULL);
	const int all = ACL_MAY_READ | ACL_MAY_WRITE | ACL_MAY_PASS;
	g_assert_cmpint(chmod(folder, 0755), ==, 0);
	g_assert_true(acl_grant_below(folder, ACL_FOR_USER, SOMEBODY, all, NULL, NULL));
	g_assert_true(acl_grant_below(folder, ACL_FOR_GROUP, SOMEBODY, all, NULL, NULL));
	g_assert_cmpint(g_mkdir(inside, 0700), ==, 0);
	g_assert_true(acl_grant(inside, ACL_FOR_USER, SOMEBODY + 1, ACL_MAY_PASS, NULL, NULL));
	g_assert_cmpuint(mode_of(inside), ==, 0710);
	if (geteuid() == 0)
		g_assert_false(may_list(inside, SOMEBODY));
	g_assert_true(acl_grant(inside, ACL_FOR_USER, SOMEBODY + 1, all, NULL, NULL));
	g_assert_cmpuint(mode_of(inside), ==, 0770);
	if (geteuid() == 0) {
		g_assert_true(may_list(inside, SOMEBODY + 1));
		g_assert_false(may_list(inside, SOMEBODY));
	}
	g_rmdir(inside);
	g_rmdir(folder);
}

/* One instead of another. */
static void
test_alone(void)
{
	g_autofree char *folder = folder_make();
	const int may = ACL_MAY_READ | ACL_MAY_PASS;
	for (uid_t uid = SOMEBODY; uid < SOMEBODY + 2; uid++) {
		g_assert_true(acl_grant_alone(folder, ACL_FOR_USER, uid, may, NULL));
		g_assert_cmpuint(mode_of(folder), ==, 0750);
		if (geteuid() == 0) {
			g_assert_true(may_list(folder, uid));
			g_assert_false(may_list(folder, 2 * SOMEBODY + 1 - uid));
		}
	}
	g_rmdir(folder);
}

static void
test_errors(void)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(
	    acl_grant("/proc/version", ACL_FOR_USER, SOMEBODY, ACL_MAY_READ, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
	g_assert_nonnull(strstr(error->message, "/proc/version"));
	g_clear_error(&error);
	g_assert_false(
	    acl_grant("/nowhere/at/all", ACL_FOR_USER, SOMEBODY, ACL_MAY_READ, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_false(acl_grant_alone("/nowhere", ACL_FOR_USER, SOMEBODY, ACL_MAY_READ, &error));
	g_assert_cmpstr(error->message, ==,
			"/nowhere: cannot read its access control list: No such file or directory");
	g_clear_error(&error);
	g_assert_false(
	    acl_grant_below("/nowhere", ACL_FOR_USER, SOMEBODY, ACL_MAY_READ, NULL, &error));
	g_assert_cmpstr(
	    error->message, ==,
	    "/nowhere: cannot read its default access control list: No such file or directory");
}

/* A folder that we can read and whose owner we are not. */
static void
test_not_ours(void)
{
	if (g_test_subprocess()) {
		g_autoptr(GError) error = NULL;
		gboolean changed = TRUE;
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		g_assert_false(
		    acl_grant("/etc", ACL_FOR_USER, SOMEBODY, ACL_MAY_WRITE, &changed, &error));
		g_assert_cmpstr(
		    error->message, ==,
		    "/etc: cannot set its access control list: Operation not permitted");
		g_assert_false(changed);
		g_clear_error(&error);
		g_assert_false(
		    acl_grant_alone("/etc", ACL_FOR_USER, SOMEBODY, ACL_MAY_WRITE, &error));
		g_assert_cmpstr(
		    error->message, ==,
		    "/etc: cannot set its access control list: Operation not permitted");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/acl/one-more-user-gets-at-a-folder-and-nobody-else", test_grant);
	g_test_add_func("/acl/what-is-granted-already-is-not-written", test_again);
	g_test_add_func("/acl/what-is-made-in-a-folder-later-is-granted-too", test_below);
	g_test_add_func("/acl/what-chmod-closed-to-others-stays-closed-to-them", test_closed);
	g_test_add_func("/acl/one-user-takes-the-place-of-another", test_alone);
	g_test_add_func("/acl/errors-name-the-file", test_errors);
	g_test_add_func("/acl/what-is-another-users-stays-as-it-is", test_not_ours);
	return g_test_run();
}
