/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --check`: what of the host would be in the way of this configuration, and what to do
 * about it. */
#ifndef CHILDHURDD_HOST_CHECK_H
#define CHILDHURDD_HOST_CHECK_H

#include <glib.h>
#include <stdio.h>

#include "config/config.h"

/* Print a line for each thing looked at. TRUE: nothing is in the way. Runs a loop of its own for
 * the probe of KVM. */
gboolean hostcheck_run(const struct config *config, FILE *out);

#endif
