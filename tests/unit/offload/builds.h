/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes that lock the slots of a machine's folder as `guix offload` does. */
#ifndef TESTS_UNIT_OFFLOAD_BUILDS_H
#define TESTS_UNIT_OFFLOAD_BUILDS_H

#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: lock the slots, say so, hold them until killed. */
static inline void
hold(const char *machine, const int *slots, guint n, int ready)
{
	dup2(ready, STDIN_FILENO); /* the parent's locks are not for it */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	for (guint i = 0; i < n; i++) {
		g_autofree char *path = g_strdup_printf("%s/%d", machine, slots[i]);
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0)
			_exit(1);
	}
	if (write(STDIN_FILENO, "", 1) != 1)
		_exit(1);
	if (close(STDIN_FILENO) < 0)
		_exit(1);
	for (;;)
		pause();
}

static inline pid_t
build_start(const char *machine, const int *slots, guint n)
{
	int ready[2];
	char byte;
	pid_t pid;

	g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
	pid = fork();
	if (pid == 0)
		hold(machine, slots, n, ready[1]);
	close(ready[1]);
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	close(ready[0]);
	return pid;
}

static inline void
build_end(pid_t pid)
{
	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* TRUE: `guix offload` could have the slot, as it tries. The answer comes by a pipe: under valgrind
 * a process that was forked has an exit status of valgrind's. */
static inline gboolean
free_for_builds(const char *machine, int slot)
{
	g_autofree char *path = g_strdup_printf("%s/%d", machine, slot);
	int answer[2];
	g_assert_cmpint(pipe(answer), ==, 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		char said = fd < 0 ? '?' : fcntl(fd, F_SETLK, &lock) < 0 ? 'n' : 'y';
		_exit(write(answer[1], &said, 1) != 1);
	}
	close(answer[1]);
	char said = '?';
	g_assert_cmpint(read(answer[0], &said, 1), ==, 1);
	close(answer[0]);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	g_assert_true(said == 'y' || said == 'n');
	return said == 'y';
}

/* Processes that take the slot again and again, as fast as they can. */
#define HAMMERS	 2
#define BLOWS	 100	  /* that have to fail */
#define PATIENCE 60000000 /* microseconds */

struct anvil {
	int blows[HAMMERS];
	int got;     /* builds that have begun */
	int hammers; /* that have been started */
	int holder, let_go;
};

static inline void
hammer(const char *path, struct anvil *anvil, int self)
{
	close_range(STDERR_FILENO + 1, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* if the test fails */
	for (;;) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0) {
			g_atomic_int_set(&anvil->holder, self);
			int build = g_atomic_int_add(&anvil->got, 1) + 1;
			while (g_atomic_int_get(&anvil->let_go) < build)
				sched_yield();
		}
		close(fd);
		g_atomic_int_inc(&anvil->blows[self]);
	}
}

static inline pid_t
hammer_start(const char *path, struct anvil *anvil, int self)
{
	pid_t pid = fork();
	if (pid == 0)
		hammer(path, anvil, self);
	anvil->hammers = self + 1; /* by us alone: a child may be late */
	return pid;
}

static inline struct anvil *
anvil_new(void)
{
	return mmap(NULL, sizeof(struct anvil), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
}

static inline void
anvil_free(struct anvil *anvil)
{
	munmap(anvil, sizeof *anvil);
}

/* Until so many builds have begun. */
static inline void
wait_for_build(struct anvil *anvil, int builds)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	while (g_atomic_int_get(&anvil->got) < builds) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		sched_yield();
	}
}

/* Until all hammers but one (-1: none) have tried so often, all in vain. */
static inline void
wait_for_blows(struct anvil *anvil, int but, int n, int builds)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	for (int i = 0; i < anvil->hammers; i++) {
		int before = g_atomic_int_get(&anvil->blows[i]);
		while (i != but && g_atomic_int_get(&anvil->blows[i]) - before < n) {
			g_assert_cmpint(g_get_monotonic_time(), <, end);
			g_assert_cmpint(g_atomic_int_get(&anvil->got), ==, builds);
			sched_yield();
		}
	}
}

#endif
