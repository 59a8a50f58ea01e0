/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process in the sandbox can still do: a child of the test tries it. */
#include "childhurdd/system/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* The exit status is the number of the first thing that was wrong, 0 if nothing was; 77: this
 * kernel has no filter. */
static int
try_all(int pipe_end)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct rlimit core;
	void *memory;
	if (!sandbox_enter(SANDBOX_PARSER, NULL, NULL, 0, NULL))
		return 11;
	if (prctl(PR_GET_SECCOMP) >= 0) /* nothing refuses it */
		return 77;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
		return 1;
	if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		return 2;
	if (fork() >= 0)
		return 3;
	if (execl("/bin/true", "true", (char *)NULL) == 0 || kill(getppid(), 0) == 0)
		return 4;
	if (unlink("/nonexistent") == 0 || chmod("/tmp", 0) == 0)
		return 5;
	memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		return 6;
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0)
		return 7;
	g_autofree char *much = g_try_malloc(64 * MIB); /* it has memory, */
	if (!much)
		return 8;
	memset(much, 1, 64 * MIB);
	if (write(null, much, 1) != 1 || write(pipe_end, "x", 1) != 1) /* and what was open */
		return 9;
	if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur)
		return 10;
	return 0;
}

/* Run it in a child. FALSE: this kernel has no filter, and the test is skipped. */
static gboolean
tried(int (*what)(int pipe_end), int pipe_end)
{
	int status;
	pid_t child = fork();
	g_assert_cmpint(child, >=, 0);
	if (!child)
		_exit(what(pipe_end));
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		g_test_skip("no seccomp here");
		return FALSE;
	}
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	return TRUE;
}

static void
nothing_but_memory_and_what_is_open(void)
{
	int ends[2];
	char byte = 0;
	g_assert_cmpint(pipe(ends), ==, 0);
	gboolean filtered = tried(try_all, ends[1]);
	close(ends[1]);
	if (filtered)
		g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
	close(ends[0]);
}

static int
try_tool(int pipe_end)
{
	if (!sandbox_enter(SANDBOX_TOOL, NULL, NULL, 0, NULL))
		return 11;
	if (unlink("/nonexistent") == 0 || errno != EPERM) /* nothing refuses it */
		return 77;
	if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		return 1;
	/* What is no file cannot be synced, so nobody has tried. */
	if (fsync(pipe_end) < 0 || fdatasync(pipe_end) < 0 || syncfs(-1) < 0)
		return 2;
	return 0;
}

static void
a_tool_syncs_nothing(void)
{
	int ends[2];
	g_assert_cmpint(pipe(ends), ==, 0);
	g_assert_cmpint(fsync(ends[1]), <, 0);
	tried(try_tool, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sandbox/nothing-but-memory-and-what-is-open",
			nothing_but_memory_and_what_is_open);
	g_test_add_func("/sandbox/a-tool-syncs-nothing", a_tool_syncs_nothing);
	return g_test_run();
}
