/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signs of life of real processes, by a clock that the test sets. */
#include "childhurdd/world/vitals.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A child that waits, or uses CPU time. */
static pid_t
child_start(gboolean works)
{
	pid_t pid = fork();
	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!works)
			pause();
		for (volatile gboolean busy = TRUE; busy;)
			;
	}
	return pid;
}

static void
child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static char *
console_make(void)
{
	char *path = NULL;
	close(g_file_open_tmp("life-XXXXXX", &path, NULL));
	return path;
}

static void
test_quiet(void)
{
	g_autofree char *console = console_make();
	struct vitals life = {0};
	pid_t pid = child_start(FALSE);
	vitals_begin(&life, pid, console, 1000);
	g_assert_cmpint(life.sign, ==, 1000);
	vitals_look(&life, 1000 + LIFE_INTERVAL);
	vitals_look(&life, 1000 + 2 * LIFE_INTERVAL);
	g_assert_cmpint(life.sign, ==, 1000);
	g_autofree char *text = vitals_text(&life, 61000);
	g_assert_cmpstr(text, ==, "console quiet for 60 s, QEMU used 0 % of a core");
	vitals_clear(&life);
	child_end(pid);
	g_remove(console);
}

static void
test_console(void)
{
	g_autofree char *console = console_make();
	struct vitals life = {0};
	vitals_begin(&life, 0, console, 1000); /* an unknown QEMU is no error */
	g_assert_true(g_file_set_contents(console, "tick\n", -1, NULL));
	vitals_look(&life, 1000 + LIFE_INTERVAL - 1); /* not yet */
	g_assert_cmpint(life.sign, ==, 1000);
	vitals_look(&life, 1000 + LIFE_INTERVAL);
	g_assert_cmpint(life.sign, ==, 1000 + LIFE_INTERVAL);
	g_assert_cmpint(life.quiet_since, ==, 1000 + LIFE_INTERVAL);
	g_autofree char *text = vitals_text(&life, 3000 + LIFE_INTERVAL);
	g_assert_cmpstr(text, ==, "console quiet for 2 s");
	vitals_clear(&life);
	g_remove(console);
}

/* Wait until the child has used so many seconds of CPU time. */
static void
wait_for_work(pid_t pid, double seconds)
{
	clockid_t clock;
	struct timespec used = {0};
	g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
	while ((double)used.tv_sec + (double)used.tv_nsec / 1e9 < seconds)
		g_assert_cmpint(clock_gettime(clock, &used), ==, 0);
}

static void
test_busy(void)
{
	g_autofree char *console = console_make();
	struct vitals life = {0};
	pid_t pid = child_start(TRUE);
	vitals_begin(&life, pid, console, 1000);
	wait_for_work(pid, LIFE_BUSY * LIFE_INTERVAL / 1000 + 0.1);
	vitals_look(&life, 1000 + LIFE_INTERVAL);
	g_assert_cmpint(life.sign, ==, 1000 + LIFE_INTERVAL);
	g_assert_cmpint(life.quiet_since, ==, 1000); /* not the console's */
	vitals_clear(&life);
	child_end(pid);
	g_remove(console);
}

static void
test_stopped(void)
{
	g_autofree char *console = console_make();
	struct vitals life = {0};
	siginfo_t info;
	pid_t pid = child_start(FALSE);
	g_assert_false(vitals_stopped(pid));
	vitals_begin(&life, pid, console, 1000);
	kill(pid, SIGSTOP);
	g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WSTOPPED), ==, 0);
	g_assert_true(vitals_stopped(pid));
	g_autofree char *text = vitals_text(&life, 2000);
	g_assert_nonnull(strstr(text, "stopped by a signal (kill -CONT"));
	vitals_clear(&life);
	child_end(pid);
	g_assert_false(vitals_stopped(pid));
	g_assert_false(vitals_stopped(0));
	g_remove(console);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/life/a-quiet-guest-shows-none", test_quiet);
	g_test_add_func("/life/console-output-is-a-sign", test_console);
	g_test_add_func("/life/work-is-a-sign", test_busy);
	g_test_add_func("/life/a-stopped-process-is-known", test_stopped);
	return g_test_run();
}
