/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding processes by their words and their user. Another user's only if root runs this. */
#include "childhurdd/system/process.h"

#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static void
be_nobody(void *data)
{
	if (geteuid() == 0 &&
	    (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		_exit(1);
}

static gboolean
has_mark(pid_t pid, char **words, void *mark)
{
	return g_strcmp0(process_option(words, "-uuid"), mark) == 0;
}

static void
test_owner(void)
{
	g_autofree char *mark = g_uuid_string_random();
	/* it reports when it has its words, and ends with its stdin */
	const char *const argv[] = {"sh", "-c", "echo; read x; exit", "sh", "-uuid", mark, NULL};
	pid_t pid;
	int in, out;
	char byte;
	g_assert_cmpint(process_find(PROCESS_ANYBODY, has_mark, mark), ==, 0);
	g_assert_true(g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
					       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
					       be_nobody, NULL, &pid, &in, &out, NULL, NULL));
	g_assert_cmpint(read(out, &byte, 1), ==, 1);
	g_assert_cmpint(process_find(PROCESS_ANYBODY, has_mark, mark), ==, pid);
	g_assert_cmpint(process_find(NOBODY, has_mark, mark), ==, pid);
	if (geteuid() == 0) /* else it is ours */
		g_assert_cmpint(process_find(NOBODY - 1, has_mark, mark), ==, 0);
	close(in);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	close(out);
	g_assert_cmpint(process_find(PROCESS_ANYBODY, has_mark, mark), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/process/another-users-is-not-taken-for-ours", test_owner);
	return g_test_run();
}
