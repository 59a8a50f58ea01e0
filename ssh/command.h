/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands on channels of a session that is logged in. */
#ifndef SSH_COMMAND_H
#define SSH_COMMAND_H

#include <glib.h>

struct ssh_session;

/* Bytes of a command's output that are stored; the rest is read and dropped. */
#define SSH_OUTPUT_MAX (64 * 1024)
/* A command that writes more bytes than this has failed: it could keep the loop busy for as long as
 * it likes. */
#define SSH_OUTPUT_READ (16 << 20)
/* ms that the end of the output may take once the exit status is known. */
#define SSH_OUTPUT_GRACE 1000

/*
 * Result of a command. error NULL: it ended with status (0..255, or -1 if a signal ended it) and
 * wrote output (stdout and stderr in order of arrival, NUL-terminated, at most SSH_OUTPUT_MAX).
 * Otherwise output may be partial.
 */
typedef void (*ssh_command_fn)(struct ssh_session *session, int status, const char *output,
			       const GError *error, void *data);

/*
 * Run command on a new channel of a logged-in session. input: bytes for its stdin, then end of
 * file; NULL: an empty stdin. limit: milliseconds from now to its exit status. Several may run at
 * once. When limit passes, the channel is closed and done gets SESSION_ERROR_TIMEOUT; the session
 * stays open. done is called exactly once, unless the session is freed first.
 */
void ssh_session_run(struct ssh_session *session, const char *command, const char *input,
		     gint64 limit, ssh_command_fn done, void *data);

/* The same with n bytes of input, which may have NULs, and at most `most` bytes of output that are
 * stored, less than SSH_OUTPUT_READ. */
void ssh_session_feed(struct ssh_session *session, const char *command, const char *input, gsize n,
		      gsize most, gint64 limit, ssh_command_fn done, void *data);

/* Bytes that a command has written to its stdout, as they come. May free the session. */
typedef void (*ssh_take_fn)(struct ssh_session *session, const char *bytes, gsize n, void *data);

/*
 * Run a command that goes on: n bytes of input go to its stdin, which stays open, and take gets its
 * stdout. There is no limit. done is called as above, once it has ended; its output is the
 * beginning of what the command wrote to stderr, at most SSH_SAID_MAX bytes.
 */
#define SSH_SAID_MAX 1024
void ssh_session_stream(struct ssh_session *session, const char *command, const char *input,
			gsize n, ssh_take_fn take, ssh_command_fn done, void *data);

/* For session.c: advance all commands, after libssh has read. */
void session_drive_commands(struct ssh_session *session);
/* For session.c: end all commands with copies of error. NULL: without calling done. */
void session_end_commands(struct ssh_session *session, const GError *error);

#endif
