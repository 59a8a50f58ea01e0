/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a path leads, and through whose hands. Other users' things only when root runs this. */
#include "config/base/trusted_path.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static char *folder; /* of the test, in a sticky one; has a/b/file in it */

static char *
at(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

static void
lay(const char *target, const char *name)
{
	g_autofree char *path = at(name);
	g_assert_cmpint(symlink(target, path), ==, 0);
}

static void
assert_leads(const char *name, const char *expected)
{
	g_autofree char *path = at(name), *whole = at(expected), *whose = NULL;
	g_autofree char *real = way_find(path, &whose);
	g_assert_cmpstr(whose, ==, NULL);
	g_assert_cmpstr(real, ==, whole);
}

static void
assert_somebodys(const char *name, const char *expected)
{
	g_autofree char *path = at(name), *whole = at(expected), *whose = NULL;
	g_assert_null(way_find(path, &whose));
	g_assert_cmpstr(whose, ==, whole);
	g_assert_null(way_find(path, NULL));
}

static void
set_mode(const char *name, mode_t mode)
{
	g_autofree char *path = at(name);
	g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

static void
test_plain(void)
{
	assert_leads("a/b/file", "a/b/file");
	assert_leads("a//b/./../b/file/", "a/b/file");
	assert_leads("a/new/file", "a/new/file");
	g_autofree char *root = way_find("/", NULL), *above = way_find("/../..", NULL);
	g_assert_cmpstr(root, ==, "/");
	g_assert_cmpstr(above, ==, "/");
	g_autofree char *here = g_get_current_dir();
	g_assert_cmpint(chdir(folder), ==, 0);
	g_autofree char *whole = at("a/b"), *relative = way_find("a/b", NULL);
	g_assert_cmpint(chdir(here), ==, 0);
	g_assert_cmpstr(relative, ==, whole);
}

static void
test_links(void)
{
	g_autofree char *b = at("a/b");
	lay(b, "absolute");
	lay("a/b", "relative");
	lay("../../relative/../b/file", "a/b/long");
	lay("nowhere/file", "dangling");
	lay("circle", "circle");
	assert_leads("absolute/file", "a/b/file");
	assert_leads("relative", "a/b");
	assert_leads("a/b/long", "a/b/file");
	assert_leads("dangling", "nowhere/file");
	assert_somebodys("circle/x", "circle");
}

static void
test_shared_folder(void)
{
	set_mode("a", 0777);
	assert_somebodys("a/b/file", "a");
	assert_leads("a", "a");
	set_mode("a", 0775);
	assert_somebodys("a/b/file", "a");
	lay("a/b/file", "through");
	assert_somebodys("through", "a");
	set_mode("a", 01777);
	assert_leads("a/b/file", "a/b/file");
	assert_somebodys("a/new", "a"); /* who makes it first? */
}

static void
test_others(void)
{
	g_autofree char *a = at("a"), *link = at("link");
	if (geteuid()) {
		g_test_message("only root can give things to somebody else");
		return;
	}
	lay("a/b/file", "link");
	g_assert_cmpint(lchown(link, NOBODY, NOBODY), ==, 0);
	assert_somebodys("link", "link");
	g_assert_cmpint(chown(a, NOBODY, NOBODY), ==, 0);
	assert_somebodys("a/b/file", "a");
	assert_leads("a", "a");
	g_assert_cmpint(chown(a, 0, 0), ==, 0);
	set_mode("a", 01777);
	g_autofree char *b = at("a/b");
	g_assert_cmpint(chown(b, NOBODY, NOBODY), ==, 0);
	assert_somebodys("a/b", "a");
}

static void
in_folder(gconstpointer test)
{
	void (*run)(void) = test;
	folder = g_dir_make_tmp("childhurd-way-XXXXXX", NULL);
	g_autofree char *b = at("a/b"), *file = at("a/b/file");
	g_assert_cmpint(g_mkdir_with_parents(b, 0755), ==, 0);
	g_assert_true(g_file_set_contents(file, "", 0, NULL));
	run();
	const char *const argv[] = {"rm", "-r", folder, NULL};
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/way/a-path-leads-where-it-says", test_plain, in_folder);
	g_test_add_data_func("/way/links-of-ours-are-followed", test_links, in_folder);
	g_test_add_data_func("/way/what-others-can-replace-is-theirs", test_shared_folder,
			     in_folder);
	g_test_add_data_func("/way/what-belongs-to-another-is-his", test_others, in_folder);
	return g_test_run();
}
