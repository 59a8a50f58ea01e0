/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * native-only: runs a command as on a host that runs no programs for other processors than its own.
 *
 *     native-only COMMAND...
 *
 * A kernel that can will still load one (a 32-bit program on amd64); it dies at its first system
 * call, which is of another architecture, see seccomp(2). Whatever the command starts is under the
 * same rule.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_ of <linux/audit.h> is this processor's?"
#endif

int
main(int argc, char **argv)
{
	struct sock_filter rules[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};

	if (argc < 2) {
		fputs("usage: native-only COMMAND...\n", stderr);
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		fprintf(stderr, "native-only: %s\n", strerror(errno));
		return 126;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "native-only: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
