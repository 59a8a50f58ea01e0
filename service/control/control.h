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
 * Listen on path, whose folder must exist; a socket that a dead daemon left behind is replaced. The
 * socket gets mode 0660 and the group control_group if that exists and the daemon may use it; else
 * mode 0600, and a line in the log. hird is copied. NULL: error names the path.
 */
struct control *control_new(struct ev_loop *loop, const char *path, const char *control_group,
			    const struct control_hird *hird, GError **error);
/* Begin to answer, also clients that have connected before. May be called again. */
void control_open(struct control *control);
/*
 * If our socket is no longer at its path, create it there again; connections stay. FALSE: that
 * failed, for instance because another daemon listens there; error has the reason, and nothing
 * changes.
 */
gboolean control_renew(struct control *control, GError **error);
/* Look up the groups. May block, as the group database may be remote; thread-safe. */
struct control_groups control_groups_find(const char *control_group);
/* Let these groups, which may be new, use the socket. FALSE: its mode cannot be changed; error has
 * the reason. */
gboolean control_share(struct control *control, struct control_groups groups, GError **error);
/* Closes everything and removes the socket. */
void control_free(struct control *control);

/* The number of the last event of the daemon before this one; events go on from it. Before the
 * first one. */
void control_number(struct control *control, gint64 number);

/* Report an event to the clients that follow events or wait for a state. */
void control_event(struct control *control, const struct control_event *event);

#endif
