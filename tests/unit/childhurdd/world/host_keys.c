/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which host keys a guest has: at its start, after a restart of the daemon, and for --check. */
#include "childhurdd/world/host_keys.h"

#include <glib/gstdio.h>
#include <string.h>

#include "ssh/secrets/root.h"

struct place {
	char *top, *extra, *secrets;
};

static void
place_make(struct place *p, gconstpointer data)
{
	p->top = g_dir_make_tmp("guest-keys-XXXXXX", NULL);
	p->extra = g_build_filename(p->top, "extra", NULL);
	p->secrets = g_build_filename(p->top, "state", NULL);
}

static void
place_clear(struct place *p, gconstpointer data)
{
	const char *const argv[] = {"rm", "-rf", p->top, NULL};
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(p->top);
	g_free(p->extra);
	g_free(p->secrets);
}

/* A secret root with keys of its own; its first public line. */
static char *
root_make(const struct place *p, const char *directory)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *key = g_strconcat(directory, ".key", NULL);
	const char *const users[] = {"root", NULL};
	const struct secret_root_spec spec = {
	    .name = "a", .directory = directory, .offload_key = key, .users = users};
	secret_root_ensure(&spec, &error);
	g_assert_no_error(error);
	g_auto(GStrv) keys = secret_root_host_keys(directory, TRUE, &error);
	g_assert_no_error(error);
	return g_strdup(keys[0]);
}

static char *
first(const struct place *p, enum config_inject inject)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) keys = guest_host_keys(inject, p->extra, p->secrets, &error);
	g_assert_no_error(error);
	return g_strdup(keys[0]);
}

/* As the manual describes it: only the public halves, of the keys in the image. */
static void
remove_private(const struct place *p)
{
	g_autofree char *folder = g_build_filename(p->extra, "etc/ssh", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		if (g_str_has_suffix(name, "_key"))
			g_assert_cmpint(g_unlink(path), ==, 0);
	}
}

static void
test_own(struct place *p, gconstpointer data)
{
	g_autofree char *made = root_make(p, p->secrets), *brought = root_make(p, p->extra);
	g_assert_cmpstr(made, !=, brought);
	g_autofree char *own = first(p, CONFIG_INJECT_NONE);
	g_assert_cmpstr(own, ==, brought);
	g_autofree char *sent = first(p, CONFIG_INJECT_SECRET_SERVICE);
	g_assert_cmpstr(sent, ==, made);
	remove_private(p);
	g_autofree char *public = first(p, CONFIG_INJECT_NONE);
	g_assert_cmpstr(public, ==, brought);
}

static void
test_made(struct place *p, gconstpointer data)
{
	g_autofree char *made = root_make(p, p->secrets);
	g_autofree char *without = first(p, CONFIG_INJECT_NONE);
	g_assert_cmpstr(without, ==, made);
	g_autofree char *folder = g_build_filename(p->extra, "etc/ssh", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0); /* other files, no keys */
	g_autofree char *empty = first(p, CONFIG_INJECT_NONE);
	g_assert_cmpstr(empty, ==, made);
}

static void
test_none(struct place *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(guest_host_keys(CONFIG_INJECT_NONE, p->extra, p->secrets, NULL));
	g_assert_null(guest_host_keys(CONFIG_INJECT_SECRET_SERVICE, p->extra, p->secrets, &error));
	g_assert_nonnull(strstr(error->message, p->secrets));
}

/* A file that is no key is reported, and no other key is used instead. */
static void
test_damaged(struct place *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_free(root_make(p, p->secrets));
	g_free(root_make(p, p->extra));
	g_autofree char *folder = g_build_filename(p->extra, "etc/ssh", NULL);
	g_autofree char *path = g_build_filename(folder, "ssh_host_ed25519_key.pub", NULL);
	g_assert_true(g_file_set_contents(path, "no key\n", -1, NULL));
	g_assert_null(guest_host_keys(CONFIG_INJECT_NONE, p->extra, p->secrets, &error));
	g_assert_nonnull(strstr(error->message, path));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function)                                                                       \
	g_test_add("/guest-keys/" name, struct place, NULL, place_make, function, place_clear)
	TEST("a-guest-that-is-sent-nothing-has-those-that-were-brought", test_own);
	TEST("without-any-it-has-those-that-were-made", test_made);
	TEST("before-the-first-start-there-are-none", test_none);
	TEST("a-damaged-key-is-an-error-with-its-path", test_damaged);
	return g_test_run();
}
