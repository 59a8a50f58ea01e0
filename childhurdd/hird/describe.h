/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One childhurd in the form of the control protocol. */
#ifndef CHILDHURDD_HIRD_DESCRIBE_H
#define CHILDHURDD_HIRD_DESCRIBE_H

#include "childhurdd/world/world.h"
#include "service/control/control.h"

/* The texts that describe makes; valid until the next call. */
struct description {
	struct control_step steps[N_HEALTH_STEPS];
	char *failure, *why, *phase, *warm_off;
	char **console_tail;
	char **restart_needed;
	char **unwritten;
	char *known_hosts;
};
void description_clear(struct description *description);

#define DESCRIBE_CONSOLE_LINES 12

/* Fill guest from r; details: also the console's last lines. description owns the texts made for
 * it. */
void describe(const struct host *host, const struct world *r, gboolean details,
	      struct description *description, struct control_guest *guest);

#endif
