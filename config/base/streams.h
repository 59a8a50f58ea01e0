/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The standard streams of a program that was started without some of them. */
#ifndef CONFIG_BASE_STREAMS_H
#define CONFIG_BASE_STREAMS_H

/* Call it first: what is opened next, a socket or a log, must not become a standard stream that is
 * closed. Nothing can be read from one that is filled so, and writing to it fails as before. */
void streams_fill(void);

#endif
