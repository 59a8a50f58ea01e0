/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets the keys. Giving files away is tested when root runs this; lists, in prepare.t. */
#include "offload/coordinator.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/refuse.h"

#define NOBODY 65534

struct bed {
	char *folder, *state, *key, *copy; /* state: Guix' */
};

static void
bed_begin(struct bed *bed, const void *data)
{
	bed->folder = g_dir_make_tmp("childhurd-coordinator-XXXXXX", NULL);
	bed->state = g_build_filename(bed->folder, "guix", NULL);
	bed->key = g_build_filename(bed->folder, "offload_key", NULL);
	bed->copy = g_strconcat(bed->key, ".guix", NULL);
	g_assert_cmpint(g_mkdir(bed->state, 0755), ==, 0);
	g_assert_true(
	    g_file_set_contents_full(bed->key, "a key", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void
bed_end(struct bed *bed, const void *data)
{
	g_unlink(bed->copy);
	g_unlink(bed->key);
	g_rmdir(bed->state);
	g_rmdir(bed->folder);
	g_free(bed->folder);
	g_free(bed->state);
	g_free(bed->key);
	g_free(bed->copy);
}

#define BED_TEST(name) static void name(struct bed *bed, const void *data)

static uid_t
owner_of(const char *path)
{
	struct stat st;
	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_uid;
}

static void
be_nobody(void *data)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(1);
}

/* A process of nobody's that has the name. It tells when it runs, and ends with its stdin. */
BED_TEST(test_name)
{
	if (geteuid()) {
		g_test_message("only root can be somebody else");
		return;
	}
	g_autofree char *program = g_build_filename(bed->folder, "guix-daemon", NULL);
	g_autofree char *cat = g_find_program_in_path("cat");
	g_autofree char *cat_itself = g_file_read_link(cat, NULL);
	g_autofree char *content = NULL;
	gsize length;
	int in, out;
	pid_t pid;
	char byte = 'x';
	uid_t uid = 12345;
	g_assert_null(cat_itself);
	g_assert_true(g_file_get_contents(cat, &content, &length, NULL));
	g_assert_true(g_file_set_contents_full(program, content, (gssize)length,
					       G_FILE_SET_CONTENTS_NONE, 0755, NULL));
	g_assert_cmpint(g_chmod(bed->folder, 0755), ==, 0);
	const char *const argv[] = {program, NULL};
	g_assert_true(g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
					       be_nobody, NULL, &pid, &in, &out, NULL, NULL));
	g_assert_cmpint(write(in, &byte, 1), ==, 1);
	g_assert_cmpint(read(out, &byte, 1), ==, 1);
	/* Another one may run on this host, root's. */
	if (coordinator_find(NULL, bed->state, &uid, NULL))
		g_assert_cmpuint(uid, ==, 0);
	g_assert_true(coordinator_grant(NULL, bed->state, bed->key, NULL));
	g_assert_cmpuint(owner_of(bed->key), ==, 0);
	g_assert_cmpint(chown(bed->state, NOBODY, NOBODY), ==, 0);
	g_assert_true(coordinator_find(NULL, bed->state, &uid, NULL));
	g_assert_true(uid == NOBODY || uid == 0);
	close(in);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	close(out);
	g_unlink(program);
}

BED_TEST(test_named)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(coordinator_grant("nobody-of-that-name", bed->state, bed->key, &error));
	g_assert_nonnull(strstr(error->message, "coordinator-user nobody-of-that-name: there is"));
	if (geteuid())
		return;
	g_assert_true(coordinator_grant("nobody", bed->state, bed->key, NULL));
	g_assert_cmpuint(owner_of(bed->key), ==, NOBODY);
	g_assert_true(coordinator_grant("root", bed->state, bed->key, NULL));
	g_assert_cmpuint(owner_of(bed->key), ==, 0);
}

/* File systems without lists, and those that refuse: what root's daemon makes of it. */
struct refusal {
	const char *user;
	uid_t owner;	  /* of the key, before */
	int call, number; /* that fails, and how */
	const char *words;
};

static const struct refusal refusals[] = {
    {"nobody", 0, SYS_getxattr, EOPNOTSUPP, NULL}, /* the folder's group may pass instead */
    {"nobody", 0, SYS_getxattr, EIO, "cannot read its access control list: Input/output error"},
    {"nobody", 0, SYS_chown, EPERM,
     "offload_key: cannot give it to the coordinator's user: Operation not permitted"},
    {"root", NOBODY, SYS_chown, EPERM,
     "offload_key: cannot take it back from who had it: Operation not permitted"},
    {"root", 0, SYS_chown, EPERM, NULL}, /* nothing is to be done */
};

BED_TEST(test_refused)
{
	if (geteuid()) {
		g_test_message("only root gives files away");
		return;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct stat st;
		int status = -1;
		g_assert_cmpint(chown(bed->key, r->owner, r->owner), ==, 0);
		pid_t child = fork();
		if (!child) {
			g_autoptr(GError) error = NULL;
			refuse(r->call, r->number);
			gboolean good = coordinator_grant(r->user, bed->state, bed->key, &error);
			if (good != !r->words || (r->words && !strstr(error->message, r->words)))
				g_printerr("%s\n", error ? error->message : "no error");
			_exit(good != !r->words || (r->words && !strstr(error->message, r->words)));
		}
		g_assert_cmpint(waitpid(child, &status, 0), ==, child);
		g_assert_cmpint(status, ==, 0);
		g_assert_cmpint(stat(bed->folder, &st), ==, 0);
		if (i == 0)
			g_assert_cmpuint(st.st_mode & 07777, ==, 0710);
		if (i == 0)
			g_assert_cmpuint(st.st_gid, ==, NOBODY);
	}
}

BED_TEST(test_stale_copy)
{
	g_assert_true(g_file_set_contents(bed->copy, "an older key", -1, NULL));
	g_assert_true(coordinator_grant(NULL, bed->state, bed->key, NULL));
	g_autofree char *copy = coordinator_key(bed->key);
	g_assert_null(copy);
}

/* The daemon of an ordinary user gives a copy to the user that is named, if it can. */
BED_TEST(test_shared)
{
	if (geteuid()) {
		g_test_message("only root can be somebody else");
		return;
	}
	g_assert_cmpint(chown(bed->folder, NOBODY, NOBODY), ==, 0);
	g_assert_cmpint(chown(bed->key, NOBODY, NOBODY), ==, 0);
	pid_t child = fork();
	if (!child) {
		g_autoptr(GError) error = NULL;
		be_nobody(NULL);
		gboolean good = coordinator_grant("daemon", bed->state, bed->key, &error);
		_exit(good && !error ? 0 : 1);
	}
	int status = -1;
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_autofree char *copy = coordinator_key(bed->key);
	g_assert_cmpstr(copy, ==, bed->copy);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(copy, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "a key");
	struct stat st;
	g_assert_cmpint(stat(bed->folder, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0077, ==, 0010); /* the mask of its list */
}

BED_TEST(test_not_shared)
{
	if (geteuid()) {
		g_test_message("only root can be somebody else");
		return;
	}
	g_assert_cmpint(g_chmod(bed->folder, 0755), ==, 0); /* root's: no copy can be made there */
	g_assert_cmpint(chown(bed->key, NOBODY, NOBODY), ==, 0);
	pid_t child = fork();
	if (!child) {
		g_autoptr(GError) error = NULL;
		be_nobody(NULL);
		gboolean good = coordinator_grant("daemon", bed->state, bed->key, &error);
		g_autofree char *expected = g_strdup_printf(
		    "coordinator-user daemon: cannot be let read %s (%s: cannot be made: "
		    "Permission denied); run childhurdd as root or as daemon",
		    bed->key, bed->copy);
		if (error && strcmp(error->message, expected) != 0)
			g_printerr("%s\n", error->message);
		_exit(!good && !g_strcmp0(error->message, expected) ? 0 : 1);
	}
	int status = -1;
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_null(coordinator_key(bed->key));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, test) g_test_add("/coordinator/" path, struct bed, NULL, bed_begin, test, bed_end)
	T("a-process-is-not-believed-for-its-name", test_name);
	T("who-is-named-gets-the-key-and-nobody-keeps-it", test_named);
	T("a-copy-of-another-key-is-none", test_stale_copy);
	T("an-ordinary-users-daemon-shares-a-copy", test_shared);
	T("a-copy-that-cannot-be-made-is-an-error", test_not_shared);
	T("a-file-system-without-lists-is-enough-and-refusals-are-errors", test_refused);
	return g_test_run();
}
