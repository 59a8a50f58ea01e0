/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table of the lines on a Hurd's console that have a meaning.
 *
 * Their sources: GNU Mach's kern/debug.c (Panic, Assert), i386/i386/trap.c (kernel_trap),
 * model_dep.c (halt_all_cpus), vm/vm_page.c, ddb/db_command.c (the prompt); the Hurd's ext2fs/msg.c
 * and ext2fs/hyper.c, startup's essential tasks, mach-defpager. Mach's panic is a line and then
 * 1000 s of silence, so nothing else shows it. A kernel's line may follow the prompt of a shell ("#
 * panic {cpu0} ..."), so most are recognized anywhere in a line. Those that a program may print,
 * too, count at the start of a line only.
 */
#include "childhurdd/qemu/console.h"

#include <string.h>

#define GOES_DOWN "the guest goes down by itself"

enum place { ANYWHERE, AT_START };

/* The first rule whose words are in the line decides. */
static const struct rule {
	enum place place; /* of first */
	const char *first;
	const char *then; /* anywhere after it; NULL: nothing */
	enum console_meaning meaning;
	const char *explanation;
} rules[] = {
    {ANYWHERE, "You can safely power off the system", NULL, CONSOLE_HALTED,
     "the guest has halted, QEMU stays"},
    {ANYWHERE, "In tight loop: hit ctl-alt-del to reboot", NULL, CONSOLE_HALTED,
     "the guest has halted, QEMU stays"},
    {ANYWHERE, "reboot: System halted", NULL, CONSOLE_HALTED, "the guest has halted, QEMU stays"},

    /* startup.c, reboot_system: it first notifies the servers that asked for it, one by one, and
     * they write their data; what follows may never end */
    {ANYWHERE, "startup: notifying ", " of halt", CONSOLE_HALTING, GOES_DOWN},
    {ANYWHERE, "startup: notifying ", " of reboot", CONSOLE_REBOOTING, GOES_DOWN},
    {ANYWHERE, "startup: halting ", NULL, CONSOLE_HALTING, GOES_DOWN},
    {ANYWHERE, "startup: rebooting ", NULL, CONSOLE_REBOOTING, GOES_DOWN},

    /* before the panics, because the file system's are not the kernel's */
    {ANYWHERE, "ext2fs", ": panic: ", CONSOLE_DISK,
     "the guest's file system server gave up; its disk is damaged or too small"},
    {ANYWHERE, "ext2fs", "Assertion ", CONSOLE_DISK, /* glibc has changed the quotes after it */
     "the guest's file system server died of a bug or of a damaged disk"},
    {ANYWHERE, "ext2fs", "MOUNTED READ-ONLY", CONSOLE_DISK,
     "the guest's file system was not unmounted cleanly and is mounted read-only, so that it comes "
     "half up and takes no secrets; stop it and repair its disk with e2fsck (the manual says how), "
     "or reset it, which loses all on the disk"},
    {ANYWHERE, "ext2fs", ": warning: ", CONSOLE_NOTHING, NULL},
    {AT_START, "ext2fs: ", ": ", CONSOLE_DISK, "the guest's file system server reports an error"},
    {ANYWHERE, "ext2fs", "Input/output error", CONSOLE_DISK,
     "the guest cannot read or write its disk"},
    {ANYWHERE, "I/O error, dev ", NULL, CONSOLE_DISK, "the guest cannot read or write its disk"},

    {ANYWHERE, "bootstrap_create: No bootstrap code loaded", NULL, CONSOLE_PANIC,
     "Mach was started without the Hurd's programs; with `kernel`, state each of them with "
     "`module`"},
    {ANYWHERE, "panic", "zone map exhausted", CONSOLE_PANIC,
     "Mach ran out of kernel memory, as under too many processes or ports"},
    {ANYWHERE, "panic {cpu", NULL, CONSOLE_PANIC,
     "Mach has panicked; the guest has to be restarted"},
    {ANYWHERE, "panic ", ".c:", CONSOLE_PANIC, /* "panic ../kern/debug.c:103: Debugger: ..." */
     "Mach has panicked; the guest has to be restarted"},
    {AT_START, "panic: ", NULL, CONSOLE_PANIC, "Mach has panicked; the guest has to be restarted"},
    {AT_START, "Panic: ", NULL, CONSOLE_PANIC, "Mach has panicked; the guest has to be restarted"},
    {AT_START, "# panic: ", NULL, CONSOLE_PANIC,
     "Mach has panicked; the guest has to be restarted"},
    {ANYWHERE, "Kernel panic - not syncing", NULL, CONSOLE_PANIC,
     "the guest's kernel has panicked"},
    {ANYWHERE, "{cpu", "Assertion ", CONSOLE_PANIC, "Mach has met a bug of its own"},
    {ANYWHERE, "Debugger invoked: ", NULL, CONSOLE_PANIC, "Mach has met a bug of its own"},
    {ANYWHERE, "Kernel ", " trap, eip 0x", CONSOLE_PANIC,
     "Mach has crashed; the guest has to be restarted"},
    {ANYWHERE, "Kernel trap ", ", eip 0x", CONSOLE_PANIC,
     "Mach has crashed; the guest has to be restarted"},
    {ANYWHERE, "rashing system; essential task ", " died", CONSOLE_PANIC,
     "a server died that the Hurd cannot be without"},

    {ANYWHERE, "vm_page warning: unable to recycle any page", NULL, CONSOLE_MEMORY,
     "the guest has no free memory left; raise memory-size, or give it swap"},
    {ANYWHERE, "because of previous paging errors", NULL, CONSOLE_MEMORY,
     "the guest's swap is full or fails; raise memory-size"},
    {ANYWHERE, "zone map exhausted", NULL, CONSOLE_MEMORY, "Mach runs out of kernel memory"},
    {ANYWHERE, "Out of memory", NULL, CONSOLE_MEMORY,
     "the guest has no free memory left; raise memory-size"},
};

static gboolean
rule_matches(const struct rule *rule, const char *line)
{
	const char *at;

	if (rule->place == AT_START)
		at = g_str_has_prefix(line, rule->first) ? line : NULL;
	else
		at = strstr(line, rule->first);
	return at && (!rule->then || strstr(at + strlen(rule->first), rule->then));
}

/* "db> ", "dbt> ", "db{0}> ", perhaps with a typed command after it. */
static gboolean
debugger_prompt(const char *line)
{
	if (!g_str_has_prefix(line, "db"))
		return FALSE;
	line += strlen("db");
	line += *line == 't';
	if (*line == '{') {
		gsize digits = strspn(line + 1, "0123456789");

		if (digits == 0 || line[1 + digits] != '}')
			return FALSE;
		line += digits + strlen("{}");
	}
	return line[0] == '>' && (line[1] == ' ' || line[1] == '\0');
}

enum console_meaning
console_meaning(const char *line, const char **explanation)
{
	*explanation = NULL;
	if (debugger_prompt(line)) {
		*explanation = "Mach's debugger waits for commands; the guest has to be restarted";
		return CONSOLE_PANIC;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
		if (rule_matches(&rules[i], line)) {
			*explanation = rules[i].explanation;
			return rules[i].meaning;
		}
	}
	return CONSOLE_NOTHING;
}

const char *
console_stall(const char *line)
{
	gsize length = strlen(line);
	while (length > strlen("start ") && line[length - 1] == ' ')
		length--;
	if (!g_str_has_prefix(line, "start ") || line[length - 1] != ':' ||
	    memchr(line + strlen("start "), ' ', length - strlen("start ")))
		return NULL; /* after the name is output of the module itself */
	return "Mach has started the first module, and nothing came of it; most likely the "
	       "module's arguments are wrong: its first word is its file's name already, so write "
	       "module = FILE --multiboot-command-line=..., without the program's name after FILE";
}
