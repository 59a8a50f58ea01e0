/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What guests get of the coordinators elsewhere, and how a change shows. */
#include "childhurdd/world/coordinators.h"

#include <glib/gstdio.h>
#include <string.h>

#define FARM                                                                                       \
	"[coordinator farm]\n"                                                                     \
	"ssh-key = ssh-ed25519 "                                                                   \
	"AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d farm\n"
#define OTHER                                                                                      \
	"[coordinator other]\n"                                                                    \
	"ssh-key = ssh-ed25519 "                                                                   \
	"AAAAC3NzaC1lZDI1NTE5AAAAIGNlB8W3a9eTFwVzttiC/MnFgpaqdpprzNiViBbbUIgM other\n"
#define SIGNING                                                                                    \
	"(public-key (ecc (curve Ed25519) (q "                                                     \
	"#8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B391#)))"

/* The configuration of such a text. */
static struct config *
load(const char *text)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *dir = g_dir_make_tmp("coordinators-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "childhurd.ini", NULL);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
	struct config *config = config_load(file, errors);
	g_assert_nonnull(config);
	g_remove(file);
	g_rmdir(dir);
	return config;
}

static char **
marks_of(const char *text)
{
	struct config *config = load(text);
	char **marks = coordinators_marks(config);
	config_free(config);
	return marks;
}

static void
assert_differ(const char *before, const char *now, const char *expected)
{
	g_auto(GStrv) old = marks_of(before), new = marks_of(now);
	g_auto(GStrv) names = coordinators_differences(old, new);
	g_autofree char *text = g_strjoinv(" ", names);
	g_assert_cmpstr(text, ==, expected);
}

static void
test_differences(void)
{
	assert_differ(FARM OTHER, FARM OTHER, "");
	assert_differ(FARM OTHER, OTHER FARM, "");
	assert_differ(FARM, FARM OTHER, "other");
	assert_differ(FARM OTHER, OTHER, "farm");
	assert_differ(FARM, OTHER, "farm other");
	assert_differ(FARM, FARM "signing-key = " SIGNING "\n", "farm");
	assert_differ("", "", "");
	g_auto(GStrv) farm = marks_of(FARM), nothing = coordinators_differences(NULL, NULL);
	g_auto(GStrv) gone = coordinators_differences(farm, NULL);
	g_assert_null(*nothing);
	g_assert_cmpstr(*gone, ==, "farm");
	g_assert_true(coordinators_have(farm, "farm"));
	g_assert_false(coordinators_have(farm, "far"));
	g_assert_false(coordinators_have(NULL, "farm"));
}

static void
test_keys(void)
{
	struct config *config =
	    load(FARM "signing-key = " SIGNING "\n" OTHER "signing-key = /nonexistent/other.pub\n");
	g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) ssh = coordinators_ssh_keys(config);
	g_auto(GStrv) named = coordinators_signing_keys(config);
	g_auto(GStrv) texts = coordinators_read((const char *const *)named, complaints);
	g_assert_cmpuint(g_strv_length(ssh), ==, 2);
	g_assert_true(g_str_has_suffix(ssh[0], "/1d farm"));
	g_assert_cmpuint(g_strv_length(named), ==, 4);
	g_assert_cmpuint(g_strv_length(texts), ==, 1);
	g_assert_cmpstr(texts[0], ==, SIGNING);
	g_assert_cmpuint(complaints->len, ==, 1);
	g_assert_true(g_str_has_prefix(complaints->pdata[0],
				       "coordinator other: signing-key: /nonexistent/other.pub: "
				       "is not there"));
	config_free(config);
}

static void
test_files(void)
{
	char *path = NULL;
	g_close(g_file_open_tmp("signing-XXXXXX", &path, NULL), NULL);
	g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
	const char *const named[] = {"farm", path, NULL};
	g_assert_true(g_file_set_contents(path, " " SIGNING "\n", -1, NULL));
	g_auto(GStrv) good = coordinators_read(named, complaints);
	g_assert_cmpuint(g_strv_length(good), ==, 1);
	g_assert_cmpuint(complaints->len, ==, 0);
	g_assert_true(g_file_set_contents(path, "(private-key (ecc))", -1, NULL));
	g_auto(GStrv) bad = coordinators_read(named, complaints);
	g_assert_null(*bad);
	g_assert_nonnull(strstr(complaints->pdata[0], "has no signing key as Guix makes it"));
	g_remove(path);
	g_free(path);
}

static void
test_use(void)
{
	struct config_guest guest = {.offloading = TRUE, .inject = CONFIG_INJECT_IMAGE};
	g_assert_true(coordinators_use(&guest));
	guest.offloading = FALSE;
	g_assert_false(coordinators_use(&guest));
	guest = (struct config_guest){.offloading = TRUE, .inject = CONFIG_INJECT_NONE};
	g_assert_false(coordinators_use(&guest));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/coordinators/what-changed-is-named-once", test_differences);
	g_test_add_func("/coordinators/keys-are-copied-and-a-missing-one-is-named", test_keys);
	g_test_add_func("/coordinators/a-file-is-read-and-what-is-no-key-is-left-out", test_files);
	g_test_add_func("/coordinators/guests-without-offloading-get-nothing", test_use);
	return g_test_run();
}
