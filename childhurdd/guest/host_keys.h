/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which SSH host keys a guest has: the one place that says so. */
#ifndef CHILDHURDD_GUEST_HOST_KEYS_H
#define CHILDHURDD_GUEST_HOST_KEYS_H

#include <glib.h>

#include "config/config.h"

/*
 * The public halves ("TYPE BASE64" lines) of the keys with which the guest proves who it is,
 * NULL-terminated, g_strfreev. secrets: its secret root. A guest that gets its secrets from us has
 * those in there, which are made at a start. One that has its own (inject = none) has those that
 * the administrator put into its extra folder, public halves being enough, and if there are none
 * the ones that were made here. NULL and an error: none are known, or one cannot be read. Blocks on
 * disk; thread-safe.
 */
char **guest_host_keys(enum config_inject inject, const char *extra, const char *secrets,
		       GError **error);

#endif
