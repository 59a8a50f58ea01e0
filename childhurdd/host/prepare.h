/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --prepare`: root's part for a daemon that is not root's. */
#ifndef CHILDHURDD_HOST_PREPARE_H
#define CHILDHURDD_HOST_PREPARE_H

#include <glib.h>

#include "config/config.h"

/*
 * For a daemon that user runs, make its folders and its guests' signing keys, add the keys to the
 * host's acl, and give access to the build slots. Existing parts stay as they are, and each change
 * is logged. Without Guix on this host only the folders are made. FALSE and an error that names the
 * file: the user does not exist or a folder cannot be made. A failure with a guest's key or slots
 * is a warning in the log.
 */
gboolean prepare_run(const struct config *config, const char *user, GError **error);

#endif
