/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Child processes under the event loop: spawned with an argv, never through a shell; a pidfd
 * reports their end.
 *
 * There is no SIGCHLD or waitpid(-1): libvirt waits for its own children in other threads of this
 * process, and a general wait would take their statuses.
 */
#ifndef CHILDHURDD_SYSTEM_CHILD_H
#define CHILDHURDD_SYSTEM_CHILD_H

#include <ev.h>
#include <glib.h>
#include <spawn.h>

#include "config/base/identity.h"

#define CHILD_OUTPUT_MAX (64 * 1024)

struct child;
/*
 * Called once when the child has ended and all its output is read. error NULL: it ran, with status
 * as from waitpid. error set: it could not be started, or limit passed and it was killed
 * (G_SPAWN_ERROR_FAILED; the message states which). output: its stdout and stderr, at most
 * CHILD_OUTPUT_MAX bytes. May free the child.
 */
typedef void (*child_fn)(struct child *child, int status, const char *output, const GError *error,
			 void *data);

/*
 * Run argv (argv[0] without a slash is looked up in PATH) with stdin from /dev/null, in a session
 * of its own. limit: milliseconds until SIGKILL. done comes from the loop, never from within this
 * call.
 */
struct child *child_run(struct ev_loop *loop, const char *const *argv, gint64 limit, child_fn done,
			void *data);
/* The same as another user; NULL: as ourselves. */
struct child *child_run_as(struct ev_loop *loop, const struct identity *identity,
			   const char *const *argv, gint64 limit, child_fn done, void *data);
/* The same with this program itself, whatever has become of its file. argv[0] is only its name.
 * passed: n descriptors that it gets as standard input and then behind standard error; they stay
 * the caller's. */
struct child *child_run_again(struct ev_loop *loop, const struct identity *identity,
			      const char *const *argv, const int *passed, int n, gint64 limit,
			      child_fn done, void *data);
/* Kills the child if it still runs, without calling done. NULL is allowed. */
void child_free(struct child *child);

/* For posix_spawn: a session of its own, no signal blocked, and all as they are by default. Destroy
 * with posix_spawnattr_destroy. */
void child_attributes(posix_spawnattr_t *attributes);

/* "exited with status 1", "was killed by signal 9 (Killed)"; caller frees. */
char *child_status_text(int status);

#endif
