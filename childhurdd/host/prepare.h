/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --prepare`: root's part before a daemon that is not root's. */
#ifndef CHILDHURDD_HOST_PREPARE_H
#define CHILDHURDD_HOST_PREPARE_H

#include <glib.h>

#include "config/config.h"

/*
 * Make, for a daemon that user runs: its folders, its guests' signing keys, which the host's acl
 * then takes, and access to their build slots. What is there already is left alone, and each thing
 * that is done is logged. Without Guix on this host only the folders are made. FALSE and an error
 * that names the file: the user or a folder is not to be had. What fails with a guest's key or
 * slots is a warning in the log.
 */
gboolean prepare_run(const struct config *config, const char *user, GError **error);

#endif
