/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files about a guest's last failure, beside its console's log: failure.txt, and failure.png, its
 * screen. They show in the morning why it was restarted, or was not.
 */
#ifndef CHILDHURDD_WORLD_FAILURE_H
#define CHILDHURDD_WORLD_FAILURE_H

#include <glib.h>

#include "childhurdd/guest/childhurd.h"

#define FAILURE_LINES	     40	  /* of the console */
#define FAILURE_SCREEN_LIMIT 2000 /* ms for QEMU to write its screen */

/* The file's text. screen: path of the screen's picture; NULL: there is none. lines: of the
 * console, NULL-terminated, may be NULL. Caller frees. */
char *failure_text(const struct childhurd *c, const char *screen, char **lines);

#endif
