/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests of this node that may get no further build, and what coordinators elsewhere report of
 * them.
 *
 * A coordinator elsewhere has slots that this host cannot see. While it follows Machines it reads
 * there which guests are held: it locks the free slots of their machines, and reports how many of
 * them have a build. Until it has reported on a guest, a build is assumed, but not for longer than
 * HOLDS_LIMIT: then, and while it does not follow, only its sessions count.
 */
#ifndef CHILDHURDD_HIRD_HOLDS_H
#define CHILDHURDD_HIRD_HOLDS_H

#include <glib.h>

#include "service/control/hird.h"

#define HOLDS_LIMIT	       10000 /* ms that a coordinator may take to report on a guest that is held */
#define HOLDS_COORDINATORS_MAX 64 /* that follow at a time, each by its name */

struct holds;

/* Requests to the owner. */
struct holds_ops {
	gint64 (*now)(void *data);   /* monotonic ms */
	void (*changed)(void *data); /* holds_list is another one; may read it at once */
};

/* ops and data are borrowed. Free with holds_free. */
struct holds *holds_new(const struct holds_ops *ops, void *data);
void holds_free(struct holds *holds); /* NULL is allowed */

/* A coordinator begins to follow, perhaps on a second connection: what it reported before is
 * forgotten, as it may have been started again. FALSE: there are too many. */
gboolean holds_join(struct holds *holds, const char *coordinator);
/* One of its connections has ended. */
void holds_leave(struct holds *holds, const char *coordinator);

/* Hold the guest, if it is not held yet; port and parallel_builds are those of its machine. Returns
 * the builds that coordinators elsewhere have in it, or are assumed to have. After 0 none of theirs
 * can begin. */
int holds_hold(struct holds *holds, const char *guest, int port, int parallel_builds);
void holds_release(struct holds *holds, const char *guest);

/* The guests that are held: an array of struct control_hold, which the caller unrefs. Strings are
 * borrowed until the next change. */
GArray *holds_list(const struct holds *holds);

/* A coordinator reports: that many slots of the guest have a build, and the others are locked. A
 * report about another hold than the present one, or of a coordinator that does not follow, is
 * ignored. TRUE: the last build that is known of has ended. */
gboolean holds_report(struct holds *holds, const char *coordinator, const char *guest,
		      gint64 number, int builds);

#endif
