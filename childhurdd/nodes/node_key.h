/* SPDX-License-Identifier: GPL-3.0-or-later */
/* This host's SSH key as a coordinator, by which it reaches nodes and their guests:
 * STATE/nodes/key. */
#ifndef CHILDHURDD_NODES_NODE_KEY_H
#define CHILDHURDD_NODES_NODE_KEY_H

#include <glib.h>

#include "config/config.h"

/* The private half; the public one is beside it, with .pub. Caller frees. */
char *node_key_path(const char *state_directory);

/* This host's name as that of a section [coordinator NAME]. Caller frees. */
char *node_key_owner(void);
/* A name for reports to nodes that no other daemon has, and that stays the same: the one above may
 * be that of several hosts. At most CONTROL_COORDINATOR_MAX bytes. Caller frees. */
char *node_key_reporter(const char *state_directory);

/*
 * Make sure that the pair is there, and that the coordinator's user can read it, as for a guest's
 * offload_key (coordinator_grant; NULL: as in the configuration). FALSE: the error names the file.
 * Blocks on disk; thread-safe.
 */
gboolean node_key_ensure(const char *state_directory, const char *coordinator_user,
			 const char *guix_state_directory, GError **error);

#endif
