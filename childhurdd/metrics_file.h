/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The key metrics-file: the figures in a file, for node_exporter's textfile collector. Readable for
 * everybody, replaced as a whole, and gone when the daemon ends: figures that nobody minds any more
 * would look like those of a daemon at rest.
 */
#ifndef CHILDHURDD_METRICS_FILE_H
#define CHILDHURDD_METRICS_FILE_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/tasks.h"

#define METRICS_FILE_PERIOD 15.0 /* s between two times that it is written */

struct metrics_file;
/* text: makes the content, called from the loop; its answer is freed. Writes nothing yet. tasks:
 * borrowed, for what blocks on disk. period: s, METRICS_FILE_PERIOD but for tests. */
struct metrics_file *metrics_file_new(struct ev_loop *loop, struct tasks *tasks, double period,
				      char *(*text)(void *data), void *data);
/* Removes the file. NULL is allowed. */
void metrics_file_free(struct metrics_file *file);

/* Write to path from now on, at once and then every period; NULL: nowhere. A file that
 * was written elsewhere before is removed. An error is logged, once until it has worked again. */
void metrics_file_set(struct metrics_file *file, const char *path);

#endif
