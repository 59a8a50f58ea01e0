/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where messages go: stderr, with priority prefixes for the journal when systemd reads it
 * (sd-daemon(3)). */
#ifndef CHILDHURDD_SYSTEM_LOGGING_H
#define CHILDHURDD_SYSTEM_LOGGING_H

#include <glib.h>

/* level: "error", "warning", "info", "debug"; NULL: info. FALSE: no such level. Call once, before
 * threads. */
gboolean logging_start(const char *level);

/* An error of the configuration, for whoever starts us by hand: text as it is, without a time. The
 * journal gets it as an error. */
void logging_plain(const char *text);

#endif
