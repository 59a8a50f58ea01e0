/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user that QEMU runs as, and taking on its identity. What only root can do is tested if root
 * runs this. */
#include "childhurdd/qemu/user.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "childhurdd/system/child.h"

static void
assert_refused(const char *named, const char *says)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(qemu_user_find(named, &error));
	if (!strstr(error->message, says))
		g_error("\"%s\" does not say \"%s\"", error->message, says);
}

static void
test_refused(void)
{
	assert_refused("root", geteuid() ? "qemu-user root: " : "is root, and a guest that breaks");
	assert_refused("nobody-of-that-name", "qemu-user: user nobody-of-that-name: there is no");
	assert_refused("nobody-of-that-name", "useradd --system");
}

/* As an ordinary user; root becomes one in a child process. */
static void
test_ordinary(void)
{
	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		return;
	}
	if (geteuid() == 0)
		g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
	struct qemu_user *user = qemu_user_find(NULL, NULL);
	g_assert_nonnull(user);
	g_assert_cmpuint(user->identity.uid, ==, geteuid());
	g_assert_false(user->other);
	g_assert_null(user->note);
	qemu_user_free(user);
	assert_refused("daemon", "only root's childhurdd can run QEMU as another user");
}

static struct qemu_user *
nobody(void)
{
	struct qemu_user *user = qemu_user_find("nobody", NULL);
	g_assert_nonnull(user);
	g_assert_true(user->other);
	return user;
}

/* The user gets access to root's files, but not where a link may lead to any other file of
 * root's. */
static void
test_let(void)
{
	if (geteuid()) {
		g_assert_true(qemu_user_may_read(NULL, "image", "/etc/passwd", NULL));
		return;
	}
	g_autofree char *folder = g_dir_make_tmp("qemu-user-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(folder, "image", NULL);
	g_autofree char *linked = g_build_filename(folder, "linked", NULL);
	g_autofree char *hard = g_build_filename(folder, "hard", NULL);
	struct qemu_user *user = nobody();
	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	g_assert_cmpint(g_chmod(file, 0600), ==, 0);
	g_assert_cmpint(symlink(file, linked), ==, 0);
	g_assert_cmpint(link(file, hard), ==, 0);
	g_assert_false(qemu_user_may_read(user, "image", hard, NULL));
	g_assert_cmpint(g_unlink(hard), ==, 0);
	/* a user that can put a link there can put one to any file */
	g_assert_cmpint(lchown(linked, user->identity.uid, user->identity.gid), ==, 0);
	g_assert_false(qemu_user_may_read(user, "image", linked, NULL));
	g_assert_cmpint(lchown(linked, 0, 0), ==, 0);
	g_assert_true(qemu_user_may_read(user, "image", linked, NULL));
	g_assert_true(qemu_user_may_read(user, "image", file, NULL));
	g_unlink(linked);
	g_unlink(file);
	g_rmdir(folder);
	qemu_user_free(user);
}

static void
test_enter(void)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	int fd = g_file_open_tmp("qemu-user-XXXXXX", &path, NULL);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	struct qemu_user *user = geteuid() ? NULL : nobody();
	g_assert_true(qemu_user_check(NULL, "the file", path, NULL));
	if (user) {
		g_assert_false(qemu_user_check(user, "kernel", path, &error));
		g_assert_nonnull(strstr(error->message, path));
		g_assert_nonnull(strstr(error->message, "user nobody"));
		g_assert_nonnull(strstr(error->message, "setfacl -m u:nobody:r"));
		g_assert_cmpint(g_chmod(path, 0644), ==, 0);
		g_assert_true(qemu_user_check(user, "kernel", path, NULL));
		g_assert_cmpint(g_chmod(path, 0), ==, 0);
		g_assert_true(qemu_user_check(NULL, "kernel", path, NULL)); /* root again */
	}
	g_unlink(path);
	qemu_user_free(user);
}

static void
on_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
	*(char **)data = g_strdup(output);
	child_free(child);
}

/* It changes all uids, the saved one too, and keeps no capability to change them back. */
static void
test_become(void)
{
	if (geteuid()) {
		g_test_message("an ordinary user can become nobody else");
		return;
	}
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct qemu_user *user = nobody();
	char *said = NULL;
	const char *const argv[] = {"cat", "/proc/self/status", NULL};
	child_run_as(loop, qemu_user_identity(user), argv, 10000, on_done, &said);
	ev_run(loop, 0);
	g_autofree char *uids =
	    g_strdup_printf("\nUid:\t%u\t%u\t%u\t%u\n", user->identity.uid, user->identity.uid,
			    user->identity.uid, user->identity.uid);
	g_autofree char *gids =
	    g_strdup_printf("\nGid:\t%u\t%u\t%u\t%u\n", user->identity.gid, user->identity.gid,
			    user->identity.gid, user->identity.gid);
	g_assert_nonnull(strstr(said, uids));
	g_assert_nonnull(strstr(said, gids));
	g_assert_nonnull(strstr(said, "\nCapPrm:\t0000000000000000\n"));
	g_assert_nonnull(strstr(said, "\nCapEff:\t0000000000000000\n"));
	g_assert_cmpint(access("/etc/shadow", R_OK), ==, 0); /* and we are root */
	g_free(said);
	qemu_user_free(user);
	ev_loop_destroy(loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/qemu-user/root-and-those-who-are-not-there-are-refused", test_refused);
	g_test_add_func("/qemu-user/an-ordinary-users-qemu-is-his-own", test_ordinary);
	g_test_add_func("/qemu-user/what-is-roots-is-opened-to-him", test_let);
	g_test_add_func("/qemu-user/files-are-reached-as-he-reaches-them-and-then-as-root-again",
			test_enter);
	g_test_add_func("/qemu-user/a-program-of-his-is-his-for-good", test_become);
	return g_test_run();
}
