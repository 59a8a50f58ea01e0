/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Child processes under the event loop: spawned with an argv, never a shell, their end known
 * through a pidfd.
 *
 * SIGCHLD and waitpid(-1) are not used: libvirt waits for its own children in other threads of this
 * process, and a general wait would take their statuses away.
 */
#ifndef CHILDHURDD_SYSTEM_CHILD_H
#define CHILDHURDD_SYSTEM_CHILD_H

#include <ev.h>
#include <glib.h>

#include "config/base/identity.h"

#define CHILD_OUTPUT_MAX (64 * 1024)

struct child;
/*
 * Called once when the child has ended and its output is read to the end. error NULL: it ran;
 * status is as from waitpid. error set: it could not be started, or limit passed and it was killed
 * (G_SPAWN_ERROR_FAILED with a message that says so). output: what it wrote to stdout and stderr,
 * at most CHILD_OUTPUT_MAX bytes. May free the child.
 */
typedef void (*child_fn)(struct child *child, int status, const char *output, const GError *error,
			 void *data);

/*
 * Run argv (argv[0] looked up in PATH when it has no slash), stdin from /dev/null, in a session of
 * its own. limit: milliseconds, then SIGKILL. done comes from the loop, never from within this
 * call.
 */
struct child *child_run(struct ev_loop *loop, const char *const *argv, gint64 limit, child_fn done,
			void *data);
/* The same as another user; NULL: as whom we are. */
struct child *child_run_as(struct ev_loop *loop, const struct identity *identity,
			   const char *const *argv, gint64 limit, child_fn done, void *data);
/* Kills the child if it still runs; done is not called any more. NULL is allowed. */
void child_free(struct child *child);

/* "exited with status 1", "was killed by signal 9 (Killed)"; caller frees. */
char *child_status_text(int status);

#endif
