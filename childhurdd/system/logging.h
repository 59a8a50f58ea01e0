/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes messages to stderr, with priority prefixes if systemd's journal reads it (sd-daemon(3)).
 */
#ifndef CHILDHURDD_SYSTEM_LOGGING_H
#define CHILDHURDD_SYSTEM_LOGGING_H

#include <glib.h>

/* level: "error", "warning", "info", "debug"; NULL: info. FALSE: no such level. Call once, before
 * threads. */
gboolean logging_start(const char *level);

/* Print an error of the configuration, for somebody who starts us by hand: text as it is, without a
 * time. The journal gets it as an error. */
void logging_plain(const char *text);

#endif
