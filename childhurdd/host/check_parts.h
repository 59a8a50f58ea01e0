/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `--check` looks at beside programs, folders and guests: is there room for all of them
 * (check_room.c), and do builds find their way to them (check_guix.c)? */
#ifndef CHILDHURDD_HOST_CHECK_PARTS_H
#define CHILDHURDD_HOST_CHECK_PARTS_H

#include <glib.h>

#include "config/config.h"

/* Where findings go. result: "ok", "note" or "problem"; text: borrowed, one line. */
struct findings {
	void (*add)(const char *result, const char *text, void *data);
	void *data;
};
void findings_add(const struct findings *findings, const char *result, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The QEMU of this guest, whoever started it; 0: none runs. */
pid_t hostcheck_qemu(const struct config *config, const struct config_guest *guest);

/* The host's memory, the state directory's disk and this process' descriptors against what the
 * guests may take. */
void hostcheck_room(const struct config *config, const struct findings *findings);

/* Does this host's Guix know of the guests, and may who coordinates builds read keys and slots?
 * Says nothing where there is no Guix. */
void hostcheck_guix(const struct config *config, const struct findings *findings);

#endif
