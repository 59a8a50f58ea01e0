/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of `--check` beside programs, folders and guests: is there memory and disk for all
 * guests (check_room.c), do builds reach them (check_guix.c), and coordinators elsewhere
 * (check_coordinators.c), and are those of nodes reached (check_nodes.c)? */
#ifndef CHILDHURDD_HOST_CHECK_PARTS_H
#define CHILDHURDD_HOST_CHECK_PARTS_H

#include <glib.h>

#include "config/config.h"

/* Report a finding. result: "ok", "note" or "problem"; text: borrowed, one line. */
struct findings {
	void (*add)(const char *result, const char *text, void *data);
	void *data;
};
void findings_add(const struct findings *findings, const char *result, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The QEMU of this guest, whichever daemon started it; 0: none runs. */
pid_t hostcheck_qemu(const struct config *config, const struct config_guest *guest);

/* Compare the host's memory, the state directory's disk and this process' descriptors with what the
 * guests may use, their warm states included. */
void hostcheck_room(const struct config *config, const struct findings *findings);

/* Does this host's Guix know the guests, and can its daemon's user read keys and slots? Reports
 * nothing without Guix. */
void hostcheck_guix(const struct config *config, const struct findings *findings);

/* Do the guests listen where coordinators, here and elsewhere, look for them, and are the keys of
 * those elsewhere in order? */
void hostcheck_coordinators(const struct config *config, const struct findings *findings);

/* Are the guests of the nodes reached where they are published? Asks the name server, and takes
 * some seconds for each node that does not answer. */
void hostcheck_nodes(const struct config *config, const struct findings *findings);

#endif
