/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hird: all childhurds of the configuration. Who may start when, what is published, what is
 * told to whom.
 */
#ifndef CHILDHURDD_HIRD_HIRD_H
#define CHILDHURDD_HIRD_HIRD_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/childhurd.h"
#include "childhurdd/world/world.h"
#include "config/config.h"

#define BUILD_POLL 1.0 /* s between two looks at the slots while a stop waits for a build */

/*
 * config is taken over. Connects to the hypervisor, takes over the guests that run, and starts
 * those that are to be started, all from the loop. The control socket listens when this returns.
 */
struct hird *hird_new(struct ev_loop *loop, struct config *config, GError **error);
/* Lets go of everything; the guests run on. */
void hird_free(struct hird *hird);

/* Does any guest's QEMU run, or is that not known yet? */
gboolean hird_guests_run(const struct hird *hird);

/* The loop was left because the hypervisor cannot be used; that was logged. */
gboolean hird_broken(const struct hird *hird);

/* What came of a reload, once: messages, of char *, are what is wrong, or what was done. applied
 * FALSE: nothing was changed. */
typedef void (*hird_reload_fn)(gboolean applied, GPtrArray *messages, void *data);
/*
 * Read the configuration again and apply the difference, and log what came of it. It is read in a
 * worker; a file that does not answer within RELOAD_LIMIT is named, and nothing is changed. done
 * may be NULL, and is called later.
 */
#define RELOAD_LIMIT 10000 /* ms */
void hird_reload(struct hird *hird, hird_reload_fn done, void *data);

#endif
