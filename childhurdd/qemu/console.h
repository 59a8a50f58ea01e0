/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's serial console. QEMU appends to console.log; a struct console follows that, keeps its
 * last lines, recognizes lines with a meaning, and rotates the file.
 */
#ifndef CHILDHURDD_QEMU_CONSOLE_H
#define CHILDHURDD_QEMU_CONSOLE_H

#include <ev.h>
#include <glib.h>

#define CONSOLE_LINE_MAX   512	/* bytes of one line that are kept */
#define CONSOLE_RECALL	   8192 /* bytes of an older log that are read for its last lines */
#define CONSOLE_TAIL_LINES 40	/* last lines kept in memory */
#define CONSOLE_ROTATE_SIZE                                                                        \
	(4 << 20) /* bytes; a longer log becomes console.log.1, up to CONSOLE_ROTATED copies */
#define CONSOLE_ROTATED 3
#define CONSOLE_COPY_MAX                                                                           \
	(5 << 20)	 /* bytes; of a longer log only the last CONSOLE_ROTATE_SIZE are kept */
#define CONSOLE_POLL 250 /* ms between two looks at the file; inotify wakes earlier */

#define CONSOLE_SILENCE                                                                            \
	60000 /* ms of silence in the middle of a line, after which a boot counts as stuck */

/* What a line on the console means. */
enum console_meaning {
	CONSOLE_NOTHING,
	CONSOLE_HALTED,	   /* the guest has halted, and QEMU stays */
	CONSOLE_HALTING,   /* the guest has begun to halt */
	CONSOLE_REBOOTING, /* ... to reboot */
	CONSOLE_PANIC,	   /* Mach's panic, no bootstrap code, the kernel debugger's prompt */
	CONSOLE_DISK,	   /* ext2fs errors and deaths */
	CONSOLE_MEMORY,	   /* out of memory */
};
/* The meaning of one line (without its end). *explanation: what it means in words, a constant; NULL
 * for CONSOLE_NOTHING. Pure. */
enum console_meaning console_meaning(const char *line, const char **explanation);
/* What it most likely means if the console stopped in the middle of this line for CONSOLE_SILENCE;
 * NULL: nothing. A constant. Pure. */
const char *console_stall(const char *line);

struct console;
/* A line with a meaning was read, or anything at all (CONSOLE_NOTHING, line NULL). May not free the
 * console. */
typedef void (*console_fn)(struct console *console, enum console_meaning meaning, const char *line,
			   const char *explanation, void *data);

/* Follow path from its start, or from its present end (from_start FALSE). path may not exist yet.
 * Never NULL. */
struct console *console_new(struct ev_loop *loop, const char *path, gboolean from_start,
			    console_fn fn, void *data);
void console_free(struct console *console); /* NULL is allowed */
/* Fill the tail with the lines before the place from which it reads, without reporting them. Call
 * this before anything is read. */
void console_recall(struct console *console);

/* Read now what is there, for instance the last lines after QEMU's end. Meanings are reported from
 * within this call. */
void console_drain(struct console *console);
/* What it means that the console has stopped in the middle of a line for CONSOLE_SILENCE; NULL: it
 * has not, or it means nothing. now: monotonic ms. *line: that line, set with the result; the
 * caller frees. */
const char *console_stalled(const struct console *console, gint64 now, char **line);
/* The last lines, at most n, without control characters and escape sequences. NULL-terminated; the
 * caller frees with g_strfreev. */
char **console_tail(const struct console *console, guint n);
/*
 * If path is larger than CONSOLE_ROTATE_SIZE: copy it to path.1 (and .1 to .2, ...) and truncate
 * it. If it is larger than CONSOLE_COPY_MAX, the copy has only the last bytes, after a line that
 * states this. Safe while a QEMU appends to it: only bytes written between the copy's last read and
 * the truncation, some microseconds, are lost. A missing file is no error. This is for before
 * QEMU's start; a struct console rotates by itself.
 */
gboolean console_rotate(const char *path, GError **error);

#endif
