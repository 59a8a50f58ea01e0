/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files about a guest's last failure, beside its console's log: failure.txt, and failure.png, a
 * picture of its screen. They show the next morning why it was restarted, or was not.
 */
#ifndef CHILDHURDD_WORLD_FAILURE_H
#define CHILDHURDD_WORLD_FAILURE_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

#define FAILURE_LINES	     40	  /* of the console */
#define FAILURE_SCREEN_LIMIT 2000 /* ms for QEMU to write its screen */

/* The text of failure.txt. screen: path of the picture; NULL: there is none. lines: the console's
 * last ones, NULL-terminated; may be NULL. Caller frees. */
char *failure_text(const struct childhurd *c, const char *screen, char **lines);

#endif
