/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The key metrics-file: the figures in a file, for node_exporter's textfile collector. Readable for
 * all, replaced as a whole, written by a worker, and gone when nobody keeps it any more.
 */
#ifndef CHILDHURDD_HIRD_METRICS_FILE_H
#define CHILDHURDD_HIRD_METRICS_FILE_H

#include <ev.h>
#include <glib.h>

#define METRICS_FILE_PERIOD 15.0 /* s between two writings */
/* How a file of figures begins. What does not is somebody else's, and is left alone. */
#define METRICS_FILE_MARK "# TYPE childhurd_"

struct metrics_file;

/* period: s. text(data) gives what is written; the caller frees it. Nothing is written yet. */
struct metrics_file *metrics_file_new(struct ev_loop *loop, double period,
				      char *(*text)(void *data), void *data);
/* Removes the file, as its figures would stay as they are. NULL is allowed. */
void metrics_file_free(struct metrics_file *file);

/* Write to path from now on; NULL: to none. A file that was written before at another path is
 * removed. What goes wrong is logged, once for each reason. */
void metrics_file_set(struct metrics_file *file, const char *path);

/* What is wrong with writing it; NULL: nothing, or it is not tried. Borrowed. */
const char *metrics_file_complaint(const struct metrics_file *file);

/* Can there be such a file? FALSE: the error says why not, and what to do. Blocks. */
gboolean metrics_file_possible(const char *path, GError **error);

#endif
