/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small files that the next daemon or a person needs. A thread of its own writes them one after the
 * other, each as a whole and with mode 0600. A file that cannot be written is kept, and tried again
 * until it can. A failure is logged once for each reason, and its end once.
 */
#ifndef CHILDHURDD_SYSTEM_WRITER_H
#define CHILDHURDD_SYSTEM_WRITER_H

#include <ev.h>
#include <glib.h>

#define WRITER_RETRY	     1.0  /* s until the second try; doubled for each further one */
#define WRITER_RETRY_LONGEST 30.0 /* s between two tries, at most */
#define WRITER_LIMIT	     5.0  /* s that a file may take until it counts as not written */
#define WRITER_END_LIMIT     10.0 /* s that the daemon's end waits for unwritten files */

/* What a test may change. */
struct writer_setup {
	gboolean (*write)(const char *path, const char *text, GError **error); /* in the thread */
	double retry, longest, limit, end;				       /* s */
};

struct writer;

/* setup: NULL for the limits above and real files. */
struct writer *writer_new(struct ev_loop *loop, const struct writer_setup *setup);
/*
 * Try once more to write the unwritten files, wait WRITER_END_LIMIT for that at most, log the files
 * that are still unwritten, and free. A thread that still hangs in a dead file system is left
 * behind. It may use the loop, so the loop must live as long as the process.
 */
void writer_finish(struct writer *writer);

/* Write this text to the file, instead of one that waits for the same file. text is taken. The
 * first try begins at once. */
void writer_put(struct writer *writer, const char *path, char *text);
/* Drop the text that the file should get. A try under way goes on. */
void writer_forget(struct writer *writer, const char *path);

/*
 * Call done once, from within this call or later. why NULL: the newest text of the file is written.
 * Otherwise why is the reason, with the path; it comes as soon as a try has failed, at the latest
 * after WRITER_LIMIT.
 */
typedef void (*writer_fn)(const char *why, void *data);
void writer_wait(struct writer *writer, const char *path, writer_fn done, void *data);

/* Why the file is not written, with its path; NULL: it is written, or no try has failed yet.
 * Borrowed until the loop runs again. */
const char *writer_why(const struct writer *writer, const char *path);
/* The same for each unwritten file, sorted by path. NULL-terminated; the caller frees with
 * g_strfreev. */
char **writer_all_whys(const struct writer *writer);

#endif
