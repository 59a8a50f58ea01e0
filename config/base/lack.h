/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the host, or this process, lack something? Such an error is no verdict on a guest.
 */
#ifndef CONFIG_BASE_LACK_H
#define CONFIG_BASE_LACK_H

#include <glib.h>

/* Is errno one for: no descriptors, memory, buffers, processes or disk space left, or a file that
 * exists and cannot be read or written (a dead disk or file server)? */
gboolean lack_is(int number);

/* Does a message contain the text of one? For programs and libraries that report text only. The
 * message must not contain a guest's words. */
gboolean lack_says(const char *message);

#define LACK_ROOM	 1048576 /* bytes free: with less, small files cannot be relied on */
#define LACK_DESCRIPTORS 16	 /* free: with fewer, a program cannot be started */

/* What the host, or this process, lacks now: room in folder, or descriptors, in words in which
 * lack_says finds it; NULL: neither. For a library whose own words do not tell. Reads the file
 * system. Caller frees. */
char *lack_now(const char *folder);

#endif
