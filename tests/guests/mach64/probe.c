/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe: a bootstrap task for a 64-bit GNU Mach that prints a line a second. The one of `mach` does
 * more, and takes MIG.
 */

/* A Mach trap: its number, negative, in rax; its arguments where a C function has them, but for
 * rcx, which the instruction overwrites. <mach/x86_64/syscall_sw.h> */
#define TRAP(name, number)                                                                         \
	__asm__(".text\n.globl " #name "\n" #name ":\n\tmovq %rcx, %r10\n\tmovq $-" #number        \
		", %rax\n\tsyscall\n\tret\n")

TRAP(mach_print, 30);
TRAP(thread_switch, 61);

void mach_print(const char *text);
int thread_switch(unsigned thread, int option, unsigned milliseconds);

/* <mach/thread_switch.h>: give the processor away until the time, in milliseconds, is over. */
enum { SWITCH_OPTION_WAIT = 2 };

/* The entry: nobody to return to. */
__asm__(".text\n.globl _start\n_start:\n\tandq $-16, %rsp\n\tcall probe_main\n");
void probe_main(void);

void
probe_main(void)
{
	mach_print("probe: alive\n");
	for (;;) {
		thread_switch(0, SWITCH_OPTION_WAIT, 1000);
		mach_print("probe: tick\n");
	}
}
