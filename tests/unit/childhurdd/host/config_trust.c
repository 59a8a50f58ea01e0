/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Owners and modes of the configuration, in a folder of the test's. */
#include "childhurdd/host/config_trust.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char *dir;
	struct config *config;
};

static const char *const files[] = {"childhurd.ini", "conf.d/a.ini"};
static const char *const folders[] = {"conf.d", "secrets"};

static char *
path_of(const struct place *p, const char *name)
{
	return g_build_filename(p->dir, name, NULL);
}

static void
place_make(struct place *p)
{
	p->dir = g_dir_make_tmp("trust it's-XXXXXX", NULL); /* the commands are for a shell */
	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = path_of(p, folders[i]);
		g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = path_of(p, files[i]);
		g_assert_true(g_file_set_contents(path, "", 0, NULL));
		g_assert_cmpint(chmod(path, 0644), ==, 0);
	}
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *file = path_of(p, files[0]);
	p->config = config_load(file, errors);
	g_assert_nonnull(p->config);
}

static void
place_clear(struct place *p)
{
	config_free(p->config);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = path_of(p, files[i]);
		g_assert_cmpint(g_remove(path), ==, 0);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = path_of(p, folders[i]);
		g_assert_cmpint(g_rmdir(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(p->dir), ==, 0);
	g_free(p->dir);
}

static void
assert_good(const struct place *p)
{
	g_autoptr(GPtrArray) problems = trust_problems(p->config);
	g_assert_cmpuint(problems->len, ==, 0);
}

/* One problem, which begins with the path; its command fixes it. */
static void
assert_fixed(const struct place *p, const char *path, const char *part)
{
	g_autoptr(GPtrArray) problems = trust_problems(p->config);
	g_assert_cmpuint(problems->len, ==, 1);
	const char *text = g_ptr_array_index(problems, 0);
	const char *command = strstr(text, "fix it with: ");
	g_assert_true(g_str_has_prefix(text, path));
	g_assert_nonnull(strstr(text, part));
	g_assert_nonnull(command);
	g_assert_true(
	    g_spawn_command_line_sync(command + strlen("fix it with: "), NULL, NULL, NULL, NULL));
	assert_good(p);
}

static void
test_others(void)
{
	static const char *const names[] = {"", "childhurd.ini", "conf.d", "conf.d/a.ini",
					    "secrets"};
	struct place p;
	if (geteuid() != 0) {
		g_test_skip("only root's configuration is looked at");
		return;
	}
	place_make(&p);
	assert_good(&p);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = *names[i] ? path_of(&p, names[i]) : g_strdup(p.dir);
		g_assert_cmpint(chown(path, 12345, (gid_t)-1), ==, 0);
		assert_fixed(&p, path, "belongs to uid 12345, ");
		g_assert_cmpint(chmod(path, 0777), ==, 0);
		assert_fixed(&p, path, "every user may write to it");
		g_assert_cmpint(chmod(path, 0775), ==, 0);
		assert_fixed(&p, path, "its group may write to it");
	}
	g_assert_cmpint(chmod(p.dir, 01777), ==, 0); /* as /tmp */
	assert_good(&p);
	place_clear(&p);
}

/* A link of somebody else's on the way leads where that one likes; a folder above is as good as the
 * file. */
static void
test_way(void)
{
	struct place p;
	if (geteuid() != 0) {
		g_test_skip("only root's configuration is looked at");
		return;
	}
	place_make(&p);
	g_autofree char *file = path_of(&p, "conf.d/a.ini"), *folder = path_of(&p, "conf.d");
	g_autofree char *link = path_of(&p, "link"), *through = path_of(&p, "link/a.ini");
	g_assert_cmpint(symlink("conf.d", link), ==, 0);
	g_assert_null(trust_find_others(through));
	g_assert_cmpint(lchown(link, 12345, (gid_t)-1), ==, 0);
	g_autofree char *theirs = trust_find_others(through);
	g_assert_cmpstr(theirs, ==, link);
	g_assert_cmpint(g_unlink(link), ==, 0);
	g_assert_cmpint(chmod(folder, 0775), ==, 0);
	g_autofree char *above = trust_find_others(file);
	g_assert_cmpstr(above, ==, folder);
	g_assert_null(trust_find_others("/nowhere/at/all"));
	g_autofree char *new = trust_find_others("/tmp/childhurd-not-there/conf.d");
	g_assert_cmpstr(new, ==, "/tmp"); /* anybody can make it */
	g_assert_null(trust_find_others("/dev/null"));
	place_clear(&p);
}

static void
test_ordinary_user(void)
{
	if (g_test_subprocess()) {
		struct place p;
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		place_make(&p);
		g_assert_cmpint(chmod(p.dir, 0777), ==, 0);
		assert_good(&p);
		place_clear(&p);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/trust/what-others-can-write-is-told-with-what-fixes-it", test_others);
	g_test_add_func("/trust/each-folder-and-link-on-the-way-counts", test_way);
	g_test_add_func("/trust/an-ordinary-users-files-are-his-own-business", test_ordinary_user);
	return g_test_run();
}
