/* SPDX-License-Identifier: GPL-3.0-or-later */
/* with_pid PID PROGRAM ARGUMENT...: run a program as a process that has this number, which has to
 * be free, and wait for its end. Takes root (clone(2), CLONE_SET_TID). */
#include <glib.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	pid_t wanted = argc > 2 ? (pid_t)g_ascii_strtoll(argv[1], NULL, 10) : 0;
	struct clone_args args = {
	    .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};
	if (!wanted) {
		fputs("usage: with_pid PID PROGRAM ARGUMENT...\n", stderr);
		return 2;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0) {
		perror("with_pid");
		return 1;
	}
	return 0;
}
