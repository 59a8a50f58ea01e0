/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a part of the work in a process of its own, which can do no more than that part needs. */
#ifndef CHILDHURDD_IMAGES_STAGE_H
#define CHILDHURDD_IMAGES_STAGE_H

#include <gio/gio.h>

#include "childhurdd/system/sandbox.h"

#define STAGE_LINE_MAX	4096  /* bytes of a line that is read of a stage; the rest is dropped */
#define STAGE_END_LIMIT 10000 /* ms between the end of a stage's output and its own */

#define STAGE_ERROR (stage_error_quark())
GQuark stage_error_quark(void);
enum stage_error {
	STAGE_ERROR_FAILED,
	STAGE_ERROR_USAGE,   /* the command line */
	STAGE_ERROR_BROKEN,  /* the connection; another try may do */
	STAGE_ERROR_STOPPED, /* by a signal */
	STAGE_ERROR_ROOM,    /* none is left on the file system */
};

/* Set the error; returns FALSE. */
gboolean stage_fail(GError **error, enum stage_error code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The descriptor of a stage's file number i, in its process. */
#define STAGE_FILE(i) (3 + (int)(i))

struct stage {
	const char *title; /* for messages: "unpacking" */
	enum sandbox kind;
	const struct identity *user; /* NULL: ours */
	const int *files;	     /* the only ones that the process has, apart from its output */
	guint n_files;
	/* The work, in the new process: FALSE and an error of STAGE_ERROR ends it. */
	gboolean (*work)(void *data, GError **error);
	/* Or the program to run, by its path; NULL: work. */
	const char *const *argv;
	void *data;
	/* Called in this process for each line that the other one prints; a CR ends one as well.
	 * FALSE: it is none that is expected. NULL: none is. */
	gboolean (*on_line)(void *hearer, const char *line);
	void *hearer;
};

/*
 * Run it to its end. With argv, TRUE means that the program ran; *status is its exit status, and
 * *said, which the caller frees, the last of its lines that on_line did not expect. A signal that
 * ends this program, after stage_catch_signals, ends the stage: STAGE_ERROR_STOPPED.
 */
gboolean stage_run(const struct stage *stage, int *status, char **said, GError **error);

/* For work: print a line, at once. */
void stage_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* From now on SIGINT, SIGTERM and SIGHUP end only what stage_run and stage_wait do. */
void stage_catch_signals(void);
/* The signal that came; 0: none. */
int stage_signal(void);
/* Wait so many ms. FALSE: a signal has come. */
gboolean stage_wait(int ms);

#endif
