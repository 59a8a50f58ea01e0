/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hird: all childhurds of the configuration. It decides when they start, publishes them,
 * applies a new configuration, and answers clients.
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
 * Takes over config. The control socket listens when this returns. Then, from the loop, the hird
 * connects to the hypervisor, takes over guests that run already, and starts those that should run.
 * NULL: error has the reason.
 */
struct hird *hird_new(struct ev_loop *loop, struct config *config, GError **error);
/* Frees all; the guests run on. May wait for files that are being written, up to their limits. */
void hird_free(struct hird *hird);

/* Does any guest's QEMU run? TRUE also while that is not known yet. */
gboolean hird_guests_run(const struct hird *hird);

/* Whether the loop was left because the hypervisor cannot be used. The reason is in the log. */
gboolean hird_broken(const struct hird *hird);

/* The result of a reload. messages: lines with the errors or the changes, NULL-terminated.
 * applied FALSE: nothing was changed. */
typedef void (*hird_reload_fn)(gboolean applied, const char *const *messages, void *data);
/*
 * Read the configuration again, apply the difference, and log the result. A worker reads it. If a
 * file does not answer within RELOAD_LIMIT, nothing is changed, and the message names the file.
 * done (NULL: none) is called once, later.
 */
#define RELOAD_LIMIT 10000 /* ms */
void hird_reload(struct hird *hird, hird_reload_fn done, void *data);
/* The same without changing anything: the messages are of what would be changed. */
void hird_foresee(struct hird *hird, hird_reload_fn done, void *data);

#endif
