/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Metrics of the hird, as OpenMetrics text (https://github.com/OpenObservability/OpenMetrics,
 * specification 1.0).
 *
 * Events are counted through metrics_state and metrics_probe; the current state is read when a text
 * is made. All counters begin at 0 with the daemon, as _created shows.
 */
#ifndef CHILDHURDD_HIRD_METRICS_H
#define CHILDHURDD_HIRD_METRICS_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"
#include "service/control/control.h"

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics); /* NULL is allowed */

/* Call this when c's state may have changed: it counts boots, failures and restarts. */
void metrics_state(struct metrics *metrics, const struct childhurd *c);
/* A probe succeeded, and its command took so long. */
void metrics_probe(struct metrics *metrics, double seconds);

/*
 * The text. guests: all n current guests; counts of other guests are forgotten. nodes: all n_nodes
 * of a coordinator. unwritten: how many files cannot be written. Caller frees.
 */
char *metrics_text(struct metrics *metrics, const struct control_guest *guests, gsize n,
		   const struct control_node *nodes, gsize n_nodes, guint unwritten);

#endif
