/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon's own `--check`, for the control protocol: of its configuration file, as its user.
 *
 * The check runs a loop of its own, asks user databases and reads much of /proc, so it is another
 * process of this program. One runs at a time, and answers all clients that ask meanwhile.
 */
#ifndef CHILDHURDD_HIRD_SELFCHECK_H
#define CHILDHURDD_HIRD_SELFCHECK_H

#include <ev.h>
#include <glib.h>

#include "config/config.h"
#include "service/control/control.h"

#define SELFCHECK_LIMIT 12000 /* ms for the check */

/* As in struct control_hird. */
typedef void (*selfcheck_fn)(gboolean good, const struct control_finding *findings, gsize n,
			     void *data);

struct selfcheck;
/* known: what the daemon itself knows, as lines of --check; selfcheck frees it. */
struct selfcheck *selfcheck_new(struct ev_loop *loop, char *(*known)(void *data), void *data);
void selfcheck_free(struct selfcheck *check);

/* The daemon has read this configuration: check its main file, and add a note if that has changed
 * since. Call this before the first check; config is not stored. */
void selfcheck_loaded(struct selfcheck *check, const struct config *config);

/* done is called once, later. */
void selfcheck_ask(struct selfcheck *check, selfcheck_fn done, void *data);

/* The findings in a check's output; lines without a result (errors in the configuration) are
 * problems. Clear the array with g_array_unref; its texts are within output, which is changed. */
GArray *selfcheck_parse(char *output);

#endif
