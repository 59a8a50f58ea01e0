/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's serial console: QEMU appends to console.log, this file reads along, keeps the last
 * lines, knows the lines that mean something, and rotates.
 */
#ifndef CHILDHURDD_QEMU_CONSOLE_H
#define CHILDHURDD_QEMU_CONSOLE_H

#include <ev.h>
#include <glib.h>

#define CONSOLE_LINE_MAX   512	/* bytes of one line that are kept */
#define CONSOLE_RECALL	   8192 /* bytes of an older log that are read for its last lines */
#define CONSOLE_TAIL_LINES 40	/* last lines kept in memory */
#define CONSOLE_ROTATE_SIZE                                                                        \
	(4 << 20) /* bytes; then console.log.1 .. CONSOLE_ROTATED, oldest dropped */
#define CONSOLE_ROTATED 3
#define CONSOLE_COPY_MAX                                                                           \
	(5 << 20) /* bytes; of a log that is longer only the last CONSOLE_ROTATE_SIZE are kept */
#define CONSOLE_POLL                                                                               \
	250 /* ms between two looks while a guest is not ready; inotify wakes earlier */

#define CONSOLE_SILENCE                                                                            \
	60000 /* ms; then a boot that stopped in the middle of a line is stuck there */

/* What a line on the console means. */
enum console_meaning {
	CONSOLE_NOTHING,
	CONSOLE_HALTED,	   /* "You can safely power off", "In tight loop": halted, QEMU stays */
	CONSOLE_HALTING,   /* the guest has begun to halt */
	CONSOLE_REBOOTING, /* ... to reboot */
	CONSOLE_PANIC,	   /* Mach's panic, bootstrap_create, the kernel debugger's prompt */
	CONSOLE_DISK,	   /* ext2fs errors and deaths */
	CONSOLE_MEMORY,	   /* out of memory */
};
/* The meaning of one line (no line end); *explanation gets what to tell people, a constant. Pure.
 */
enum console_meaning console_meaning(const char *line, const char **explanation);
/* What it most likely means that line (without an end) is the last thing a console has said for
 * CONSOLE_SILENCE; NULL: nothing. A constant. Pure. */
const char *console_stall(const char *line);

struct console;
/* A line with a meaning was read, or (meaning CONSOLE_NOTHING, line NULL) something was written at
 * all. May not free the console. */
typedef void (*console_fn)(struct console *console, enum console_meaning meaning, const char *line,
			   const char *explanation, void *data);

/* Read path from its present end (from_start FALSE) or its start; path may be missing still. NULL
 * never. */
struct console *console_new(struct ev_loop *loop, const char *path, gboolean from_start,
			    console_fn fn, void *data);
void console_free(struct console *console); /* NULL is allowed */
/* Fill the tail with what stands before the place from which it reads, and report nothing of it.
 * Before anything else was read. */
void console_recall(struct console *console);

/* Read now what is there (after QEMU's end: its last words); meanings are reported from within. */
void console_drain(struct console *console);
/* The console has said nothing for CONSOLE_SILENCE, in the middle of a line that tells why; NULL:
 * not so. now: monotonic ms. *line: that line; the caller frees. */
const char *console_stalled(const struct console *console, gint64 now, char **line);
/* The last lines, without control characters and escape sequences, at most n; NULL-terminated,
 * g_strfreev. */
char **console_tail(const struct console *console, guint n);
/*
 * If path is larger than CONSOLE_ROTATE_SIZE: copy it to path.1 (and .1 to .2, ...) and truncate
 * it. Of more than CONSOLE_COPY_MAX bytes the copy has the last ones, behind a line that says so.
 * Safe while a QEMU appends to it; only what it writes between the copy's last read and the
 * truncation, microseconds, is lost. A missing file is fine. Called before QEMU is started; a
 * struct console does it by itself while it reads.
 */
gboolean console_rotate(const char *path, GError **error);

#endif
