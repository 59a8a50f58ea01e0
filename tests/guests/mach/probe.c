/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe: a bootstrap task for GNU Mach that does on the console what a guest does in a test.
 *
 * The daemon knows a Hurd by its console: lines that go on coming, the line of a halted Mach, a
 * panic, silence. All of that is the kernel's or the bootstrap task's doing, so the real kernel and
 * this one task show it in seconds, without the Hurd. The task is alone: no libc, no servers;
 * mach_print and MIG's stubs are all it has.
 *
 * Words understood, after the two port arguments: tick=N (N lines, a second apart; 0: without end),
 * then one of halt, reboot, panic, crash, silent.
 */
#include <mach/message.h>
#include <mach/mig_support.h>
#include <mach/port.h>

#include "mach_host.h"

/* Flags of host_reboot, from <mach/.../reboot.h> of the kernel's sources, which gnumach-dev does
 * not install. */
enum { REBOOT_NOW = 0, REBOOT_HALT = 8, REBOOT_DEBUGGER = 0x1000 };

/* <mach/thread_switch.h>: give the processor away until the time, in milliseconds, is over. */
enum { SWITCH_OPTION_WAIT = 2 };

/* A Mach trap: its number, negative, in eax; its arguments where a C function has them.
 * <mach/i386/syscall_sw.h> */
#define TRAP(name, number)                                                                         \
	__asm__(".text\n.globl " #name "\n" #name ":\n\tmovl $-" #number                           \
		", %eax\n\tlcall $7, $0\n\tret\n")

TRAP(mach_msg_trap, 25);
TRAP(mach_reply_port, 26);
TRAP(mach_print, 30);
TRAP(thread_switch, 61);

mach_msg_return_t mach_msg_trap(mach_msg_header_t *message, mach_msg_option_t options,
				mach_msg_size_t send_size, mach_msg_size_t receive_size,
				mach_port_t receive_name, mach_msg_timeout_t timeout,
				mach_port_t notify);
mach_port_t mach_reply_port(void);
void mach_print(const char *text);
kern_return_t thread_switch(mach_port_t thread, int option, natural_t milliseconds);

/* The entry: the kernel leaves argc and the argv pointers on the stack, and nobody to return to. */
__asm__(".text\n.globl _start\n_start:\n\tmovl %esp, %eax\n\tandl $-16, %esp\n\tsubl $12, "
	"%esp\n\tpushl %eax\n"
	"\tcall probe_main\n");
void probe_main(const long *stack);

/* What MIG's stubs and the compiler call. */
mach_msg_return_t
mach_msg(mach_msg_header_t *message, mach_msg_option_t options, mach_msg_size_t send_size,
	 mach_msg_size_t receive_size, mach_port_t receive_name, mach_msg_timeout_t timeout,
	 mach_port_t notify)
{
	return mach_msg_trap(message, options, send_size, receive_size, receive_name, timeout,
			     notify);
}

mach_port_t
mig_get_reply_port(void)
{
	static mach_port_t port;

	if (port == MACH_PORT_NULL)
		port = mach_reply_port();
	return port;
}

void
mig_put_reply_port(mach_port_t port)
{
	(void)port;
}

void
mig_dealloc_reply_port(mach_port_t port)
{
	(void)port;
}

void *memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ size);
void *
memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ size)
{
	char *t = to;
	const char *f = from;

	while (size-- > 0)
		*t++ = *f++;
	return to;
}

/* The rest of WORD after PREFIX, or NULL when WORD begins otherwise. */
static const char *
after(const char *word, const char *prefix)
{
	while (*prefix != '\0')
		if (*word++ != *prefix++)
			return 0;
	return word;
}

static int
is(const char *word, const char *other)
{
	const char *rest = after(word, other);

	return rest != 0 && *rest == '\0';
}

static unsigned
number(const char *digits)
{
	unsigned value = 0;

	while (*digits >= '0' && *digits <= '9')
		value = value * 10 + (unsigned)(*digits++ - '0');
	return value;
}

static void
print_tick(unsigned i)
{
	char digits[12];
	char *p = digits + sizeof digits;

	*--p = '\0';
	*--p = '\n';
	do
		*--p = (char)('0' + i % 10);
	while ((i /= 10) != 0);
	mach_print("probe: tick ");
	mach_print(p);
}

static void
pause_second(void)
{
	thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1000);
}

static void
tick(unsigned times)
{
	for (unsigned i = 1; times == 0 || i <= times; i++) {
		pause_second();
		print_tick(i);
	}
}

/* Asks the kernel to go down; it returns only when the kernel refused. */
static void
go_down(mach_port_t host_priv, const char *what, int flags)
{
	mach_print("probe: ");
	mach_print(what);
	mach_print("\n");
	if (host_reboot(host_priv, flags) != KERN_SUCCESS)
		mach_print("probe: host_reboot refused\n");
}

void
probe_main(const long *stack)
{
	int argc = (int)stack[0];
	char *const *argv = (char *const *)(stack + 1);
	mach_port_t host_priv = MACH_PORT_NULL;

	mach_print("probe: alive\n");
	for (int i = 1; i < argc; i++) {
		const char *value;

		if ((value = after(argv[i], "--host-priv-port=")) != 0)
			host_priv = number(value);
		else if (after(argv[i], "--") != 0 || is(argv[i], "probe"))
			continue;
		else if ((value = after(argv[i], "tick=")) != 0)
			tick(number(value));
		else if (is(argv[i], "halt"))
			go_down(host_priv, "halt", REBOOT_HALT);
		else if (is(argv[i], "reboot"))
			go_down(host_priv, "reboot", REBOOT_NOW);
		else if (is(argv[i], "panic"))
			go_down(host_priv, "panic", REBOOT_DEBUGGER);
		else if (is(argv[i], "crash"))
			__asm__ volatile("ud2");
		else if (is(argv[i], "silent"))
			break;
		else {
			mach_print("probe: unknown word: ");
			mach_print(argv[i]);
			mach_print("\n");
		}
	}
	for (;;)
		pause_second();
}
