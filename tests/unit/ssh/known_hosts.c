/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which lines of a known_hosts are a host's keys. */
#include "ssh/known_hosts.h"

#include <glib/gstdio.h>
#include <string.h>

#include "ssh/step.h"

#define A "AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d"
#define B "AAAAC3NzaC1lZDI1NTE5AAAAIFrAiuU5cVf8SYVUdjXJnjKZFPFKrUwwbrJmXbWDCMqc"

static char *home;

static void
write_file(const char *text)
{
	g_autofree char *folder = g_build_filename(home, ".ssh", NULL);
	g_autofree char *path = g_build_filename(folder, "known_hosts", NULL);
	g_mkdir_with_parents(folder, 0700);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
assert_found(const char *host, int port, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) keys = known_hosts_find(host, port, &error);
	g_autofree char *all = keys ? g_strjoinv(", ", keys) : g_strdup("none");
	g_assert_cmpstr(all, ==, expected);
	g_assert_true((keys == NULL) == (error != NULL));
}

static void
test_names(void)
{
	write_file("# a comment\n\n"
		   "build1,192.0.2.1 ssh-ed25519 " A " with a comment\n"
		   "build1 ssh-ed25519\n"		/* cut off */
		   "build1 ssh-ed25519 " A "\303\266\n" /* and damaged */
		   "  build1\tssh-ed25519 \t" B "\r\n"
		   "[build1]:2222 ssh-ed25519 " B "\n"
		   "*.example.org,!bad.example.org,!WORSE.example.org ssh-ed25519 " A "\n"
		   "2001:db8::1 ssh-ed25519 " A "\n"
		   "@revoked build2 ssh-ed25519 " A "\n"
		   "@cert-authority build2 ssh-ed25519 " A "\n"
		   "build3 ssh-ed25519 " A "\n"
		   "build3 ssh-ed25519 " B "\n"
		   "@revoked build* ssh-ed25519 " A "\n"
		   "!*\341,other9 ssh-ed25519 " A "\n"); /* no UTF-8 */
	assert_found("build1", 22, "ssh-ed25519 " B);
	assert_found("BUILD1", 22, "ssh-ed25519 " B);
	assert_found("build3", 22, "ssh-ed25519 " B);
	assert_found("192.0.2.1", 22, "ssh-ed25519 " A);
	assert_found("build1", 2222, "ssh-ed25519 " B);
	assert_found("BUILD1", 2222, "ssh-ed25519 " B);
	assert_found("build1", 2223, "none");
	assert_found("good.example.org", 22, "ssh-ed25519 " A);
	assert_found("bad.example.org", 22, "none");
	assert_found("worse.example.org", 22, "none");
	assert_found("2001:db8::1", 22, "ssh-ed25519 " A);
	assert_found("build2", 22, "none");
	assert_found("build", 22, "none");
	assert_found("other9", 22, "ssh-ed25519 " A);
}

static void
test_hashed(void)
{
	g_autofree char *path = g_build_filename(home, ".ssh", "known_hosts", NULL);
	const char *const argv[] = {"ssh-keygen", "-q", "-H", "-f", path, NULL};
	g_autofree char *text = NULL;
	write_file("build1 ssh-ed25519 " A "\n[build1]:2222 ssh-ed25519 " B "\n");
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
				   G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
				       G_SPAWN_STDERR_TO_DEV_NULL,
				   NULL, NULL, NULL, NULL, NULL, NULL));
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_null(strstr(text, "build1"));
	assert_found("build1", 22, "ssh-ed25519 " A);
	assert_found("build1", 2222, "ssh-ed25519 " B);
	assert_found("build2", 22, "none");
}

static void
test_missing(void)
{
	g_autofree char *path = g_build_filename(home, ".ssh", "known_hosts", NULL);
	g_autoptr(GError) error = NULL;
	g_unlink(path);
	g_assert_null(known_hosts_find("build1", 2222, &error));
	g_assert_error(error, SESSION_ERROR, SESSION_ERROR_KEY);
	g_assert_nonnull(
	    strstr(error->message, "has no host key of [build1]:2222; write host-key"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	home = g_dir_make_tmp("childhurd-home-XXXXXX", NULL);
	g_setenv("HOME", home, TRUE); /* before GLib looks */
	g_test_add_func("/known-hosts/names-addresses-ports-and-patterns", test_names);
	g_test_add_func("/known-hosts/hashed-names", test_hashed);
	g_test_add_func("/known-hosts/a-missing-file-says-what-to-do", test_missing);
	int result = g_test_run();
	g_autofree char *folder = g_build_filename(home, ".ssh", NULL);
	g_autofree char *old = g_build_filename(folder, "known_hosts.old", NULL);
	g_autofree char *path = g_build_filename(folder, "known_hosts", NULL);
	g_unlink(old);
	g_unlink(path);
	g_rmdir(folder);
	g_rmdir(home);
	g_free(home);
	return result;
}
