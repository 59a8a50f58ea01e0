/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Three layers. The user: root's work is done by the user that QEMU runs as, with a group that no
 * QEMU has, so a guest that broke out of QEMU cannot look into it (ptrace(2): the group must be
 * the same as well). Landlock (landlock(7)): no file can be written but those that were handed
 * over. A filter of system calls (seccomp(2)): a parser has a list of what it may call, the others
 * a list of what they may not. A call that is refused fails with EPERM, as the libraries expect of
 * calls, instead of ending the process.
 *
 * The numbers are the kernel's own, so no library for them is needed.
 */
#include "childhurdd/system/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1 /* it takes address space of its own */
#else
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define CALLS_OF AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CALLS_OF AUDIT_ARCH_AARCH64
#endif			     /* else there is no filter */
#define X32_CALLS 0x40000000 /* numbers of the x32 ABI begin here; the filter lists none */

static gboolean
fail(GError **error, const char *what)
{
	int code = errno;
	g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(code), "sandbox: %s: %s", what,
		    g_strerror(code));
	return FALSE;
}

static gboolean
become(const struct identity *user, GError **error)
{
	if (!user)
		return TRUE;
	if (setgroups(0, NULL) < 0 ||
	    setresgid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return fail(error, "cannot become QEMU's user");
	return TRUE;
}

gboolean
sandbox_limit(int resource, guint64 most, GError **error)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return fail(error, "getrlimit");
	now.rlim_max = MIN(now.rlim_max, most);
	now.rlim_cur = MIN(now.rlim_cur, now.rlim_max);
	return setrlimit((__rlimit_resource_t)resource, &now) == 0 || fail(error, "setrlimit");
}

gboolean
sandbox_prepare(GError **error)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(error, "prctl");
	return sandbox_limit(RLIMIT_CORE, 0, error);
}

/* --- Landlock --- */

#define READS                                                                                      \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define EVERYTHING                                                                                 \
	(READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                   \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                           \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                               \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                             \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static gboolean
allow(int rules, int file, guint64 access)
{
	const struct landlock_path_beneath_attr rule = {.allowed_access = access,
							.parent_fd = file};
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static gboolean
lock_files(enum sandbox kind, const int *writable, guint n, GError **error)
{
	const struct landlock_ruleset_attr all = {.handled_access_fs = EVERYTHING};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	if (rules < 0)
		return TRUE; /* an old kernel, or one without it */
	int top = open("/", O_PATH | O_CLOEXEC);
	gboolean good = kind == SANDBOX_PARSER || (top >= 0 && allow(rules, top, READS));
	for (guint i = 0; kind == SANDBOX_TOOL && i < n && good; i++)
		good = allow(rules, writable[i],
			     LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE);
	good = good && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	if (!good)
		fail(error, "landlock");
	if (top >= 0)
		close(top);
	close(rules);
	return good;
}

/* --- system calls --- */

#ifdef CALLS_OF

/* What a parser calls: memory, its descriptors, time, the end of a child and its own. newfstatat is
 * glibc's fstat. */
static const int parser_calls[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_lseek,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fstat,
    SYS_newfstatat,
    SYS_fstatfs,
    SYS_fcntl,
    SYS_close,
    SYS_recvfrom,
    SYS_sendto,
    SYS_shutdown,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_sched_yield,
    SYS_getrandom,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_tgkill,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_geteuid,
    SYS_restart_syscall,
    SYS_clock_nanosleep,
    SYS_wait4,
    SYS_waitid,
    SYS_exit,
    SYS_exit_group,
#ifdef SYS_time /* not on newer architectures */
    SYS_time,
#endif
};

/* Memory that is made by these must not be executable, in a parser: their third argument. */
static const int memory_calls[] = {SYS_mmap, SYS_mprotect};

/* What the others may not call: a way to other processes, other users, other files, the kernel. */
static const int refused_calls[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_kill,
    SYS_tkill,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_open_by_handle_at,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_mkdirat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mknodat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_truncate,
    SYS_utimensat,
    SYS_personality,
#ifdef SYS_unlink /* not on newer architectures */
    SYS_unlink,
    SYS_rename,
    SYS_renameat,
    SYS_mkdir,
    SYS_rmdir,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
#endif
};

static const int network_refused[] = {SYS_execve, SYS_execveat};
static const int tool_refused[] = {SYS_socket, SYS_socketpair};
/* What succeeds and does nothing: a tool's files are temporary, or synced by the process that keeps
 * them. e2fsck would wait for many hundred MB of a disk that is removed right after it. */
static const int tool_skipped[] = {SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs};

#define STATEMENT(code, value)	   ((struct sock_filter)BPF_STMT(code, value))
#define JUMP(code, value, yes, no) ((struct sock_filter)BPF_JUMP(code, value, yes, no))
#define FIELD(name)		   ((guint32)offsetof(struct seccomp_data, name))
#define REFUSE			   (SECCOMP_RET_ERRNO | EPERM)
#define SKIP			   (SECCOMP_RET_ERRNO | 0)

static void
add(GArray *program, struct sock_filter instruction)
{
	g_array_append_val(program, instruction);
}

/* If the call is one of them, the result is this. */
static void
add_calls(GArray *program, const int *calls, gsize n, guint32 result)
{
	for (gsize i = 0; i < n; i++) {
		add(program, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)calls[i], 0, 1));
		add(program, STATEMENT(BPF_RET | BPF_K, result));
	}
}

static void
add_memory(GArray *program)
{
	const guint32 protection = FIELD(args) + 2 * sizeof(guint64);
	for (gsize i = 0; i < G_N_ELEMENTS(memory_calls); i++) {
		add(program, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (guint32)memory_calls[i], 0, 4));
		add(program, STATEMENT(BPF_LD | BPF_W | BPF_ABS, protection));
		add(program, JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
		add(program, STATEMENT(BPF_RET | BPF_K, REFUSE));
		add(program, STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
}

static gboolean
filter_calls(enum sandbox kind, GError **error)
{
	g_autoptr(GArray) program = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
	gboolean listed = kind == SANDBOX_PARSER;
	add(program, STATEMENT(BPF_LD | BPF_W | BPF_ABS, FIELD(arch)));
	add(program, JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS_OF, 1, 0));
	add(program, STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	add(program, STATEMENT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr)));
	add(program, JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1));
	add(program, STATEMENT(BPF_RET | BPF_K, REFUSE));
	if (listed) {
		add_memory(program);
		add_calls(program, parser_calls, G_N_ELEMENTS(parser_calls), SECCOMP_RET_ALLOW);
	} else {
		add_calls(program, refused_calls, G_N_ELEMENTS(refused_calls), REFUSE);
	}
	if (kind == SANDBOX_NETWORK)
		add_calls(program, network_refused, G_N_ELEMENTS(network_refused), REFUSE);
	if (kind == SANDBOX_TOOL) {
		add_calls(program, tool_refused, G_N_ELEMENTS(tool_refused), REFUSE);
		add_calls(program, tool_skipped, G_N_ELEMENTS(tool_skipped), SKIP);
	}
	add(program, STATEMENT(BPF_RET | BPF_K, listed ? REFUSE : SECCOMP_RET_ALLOW));
	const struct sock_fprog filter = {.len = (unsigned short)program->len,
					  .filter = (struct sock_filter *)program->data};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 || errno == EINVAL)
		return TRUE; /* EINVAL: a kernel without it */
	return fail(error, "seccomp");
}

#else

static gboolean
filter_calls(enum sandbox kind, GError **error)
{
	return TRUE;
}

#endif

gboolean
sandbox_enter(enum sandbox kind, const struct identity *user, const int *writable, guint n,
	      GError **error)
{
	gboolean limited = sandbox_limit(RLIMIT_NOFILE, SANDBOX_FILES_MAX, error) &&
			   sandbox_limit(RLIMIT_FSIZE, SANDBOX_FILE_SIZE, error);
	if (limited && kind == SANDBOX_PARSER && !SANITIZED)
		limited = sandbox_limit(RLIMIT_AS, SANDBOX_MEMORY, error);
	/* a change of the user clears what is prepared */
	return limited && become(user, error) && sandbox_prepare(error) &&
	       lock_files(kind, writable, n, error) && filter_calls(kind, error);
}
