/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linked into the programs that `make coverage` builds: what a process has run is written also if
 * it ends by _exit, as forked children and GLib's do, or by abort, and libgcov does not complain on
 * its standard error, which tests compare, that it cannot write. (libgcov writes at exit and before
 * exec. A sandboxed process and one that is killed write nothing.)
 *
 * This _exit takes the place of the C library's, also for the libraries (ld.so(8)).
 */
#include <gcov.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* After all destructors but libgcov's, whose priority is 100. */
__attribute__((destructor(101))) static void
complain_nowhere(void)
{
	close(STDERR_FILENO);
}

void
_exit(int status)
{
	complain_nowhere();
	__gcov_dump();
	for (;;)
		syscall(SYS_exit_group, status);
}

/* Not what a signal handler should do; but the process is at its end. */
static void
on_abort(int number)
{
	complain_nowhere();
	__gcov_dump();
	raise(number);
}

__attribute__((constructor)) static void
note_abort(void)
{
	const struct sigaction act = {.sa_handler = on_abort,
				      .sa_flags = SA_RESETHAND | (int)SA_NODEFER};
	sigaction(SIGABRT, &act, NULL);
	sigaction(SIGTRAP, &act, NULL);
}
