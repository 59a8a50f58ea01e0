/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's key as a coordinator. */
#include "childhurdd/nodes/node_key.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static void
test_owner(void)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	g_autofree char *name = node_key_owner();
	g_assert_cmpuint(strspn(name, letters), ==, strlen(name));
	g_assert_true(g_ascii_isalnum(*name));
	g_assert_cmpuint(strlen(name), <=, 40);
}

static void
test_made_once(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *state = g_dir_make_tmp("node-key-XXXXXX", NULL);
	g_autofree char *path = node_key_path(state), *first = NULL, *second = NULL;
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *public = g_strconcat(path, ".pub", NULL);
	struct stat st;
	node_key_ensure(state, NULL, "/nonexistent", &error);
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(path, &first, NULL, NULL));
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpint(stat(folder, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0700);
	g_remove(public); /* as if it was killed in between */
	node_key_ensure(state, NULL, "/nonexistent", &error);
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(path, &second, NULL, NULL));
	g_assert_cmpstr(first, ==, second);
	g_assert_true(g_file_test(public, G_FILE_TEST_EXISTS));

	g_assert_true(g_file_set_contents(path, "no key", -1, NULL));
	g_assert_false(node_key_ensure(state, NULL, "/nonexistent", &error));
	g_assert_nonnull(strstr(error->message, path));
	g_remove(public);
	g_remove(path);
	g_rmdir(folder);
	g_rmdir(state);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/node-key/a-host-has-a-name-for-a-section", test_owner);
	g_test_add_func("/node-key/it-is-made-once-and-never-overwritten", test_made_once);
	return g_test_run();
}
