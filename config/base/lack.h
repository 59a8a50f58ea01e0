/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is it the host, or this process, that lacks something? An error that says so says nothing of a
 * guest.
 */
#ifndef CONFIG_BASE_LACK_H
#define CONFIG_BASE_LACK_H

#include <glib.h>

/* An errno value for: no descriptors, memory, buffers, processes, room; or a file that cannot be
 * read or written although it is there (a dead disk or file server). */
gboolean lack_is(int number);

/* Is one of these in a message? For what other programs and libraries report as text only. A
 * guest's own words must not be in it. */
gboolean lack_says(const char *message);

#endif
