/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the hird's runners to offload/published.h: which guests coordinators are told of. */
#ifndef CHILDHURDD_HIRD_PUBLISHER_H
#define CHILDHURDD_HIRD_PUBLISHER_H

#include <glib.h>

#include "childhurdd/guest/world.h"
#include "offload/published.h"

/* How the list of machines is to have this guest. */
enum published_as publisher_as(const struct childhurd *c);

/* What is to be published of these runners (array of struct runner): one entry for each that has
 * its keys. Caller frees the array; its strings belong to configuration and runners. */
GArray *publisher_guests(const struct host *host, GPtrArray *runners);

/* Write the files; the runtime directory is made again when it is gone (*made). The error names the
 * file. */
gboolean publisher_update(const struct host *host, GPtrArray *runners, gboolean *made,
			  GError **error);

#endif
