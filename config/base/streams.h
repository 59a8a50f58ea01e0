/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens standard streams that a program was started without, writes whole buffers and messages, and
 * knows where colours are wanted. */
#ifndef CONFIG_BASE_STREAMS_H
#define CONFIG_BASE_STREAMS_H

#include <glib.h>

/* Call this first, so that no socket or log becomes a standard stream that was closed. Reading a
 * stream opened here gives nothing, and writing to it fails as before. */
void streams_fill(void);

/* Write all bytes to a blocking descriptor. FALSE: see errno; part of them may be written. */
gboolean streams_write(int fd, const void *bytes, gsize length);

/* Print text on stderr, each of its lines after "PROGRAM: ", as text_output has it for what stderr
 * is. What is buffered for stdout comes before it. */
void streams_complain(const char *program, const char *text);

/* Whether colours are wanted there: fd is a terminal, not a dumb one, and NO_COLOR is not set. */
gboolean streams_colours(int fd);

#endif
