/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the slots*.c share: the folder of a machine's slots, STATE/offload/NAME:PORT. */
#ifndef OFFLOAD_SLOTS_INTERNAL_H
#define OFFLOAD_SLOTS_INTERNAL_H

#include <sys/stat.h>

#include "offload/slots.h"

/* NAME:PORT. Caller frees. */
char *slots_machine_name(const char *host_name, int port);
/* Open it in the state directory, whose descriptor is closed, and make what is missing. It is
 * closed to all but its user and group. owner: of the state directory. -1 and errno. */
int slots_machine_open(int state, const char *machine, const struct stat *owner);
/* The same for the folder of all machines, STATE/offload. */
int slots_offload_open(int state, const struct stat *owner);
/* Open it as it is, without following links, and set owner. -1 and errno. */
int slots_machine_find(const char *state, const char *machine, struct stat *owner);
/* Which slots have files? The machine may have had more slots before, with builds in them. built:
 * the guarded slots, which have the file of slots_build_name; may be NULL. */
gboolean slots_present(int folder, gboolean *present, gboolean *built);
/* Caller frees. */
char *slots_build_name(int slot);
/* Guix' hook opens them for writing, as guix-daemon's user, who owns the state directory. */
void slots_give(int fd, const struct stat *owner);

#endif
