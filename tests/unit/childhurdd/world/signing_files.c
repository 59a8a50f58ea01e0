/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's list of keys in its secret root: made for coordinators elsewhere, and emptied. */
#include "childhurdd/world/signing_files.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY                                                                                        \
	"(public-key (ecc (curve Ed25519) (q "                                                     \
	"#8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B391#)))"

struct place {
	char *top, *directory, *extra, *offload;
	const char *users[2];
	struct secret_root_spec spec;
};

static void
place_open(struct place *place, gconstpointer data)
{
	place->top = g_dir_make_tmp("signing-files-XXXXXX", NULL);
	place->directory = g_build_filename(place->top, "secrets", NULL);
	place->extra = g_build_filename(place->top, "extra", NULL);
	place->offload = g_build_filename(place->top, "offload_key", NULL);
	place->users[0] = "offloading";
	place->spec = (struct secret_root_spec){.name = "a",
						.directory = place->directory,
						.extra = place->extra,
						.offload_key = place->offload,
						.users = place->users};
}

static void
remove_tree(const char *path)
{
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		g_chmod(path, 0700);
		g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
		const char *leaf;
		while ((leaf = g_dir_read_name(folder))) {
			g_autofree char *child = g_build_filename(path, leaf, NULL);
			remove_tree(child);
		}
	}
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void
place_close(struct place *place, gconstpointer data)
{
	remove_tree(place->top);
	g_free(place->top);
	g_free(place->directory);
	g_free(place->extra);
	g_free(place->offload);
}

/* The guest's acl; the caller frees. */
static char *
acl_of(const struct place *place)
{
	g_autofree char *path =
	    g_build_filename(place->directory, GUEST_SIGNING_FOLDER, "acl", NULL);
	char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

static void
make(struct place *place)
{
	g_autoptr(GError) error = NULL;
	const char *const others[] = {KEY, NULL};
	g_assert_true(secret_root_ensure(&place->spec, &error));
	g_autofree char *key =
	    guest_signing_make(&place->spec, "/nonexistent/guix", others, &error);
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(key, "(public-key"));
}

static void
test_withdraw(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(guest_signing_has_acl(&place->spec));
	g_assert_true(guest_signing_withdraw(&place->spec, &error)); /* there is nothing */
	make(place);
	g_autofree char *before = acl_of(place);
	g_assert_nonnull(strstr(before, "B391#"));
	g_assert_true(guest_signing_has_acl(&place->spec));
	g_assert_true(guest_signing_withdraw(&place->spec, &error));
	g_assert_no_error(error);
	g_autofree char *after = acl_of(place);
	g_assert_cmpstr(after, ==, "(acl)\n");
}

static void
test_administrators(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_build_filename(place->extra, GUEST_SIGNING_FOLDER, NULL);
	g_autofree char *path = g_build_filename(folder, "acl", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, "(acl mine)", -1, NULL));
	g_assert_cmpint(g_chmod(path, 0644), ==, 0);
	make(place);
	g_assert_false(guest_signing_has_acl(&place->spec));
	g_assert_true(guest_signing_withdraw(&place->spec, &error));
	g_autofree char *acl = acl_of(place);
	g_assert_cmpstr(acl, ==, "(acl mine)");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/signing-files/a-list-is-emptied", struct place, NULL, place_open,
		   test_withdraw, place_close);
	g_test_add("/signing-files/the-administrators-list-stays", struct place, NULL, place_open,
		   test_administrators, place_close);
	return g_test_run();
}
