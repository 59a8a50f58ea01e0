/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key pairs: OpenSSH reads what libssh wrote, and nothing of an administrator's is overwritten. */
#include "ssh/key_pair.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ssh/step.h"
#include "tests/unit/refuse.h"

struct place {
	char *folder, *key, *public;
};

static void
place_open(struct place *place, gconstpointer data)
{
	place->folder = g_dir_make_tmp("childhurd-keys-XXXXXX", NULL);
	place->key = g_build_filename(place->folder, "key", NULL);
	place->public = g_strconcat(place->key, ".pub", NULL);
}

static void
place_close(struct place *place, gconstpointer data)
{
	g_unlink(place->key);
	g_unlink(place->public);
	g_assert_cmpint(g_rmdir(place->folder), ==, 0); /* nothing else was left there */
	g_free(place->folder);
	g_free(place->key);
	g_free(place->public);
}

static char *
slurp(const char *path)
{
	char *content = NULL;

	g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
	return content;
}

static mode_t
mode_of(const char *path)
{
	struct stat status;

	g_assert_cmpint(lstat(path, &status), ==, 0);
	return status.st_mode & 07777;
}

static void
make(struct place *place, enum key_pair_kind kind)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(key_pair_ensure(place->key, kind, "root@childhurd1", &error));
	g_assert_no_error(error);
}

/* What ssh-keygen says the public half is. */
static char *
keygen(const char *path)
{
	const char *arguments[] = {"ssh-keygen", "-y", "-P", "", "-f", path, NULL};
	char *output = NULL;
	int status = -1;

	g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   &output, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	return output;
}

static void
test_openssh(struct place *place, gconstpointer data)
{
	enum key_pair_kind kind = GPOINTER_TO_INT(data);
	const mode_t mask = umask(0);

	make(place, kind);
	umask(mask);
	g_assert_cmpint(mode_of(place->key), ==, 0600);
	g_assert_cmpint(mode_of(place->public), ==, 0644);
	g_autofree char *said = keygen(place->key);
	g_autofree char *public = slurp(place->public);
	g_autofree char *line = key_pair_public_line(place->public, NULL);
	g_assert_nonnull(line);
	g_assert_true(g_str_has_prefix(
	    line, kind == KEY_PAIR_ED25519 ? "ssh-ed25519 AAAA" : "ecdsa-sha2-nistp256 AAAA"));
	g_assert_true(g_str_has_prefix(said, line));
	g_autofree char *expected = g_strdup_printf("%s root@childhurd1\n", line);
	g_assert_cmpstr(public, ==, expected);
}

static void
test_kept(struct place *place, gconstpointer data)
{
	make(place, KEY_PAIR_ED25519);
	g_autofree char *key = slurp(place->key);
	g_autofree char *public = slurp(place->public);
	make(place, KEY_PAIR_ED25519);
	g_autofree char *key_again = slurp(place->key);
	g_autofree char *public_again = slurp(place->public);
	g_assert_cmpstr(key, ==, key_again);
	g_assert_cmpstr(public, ==, public_again);
}

static void
test_public_repaired(struct place *place, gconstpointer data)
{
	make(place, KEY_PAIR_ECDSA);
	g_autofree char *whole = slurp(place->public);
	const char *const broken[] = {"", "ecdsa-sha2-nistp256 AAAA",
				      "ssh-ed25519 AAAAC3Nz other\n"};

	for (gsize i = 0; i <= G_N_ELEMENTS(broken); i++) {
		if (i < G_N_ELEMENTS(broken))
			g_assert_true(g_file_set_contents(place->public, broken[i], -1, NULL));
		else
			g_assert_cmpint(g_unlink(place->public), ==, 0);
		make(place, KEY_PAIR_ECDSA);
		g_autofree char *repaired = slurp(place->public);
		g_assert_cmpstr(repaired, ==, whole);
	}
	whole[strlen(whole) - 1] = '\0'; /* killed before the line end */
	g_assert_true(g_file_set_contents(place->public, whole, -1, NULL));
	make(place, KEY_PAIR_ECDSA);
	g_autofree char *repaired = slurp(place->public);
	g_assert_true(g_str_has_suffix(repaired, "\n"));
}

static void
test_not_overwritten(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(place->key, "my precious\n", -1, NULL));
	g_assert_false(key_pair_ensure(place->key, KEY_PAIR_ED25519, "", &error));
	g_assert_error(error, SESSION_ERROR, SESSION_ERROR_KEY);
	g_assert_nonnull(strstr(error->message, place->key));
	g_autofree char *content = slurp(place->key);
	g_assert_cmpstr(content, ==, "my precious\n");
}

static void
test_no_folder(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(place->folder, "missing", "key", NULL);

	g_assert_false(key_pair_ensure(path, KEY_PAIR_ED25519, "", &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, path));
}

static void
test_bad_public(struct place *place, gconstpointer data)
{
	const char *const bad[] = {"", "ssh-ed25519", "ssh-ed25519 !!!!", "nonsense AAAA",
				   "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA cut"};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(g_file_set_contents(place->public, bad[i], -1, NULL));
		g_assert_null(key_pair_public_line(place->public, &error));
		g_assert_error(error, SESSION_ERROR, SESSION_ERROR_KEY);
	}
}

/* Nobody is told to remove a key that is good. */
static void
test_lack(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct rlimit all, none;
	g_assert_true(key_pair_ensure(place->key, KEY_PAIR_ED25519, "a", NULL));
	g_autofree char *before = slurp(place->key);
	int next = dup(STDIN_FILENO);
	close(next);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &all), ==, 0);
	none = (struct rlimit){(rlim_t)next, all.rlim_max};
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	gboolean good = key_pair_ensure(place->key, KEY_PAIR_ED25519, "a", &error);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &all), ==, 0);
	g_assert_false(good);
	g_assert_nonnull(strstr(error->message, "Too many open files"));
	g_autofree char *after = slurp(place->key);
	g_assert_cmpstr(before, ==, after);
}

static void
remove_pair(void *data)
{
	struct place *place = data;
	g_unlink(place->key);
	g_unlink(place->public);
}

static gboolean
ensure_unlucky(void *data)
{
	struct place *place = data;
	g_autoptr(GError) error = NULL;
	gboolean good = key_pair_ensure(place->key, KEY_PAIR_ED25519, "x", &error);
	if (good == (error != NULL) || (error && !g_str_has_prefix(error->message, place->folder)))
		g_error("%s", error ? error->message : "no error");
	return good;
}

static void
ensure_again(void *data, gboolean good)
{
	struct place *place = data;
	g_autoptr(GError) error = NULL;
	g_assert_true(key_pair_ensure(place->key, KEY_PAIR_ED25519, "x", &error));
	g_assert_no_error(error);
	g_autofree char *line = key_pair_public_line(place->public, &error);
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(line, "ssh-ed25519 AAAA"));
}

static void
test_unlucky(struct place *place, gconstpointer data)
{
	g_assert_cmpuint(refuse_each(remove_pair, ensure_unlucky, ensure_again, place), >, 10);
}

static void
test_no_public(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(key_pair_public_line(place->public, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

/* A user's daemon and a key that is another user's. */
static void
test_not_readable(void)
{
	if (g_test_subprocess()) {
		g_autoptr(GError) error = NULL;
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		g_assert_false(key_pair_ensure("/etc/shadow", KEY_PAIR_ED25519, "x", &error));
		g_assert_cmpstr(error->message, ==, "/etc/shadow: Permission denied");
		_exit(0);
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, data, function)                                                                 \
	g_test_add("/ssh-keys/" name, struct place, data, place_open, function, place_close)
	TEST("openssh-reads-an-ed25519-key", GINT_TO_POINTER(KEY_PAIR_ED25519), test_openssh);
	TEST("openssh-reads-an-ecdsa-key", GINT_TO_POINTER(KEY_PAIR_ECDSA), test_openssh);
	TEST("a-pair-that-is-there-is-kept", NULL, test_kept);
	TEST("a-missing-or-broken-public-half-is-made-again", NULL, test_public_repaired);
	TEST("a-file-that-is-no-key-is-an-error-and-stays", NULL, test_not_overwritten);
	TEST("a-lack-of-descriptors-is-not-called-a-bad-key", NULL, test_lack);
	TEST("an-error-names-the-path", NULL, test_no_folder);
	TEST("a-public-half-that-is-none-is-an-error", NULL, test_bad_public);
	TEST("making-a-pair-may-fail-at-any-call", NULL, test_unlucky);
	TEST("a-public-half-that-is-missing-is-an-error", NULL, test_no_public);
	g_test_add_func("/ssh-keys/a-key-that-may-not-be-read-is-an-error", test_not_readable);
	return g_test_run();
}
