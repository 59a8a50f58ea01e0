/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decides which guests coordinators see: makes an entry of offload/published.h from each world of
 * the hird, and has a worker write the files that coordinators read.
 */
#ifndef CHILDHURDD_HIRD_PUBLISHER_H
#define CHILDHURDD_HIRD_PUBLISHER_H

#include <glib.h>

#include "childhurdd/nodes/nodes.h"
#include "childhurdd/world/world.h"
#include "offload/published.h"

#define PUBLISH_LIMIT 5000 /* ms that the runtime directory may take to answer */

/* How the list of machines shows this guest. */
enum published_as publisher_as(const struct childhurd *c);

/* The guests to publish: an entry for each of these worlds (of struct world) that has its keys.
 * Caller frees the array (of struct published_guest). Its strings belong to configuration and
 * worlds. */
GArray *publisher_guests(const struct host *host, GPtrArray *worlds);

struct publisher;
/* An update is written, or has failed: error names the file. made: the runtime directory was
 * gone, and has been created again. */
typedef void (*publisher_fn)(gboolean made, const GError *error, void *data);

/* host is borrowed; done is called on the loop, never from within publisher_update. */
struct publisher *publisher_new(const struct host *host, publisher_fn done, void *data);
void publisher_free(struct publisher *publisher); /* NULL is allowed */

/* Write the files from the present state of these worlds and nodes (NULL: there are none). An
 * earlier update that has not begun is dropped. done follows. */
void publisher_update(struct publisher *publisher, GPtrArray *worlds, const struct nodes *nodes);
/* Look in a worker whether all files exist. If one is missing, missing is called with the data of
 * done, later. Does nothing while the files are being written, or looked at. */
void publisher_look(struct publisher *publisher, void (*missing)(void *data));
/* The number of calls of publisher_update so far, and the number of the last one that is written or
 * has failed. */
guint64 publisher_asked(const struct publisher *publisher);
guint64 publisher_ended(const struct publisher *publisher);
/* Is an update not written yet? */
gboolean publisher_busy(const struct publisher *publisher);

#endif
