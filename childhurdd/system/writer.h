/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small files that a later daemon or a person needs: a thread of its own writes them, one after the
 * other, each as a whole and with mode 0600. What cannot be written is kept, and tried again until
 * it can. A failure is logged once for each reason, and once more when it is over.
 */
#ifndef CHILDHURDD_SYSTEM_WRITER_H
#define CHILDHURDD_SYSTEM_WRITER_H

#include <ev.h>
#include <glib.h>

#define WRITER_RETRY	     1.0  /* s until the first new try; each further one is twice as long */
#define WRITER_RETRY_LONGEST 30.0 /* s until a new try, at most */
#define WRITER_LIMIT	     5.0  /* s that a file may take before it counts as not written */
#define WRITER_END_LIMIT     10.0 /* s that the end waits for the files that are not written */

/* What a test may want otherwise. */
struct writer_setup {
	gboolean (*write)(const char *path, const char *text, GError **error); /* in the thread */
	double retry, longest, limit, end;				       /* s */
};

struct writer;

/* setup: NULL for the limits above and real files. */
struct writer *writer_new(struct ev_loop *loop, const struct writer_setup *setup);
/*
 * Try once more to write what is not written, wait for that for WRITER_END_LIMIT at most, log what
 * then is not written, and free. A thread that still hangs in a dead file system is left behind; it
 * may use the loop, which has to live as long as the process.
 */
void writer_finish(struct writer *writer);

/* The file is to have this text, instead of one that waits for the same file; text is taken. The
 * first try begins at once. */
void writer_put(struct writer *writer, const char *path, char *text);
/* What the file was to have is no longer wanted. A try under way goes on. */
void writer_forget(struct writer *writer, const char *path);

/*
 * Call done once, from within or later: why is NULL once the newest text of the file is written. It
 * says what is wrong, with the path, as soon as that text could not be written, at the latest after
 * WRITER_LIMIT.
 */
typedef void (*writer_fn)(const char *why, void *data);
void writer_wait(struct writer *writer, const char *path, writer_fn done, void *data);

/* Why the file is not written, with its path; NULL: it is, or no try has failed yet. Borrowed until
 * the loop runs again. */
const char *writer_why(const struct writer *writer, const char *path);
/* The same of each file that is not written, by path; NULL-terminated, caller frees with
 * g_strfreev. */
char **writer_all_whys(const struct writer *writer);

#endif
