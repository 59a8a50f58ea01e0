/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard streams that a program was started without, and writing to a stream as a whole. */
#ifndef CONFIG_BASE_STREAMS_H
#define CONFIG_BASE_STREAMS_H

#include <glib.h>

/* Call it first: what is opened next, a socket or a log, must not become a standard stream that is
 * closed. Nothing can be read from one that is filled so, and writing to it fails as before. */
void streams_fill(void);

/* Write all of it to a descriptor that blocks. FALSE: errno says why; part of it may be written. */
gboolean streams_write(int fd, const void *bytes, gsize length);

#endif
