/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --check`: does this host suit the configuration, and if not, what to do about it? */
#ifndef CHILDHURDD_HOST_CHECK_H
#define CHILDHURDD_HOST_CHECK_H

#include <glib.h>

#include "config/base/finding_lines.h"
#include "config/config.h"

/* Add a line for each thing checked. TRUE: there is no problem. Runs a loop of its own for the
 * probe of KVM. */
gboolean hostcheck_run(const struct config *config, struct finding_lines *lines);

#endif
