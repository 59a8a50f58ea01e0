/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a full disk or a broken one, a name space or a security module does to a program: from here
 * on a system call fails for this thread, by seccomp(2). It is for good, so call this in a process
 * of the test's own (g_test_trap_subprocess), and end that with refuse_over.
 */
#ifndef TESTS_UNIT_REFUSE_H
#define TESTS_UNIT_REFUSE_H

#include <errno.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* From now on this filter decides about the thread's calls. */
static inline void
refuse_by(struct sock_filter *filter, gsize n)
{
	struct sock_fprog program = {(unsigned short)n, filter};
	g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
	g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), ==, 0);
}

/* call: SYS_...; error: the errno that it has from now on. */
static inline void
refuse(int call, int error)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)call, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (guint32)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	refuse_by(filter, G_N_ELEMENTS(filter));
}

/* The same for one file: calls whose first argument is this descriptor. */
static inline void
refuse_at(int call, int fd, int error)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)call, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)fd, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (guint32)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	refuse_by(filter, G_N_ELEMENTS(filter));
}

/* The end of such a process, whose exit handlers may need the call. */
static inline void
refuse_over(void)
{
	_exit(0);
}

/* --- the N-th call --- */

#define REFUSE_PASS 0x52656675 /* as sixth argument: the handler's own call */

struct refuse_call {
	int number;
	const char *name;
};

/* What reads, writes and arranges files. */
static const struct refuse_call refuse_calls[] = {
    {SYS_openat, "openat"},	 {SYS_read, "read"},	       {SYS_pread64, "pread"},
    {SYS_write, "write"},	 {SYS_fsync, "fsync"},	       {SYS_newfstatat, "fstat"},
    {SYS_getdents64, "readdir"}, {SYS_fcntl, "fcntl"},	       {SYS_fchmod, "fchmod"},
    {SYS_fchown, "fchown"},	 {SYS_renameat, "renameat"},   {SYS_mkdirat, "mkdirat"},
    {SYS_unlinkat, "unlinkat"},	 {SYS_ftruncate, "ftruncate"}, {SYS_setxattr, "setxattr"},
};

static int refuse_left; /* until the one that fails */

#ifdef __x86_64__

static inline void
refuse_on_call(int signal, siginfo_t *info, void *context)
{
	greg_t *in = ((ucontext_t *)context)->uc_mcontext.gregs;
	int kept = errno;
	if (--refuse_left == 0) {
		in[REG_RAX] = -EIO;
		return;
	}
	long result = syscall(info->si_syscall, in[REG_RDI], in[REG_RSI], in[REG_RDX], in[REG_R10],
			      in[REG_R8], REFUSE_PASS);
	in[REG_RAX] = result == -1 ? -errno : result;
	errno = kept;
}

static inline void
refuse_nth(int call, int n)
{
	const struct sigaction act = {.sa_sigaction = refuse_on_call, .sa_flags = SA_SIGINFO};
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)call, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REFUSE_PASS, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	refuse_left = n;
	g_assert_cmpint(sigaction(SIGSYS, &act, NULL), ==, 0);
	refuse_by(filter, G_N_ELEMENTS(filter));
}

/*
 * For each of those calls, and each N: before runs here, what in a process of its own in which the
 * N-th such call fails with EIO, after here. what returns whether it has done its work; if it has
 * not, it checks its error itself. Returns how many calls have failed.
 */
static inline guint
refuse_each(void (*before)(void *data), gboolean (*what)(void *data),
	    void (*after)(void *data, gboolean good), void *data)
{
	enum { GOOD, BAD, NOT_THAT_MANY };
	guint failed = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(refuse_calls); i++) {
		for (int n = 1, end = GOOD; end != NOT_THAT_MANY; n++) {
			int status = 0;
			before(data);
			pid_t child = fork();
			g_assert_cmpint(child, >=, 0);
			if (!child) {
				refuse_nth(refuse_calls[i].number, n);
				gboolean good = what(data);
				gboolean came = refuse_left <= 0;
				refuse_left = 0;
				_exit(!came ? NOT_THAT_MANY : good ? GOOD : BAD);
			}
			g_assert_cmpint(waitpid(child, &status, 0), ==, child);
			if (!WIFEXITED(status))
				g_error("%s call %d: signal %d", refuse_calls[i].name, n,
					WTERMSIG(status));
			end = WEXITSTATUS(status);
			if (end != GOOD && end != BAD && end != NOT_THAT_MANY)
				g_error("%s call %d: status %d", refuse_calls[i].name, n, end);
			g_test_message("%s call %d: %s", refuse_calls[i].name, n,
				       end == BAD ? "an error" : "no error");
			after(data, end != BAD);
			failed += end != NOT_THAT_MANY;
		}
	}
	return failed;
}

#else

static inline guint
refuse_each(void (*before)(void *data), gboolean (*what)(void *data),
	    void (*after)(void *data, gboolean good), void *data)
{
	g_test_skip("the handler knows the registers of x86_64 only");
	return G_MAXUINT;
}

#endif

#endif
