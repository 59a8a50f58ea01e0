/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the hird's worlds to offload/published.h: which guests coordinators see, and the files that
 * tell them, written in a worker.
 */
#ifndef CHILDHURDD_HIRD_PUBLISHER_H
#define CHILDHURDD_HIRD_PUBLISHER_H

#include <glib.h>

#include "childhurdd/world/world.h"
#include "offload/published.h"

#define PUBLISH_LIMIT 5000 /* ms that the runtime directory may take to answer */

/* How the list of machines shows this guest. */
enum published_as publisher_as(const struct childhurd *c);

/* The guests to publish, of these worlds (array of struct world): an entry for each that has its
 * keys. Caller frees the array; its strings belong to configuration and worlds. */
GArray *publisher_guests(const struct host *host, GPtrArray *worlds);

struct publisher;
/* What was asked for last is written, or could not be: error names the file. made: the runtime
 * directory was gone, and there is another one. */
typedef void (*publisher_fn)(gboolean made, const GError *error, void *data);

/* host is borrowed; done is called on the loop, never from within publisher_update. */
struct publisher *publisher_new(const struct host *host, publisher_fn done, void *data);
void publisher_free(struct publisher *publisher); /* NULL is allowed */

/* Write what these worlds are now; missing: only if a file is not there. What was to be written
 * before and has not begun is left out. done follows. */
void publisher_update(struct publisher *publisher, GPtrArray *worlds, gboolean missing);
/* How often publisher_update was called, and up to which of these calls all is written, or could
 * not be. */
guint64 publisher_asked(const struct publisher *publisher);
guint64 publisher_ended(const struct publisher *publisher);
/* Is anything still to be written? */
gboolean publisher_busy(const struct publisher *publisher);

#endif
