/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prepare-command: run in a guest once, before its state is saved. */
#ifndef CHILDHURDD_WORLD_PREPARE_COMMAND_H
#define CHILDHURDD_WORLD_PREPARE_COMMAND_H

#include <ev.h>
#include <glib.h>

#include "config/config.h"

struct prepare_command;

/* problem NULL: it ended with status 0, and its session is closed. Called once, from the loop; may
 * free it. */
typedef void (*prepare_command_fn)(const char *problem, void *data);

/* Run it as admin-user within boot-timeout. guest: borrowed until done is called. host_keys:
 * acceptable "TYPE BASE64" lines. key: path of the private key. */
struct prepare_command *prepare_command_new(struct ev_loop *loop, const struct config_guest *guest,
					    char **host_keys, const char *key,
					    prepare_command_fn done, void *data);
void prepare_command_free(struct prepare_command *command); /* NULL is allowed */

#endif
