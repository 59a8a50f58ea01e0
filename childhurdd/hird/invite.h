/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node has to be told of this host, for the control protocol's Invite. */
#ifndef CHILDHURDD_HIRD_INVITE_H
#define CHILDHURDD_HIRD_INVITE_H

#include "childhurdd/world/world.h"
#include "service/control/hird.h"

#define INVITE_LIMIT 10000 /* ms that a file of it may take to answer */

/* Make the key if there is none, and call done once, later. */
void invite(const struct host *host, control_invite_fn done, void *done_data);

#endif
