/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control socket: Varlink (https://varlink.org) on a Unix stream socket, interface
 * org.childhurd.
 */
#ifndef SERVICE_CONTROL_CONTROL_H
#define SERVICE_CONTROL_CONTROL_H

#include <ev.h>
#include <glib.h>

#include "service/control/hird.h"

struct control;

/*
 * Listen on path (a socket left behind by a dead daemon is replaced; the folder is there). The
 * socket gets mode 0660 and the group control_group when that exists and we may (else 0600, and a
 * warning). hird is copied. NULL and an error that names the path when it cannot be had.
 */
struct control *control_new(struct ev_loop *loop, const char *path, const char *control_group,
			    const struct control_hird *hird, GError **error);
/* Begin to answer; clients that came before have waited. May be called again. */
void control_open(struct control *control);
/*
 * Is our socket still at its path? If not, listen there again; connections that there are stay. Not
 * when a socket of a daemon that lives is there: FALSE and an error that says so, and what was
 * holds.
 */
gboolean control_renew(struct control *control, GError **error);
/* Asks the group database, which may take its time; thread-safe. */
struct control_groups control_groups_find(const char *control_group);
/* Let these use the socket: they may have been created since. FALSE and an error when it cannot be
 * shared. */
gboolean control_share(struct control *control, struct control_groups groups, GError **error);
/* Closes everything and removes the socket. */
void control_free(struct control *control);

/* Something happened: followers are told, waits are looked at again. */
void control_event(struct control *control, const struct control_event *event);

#endif
