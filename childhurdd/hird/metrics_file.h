/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The key metrics-file: the metrics in a file, for node_exporter's textfile collector. The file is
 * readable by all. A worker replaces it as a whole, and removes it once it is no longer updated.
 */
#ifndef CHILDHURDD_HIRD_METRICS_FILE_H
#define CHILDHURDD_HIRD_METRICS_FILE_H

#include <ev.h>
#include <glib.h>

#define METRICS_FILE_PERIOD 15.0 /* s between two writes */
#define METRICS_FILE_LIMIT  5000 /* ms that the file may take to answer */
/* The start of a file of metrics. A file that begins differently is left alone. */
#define METRICS_FILE_MARK "# TYPE childhurd_"

struct metrics_file;

/* period: s. text(data) returns the content, which is freed here. This writes nothing yet. */
struct metrics_file *metrics_file_new(struct ev_loop *loop, double period,
				      char *(*text)(void *data), void *data);
/* Also removes the file, because its metrics would no longer change. NULL is allowed. */
void metrics_file_free(struct metrics_file *file);

/* Write to path from now on; NULL: to no file. The previous file at another path is removed. Errors
 * are logged, once for each reason. */
void metrics_file_set(struct metrics_file *file, const char *path);

/* The last error; NULL: none, or there is no file to write. Borrowed. */
const char *metrics_file_complaint(const struct metrics_file *file);

/* Can the file be written? FALSE: error has the reason and a cure. Blocks. */
gboolean metrics_file_possible(const char *path, GError **error);

#endif
