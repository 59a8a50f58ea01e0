/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon's own `--check`, for the control protocol: of the configuration file that it was
 * started with, as the user that it runs as.
 *
 * The check runs a loop of its own, asks user databases, looks through /proc: so it is another
 * process of this program. One runs at a time; who asks meanwhile gets its answer, too.
 */
#ifndef CHILDHURDD_HIRD_SELFCHECK_H
#define CHILDHURDD_HIRD_SELFCHECK_H

#include <ev.h>
#include <glib.h>

#include "config/config.h"
#include "service/control/control.h"

#define SELFCHECK_LIMIT 12000 /* ms that the check may take */

/* As in struct control_hird. */
typedef void (*selfcheck_fn)(gboolean good, const struct control_finding *findings, gsize n,
			     void *data);

struct selfcheck;
/* unwritten(data) gives what the daemon cannot write, and why, for the findings; the caller frees
 * it with g_strfreev. */
struct selfcheck *selfcheck_new(struct ev_loop *loop, char **(*unwritten)(void *data), void *data);
/* Ends a check that runs; nobody is answered any more. NULL is allowed. */
void selfcheck_free(struct selfcheck *check);

/* The daemon has read this configuration: its main file is the one that is checked, and a note says
 * so when it has been changed since. Before the first check; nothing of it is kept. */
void selfcheck_loaded(struct selfcheck *check, const struct config *config);

/* done is called once, later. */
void selfcheck_ask(struct selfcheck *check, selfcheck_fn done, void *data);

/* What the lines of a check's output say; lines that begin with no result (errors in the
 * configuration) are problems. Clear the array with g_array_unref; its texts are within output,
 * which is changed. */
GArray *selfcheck_parse(char *output);

#endif
