/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linked into the programs that `make coverage` builds: what a process has run is written also if
 * it ends by _exit, as forked children do, and libgcov does not complain on its standard error,
 * which tests compare, that it cannot write. (libgcov writes at exit and before exec. A sandboxed
 * process and one that is killed write nothing.)
 *
 * The linker leads calls of _exit here (ld(1), --wrap).
 */
#include <gcov.h>
#include <unistd.h>

void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

/* After all destructors but libgcov's, whose priority is 100. */
__attribute__((destructor(101))) static void
complain_nowhere(void)
{
	close(STDERR_FILENO);
}

void
__wrap__exit(int status)
{
	complain_nowhere();
	__gcov_dump();
	__real__exit(status);
}
