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

#endif
