/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Figures of the hird, as OpenMetrics text
 * (https://github.com/OpenObservability/OpenMetrics, specification 1.0).
 *
 * What has happened is counted here, through metrics_state and metrics_probe; what is the case now
 * is asked for when a text is made. All counters begin at 0 with the daemon, and say so (_created).
 */
#ifndef CHILDHURDD_HIRD_METRICS_H
#define CHILDHURDD_HIRD_METRICS_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"
#include "service/control/control.h"

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics); /* NULL is allowed */

/* Called when c's state may have changed: boots, failures and restarts are known by that. */
void metrics_state(struct metrics *metrics, const struct childhurd *c);
/* A probe has succeeded, and its command took so long. */
void metrics_probe(struct metrics *metrics, double seconds);

/*
 * The text. guests: all that there are now, n of them; what was counted for others is forgotten.
 * unwritten: how many files cannot be written. Caller frees.
 */
char *metrics_text(struct metrics *metrics, const struct control_guest *guests, gsize n,
		   guint unwritten);

#endif
