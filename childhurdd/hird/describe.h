/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One childhurd as the control protocol shows it. */
#ifndef CHILDHURDD_HIRD_DESCRIBE_H
#define CHILDHURDD_HIRD_DESCRIBE_H

#include "childhurdd/guest/world.h"
#include "service/control/control.h"

/* What describe makes anew each time; holds it until the next call. */
struct description {
	struct control_step steps[N_HEALTH_STEPS];
	char *failure, *why, *phase;
	char **console_tail;
	char **restart_needed;
	char **unwritten;
	char *known_hosts;
};
void description_clear(struct description *description);

#define DESCRIBE_CONSOLE_LINES 12

/* Fill guest from r; details: the console's last lines, too. What had to be made belongs to
 * description. */
void describe(const struct host *host, const struct runner *r, gboolean details,
	      struct description *description, struct control_guest *guest);

#endif
