/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decides which SSH host keys a guest has. */
#ifndef CHILDHURDD_WORLD_HOST_KEYS_H
#define CHILDHURDD_WORLD_HOST_KEYS_H

#include <glib.h>

#include "config/config.h"

/*
 * The public halves ("TYPE BASE64" lines) of the keys with which the guest proves its identity,
 * NULL-terminated, g_strfreev. secrets: its secret root. A guest that gets its secrets from us has
 * the keys in there, made at a start. One with its own secrets (inject = none) has the keys in the
 * administrator's extra folder, where public halves are enough; if there are none, those made here.
 * NULL and an error: none are known, or one cannot be read. Blocks on disk; thread-safe.
 */
char **guest_host_keys(enum config_inject inject, const char *extra, const char *secrets,
		       GError **error);

#endif
