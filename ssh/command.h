/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands on channels of a session that is logged in. */
#ifndef SSH_COMMAND_H
#define SSH_COMMAND_H

#include <glib.h>

struct ssh_session;

/* At most this much of a command's output is kept; the rest is read and dropped. */
#define SSH_OUTPUT_MAX (64 * 1024)
/* A command that writes more than this has failed: reading on would keep the loop busy for as long
 * as it likes. */
#define SSH_OUTPUT_READ (16 << 20)
/* How long the end of the output is waited for once the exit status is there, in milliseconds. */
#define SSH_OUTPUT_GRACE 1000

/*
 * Result of a command: error NULL: it ended with status (0..255, or -1 when a signal ended it) and
 * wrote output (stdout and stderr as they came, NUL-terminated, at most SSH_OUTPUT_MAX). Else
 * output may be partial.
 */
typedef void (*ssh_command_fn)(struct ssh_session *session, int status, const char *output,
			       const GError *error, void *data);

/*
 * Run command on a new channel of a logged-in session. input: bytes for its stdin, then end of
 * file; NULL: an empty stdin. limit: milliseconds from now to its exit status. Several may run at
 * once. When limit passes the channel is closed and done gets SSH_ERROR_TIMEOUT; the session stays.
 * done is called exactly once, unless the session is freed before.
 */
void ssh_session_run(struct ssh_session *session, const char *command, const char *input,
		     gint64 limit, ssh_command_fn done, void *data);

/* For session.c: move all commands on, after libssh has read. */
void session_drive_commands(struct ssh_session *session);
/* For session.c: end all commands with copies of error. NULL: silently, no done is called. */
void session_end_commands(struct ssh_session *session, const GError *error);

#endif
