/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a guest is used: the builds that ended in it, and since when it has been idle. */
#ifndef CHILDHURDD_WORLD_USE_H
#define CHILDHURDD_WORLD_USE_H

#include <glib.h>

/* ms: looks that are further apart may have missed a build's session. */
#define USE_LATE 1000

/* What is seen of a guest's use at one moment. */
struct use_look {
	guint64 slots;	   /* that are taken, bit N for slot N */
	int others;	   /* builds that have no slot here; -1: they and the slots are unknown */
	gboolean sessions; /* of others than ours */
};

struct use {
	guint64 slots, used; /* taken at the last look; and since when there was a session */
	int others;	     /* at the last look that knew */
	gint64 looked;	     /* monotonic ms of the last look */
	gint64 until;	     /* monotonic ms: there was a build or a session last */
};

/* It is looked at from now on, and so far it was in use. builds: there may be some from before,
 * and what they did was not seen. */
void use_begin(struct use *use, gboolean builds, gint64 now);
/* Is a slot taken of which it is not yet known whether a build uses the guest? */
gboolean use_wonders(const struct use *use, guint64 slots);
/*
 * A look. Returns how many builds have ended since the last one. A slot that was taken and given
 * back while nobody had a session was none: `guix offload` takes a slot of each machine while it
 * chooses. In doubt it was one.
 */
int use_note(struct use *use, const struct use_look *look, gint64 now);
/* ms that it has been idle for. */
gint64 use_idle(const struct use *use, gint64 now);

#endif
