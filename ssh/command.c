/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands on channels of a logged-in session.
 *
 * A command costs two round trips: the channel is opened, then the request, its input and the end
 * of file go out together. libssh's callbacks only take notes; session_drive_commands acts on them
 * afterwards. A command is over when its status is known and its output has ended. A process that
 * it left in the background may keep the output open, so after the status the wait is limited to
 * SSH_OUTPUT_GRACE.
 *
 * A stream is a command whose stdout is passed on as it comes, and whose stdin stays open.
 */
#include "ssh/command.h"

#include <string.h>

#include "ssh/session_base.h"

#define INPUT_CHUNK (32 * 1024)

enum command_state {
	COMMAND_OPENING,
	COMMAND_REQUESTING,
	COMMAND_RUNNING,
	COMMAND_ABANDONED, /* done was called, but the guest still has to answer our opening */
};

struct ssh_command {
	struct ssh_session *session;
	char *command, *input;
	gsize input_length, input_sent;
	gboolean input_ended;
	gint64 limit;
	ssh_command_fn done;
	ssh_take_fn take; /* of a stream */
	void *data;

	enum command_state state;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	ev_timer timer;
	GString *output; /* of a stream, what take has not got yet */
	GString *said;	 /* of a stream, its stderr */
	gsize heard;	 /* bytes of output so far */
	gsize most;	 /* bytes of output that are stored */
	gboolean has_status, is_eof, is_closed, in_grace;
	gboolean late; /* its limit has passed */
	int status;
};

static int
note_data(ssh_session libssh, ssh_channel channel, void *data, uint32_t length, int is_stderr,
	  void *user)
{
	struct ssh_command *command = user;
	GString *text = command->take && is_stderr ? command->said : command->output;
	gsize most = text == command->said ? SSH_SAID_MAX
		     : command->take	   ? G_MAXSSIZE
					   : command->most;

	command->heard += length;
	g_string_append_len(text, data, (gssize)MIN(most - text->len, length));
	return (int)length;
}

static void
note_eof(ssh_session libssh, ssh_channel channel, void *user)
{
	struct ssh_command *command = user;

	command->is_eof = TRUE;
}

static void
note_close(ssh_session libssh, ssh_channel channel, void *user)
{
	struct ssh_command *command = user;

	command->is_closed = TRUE;
}

static void
note_status(ssh_session libssh, ssh_channel channel, int status, void *user)
{
	struct ssh_command *command = user;

	command->has_status = TRUE;
	command->status = status & 0xff;
}

static void
note_signal(ssh_session libssh, ssh_channel channel, const char *name, int core,
	    const char *message, const char *language, void *user)
{
	struct ssh_command *command = user;

	command->has_status = TRUE;
	command->status = -1;
}

static void
command_free(struct ssh_command *command)
{
	ev_timer_stop(command->session->loop, &command->timer);
	/* Freeing a libssh session also frees its channels. */
	if (command->channel && command->session->libssh) {
		/* libssh may keep the channel until the guest closes it, but our notes are freed
		 * now. */
		ssh_remove_channel_callbacks(command->channel, &command->callbacks);
		ssh_channel_free(command->channel);
	}
	g_string_free(command->output, TRUE);
	g_string_free(command->said, TRUE);
	g_free(command->command);
	g_free(command->input);
	g_free(command);
}

/* Remove the command and call done; error NULL: status counts. The callback may free the session.
 */
static void
command_end(struct ssh_command *command, const GError *error)
{
	struct ssh_session *session = command->session;

	ev_timer_stop(session->loop, &command->timer);
	g_queue_remove(&session->commands, command);
	command->done(session, error ? -1 : command->status,
		      command->take ? command->said->str : command->output->str, error,
		      command->data);
	/*
	 * If a channel were freed before the guest has answered its opening, it would stay open in
	 * the guest, and sshd allows only a few (MaxSessions). So it is closed once the answer is
	 * there.
	 */
	if (command->state == COMMAND_OPENING && command->channel &&
	    session->state == SESSION_READY && !session->freed) {
		command->state = COMMAND_ABANDONED;
		g_queue_push_tail(&session->commands, command);
		return;
	}
	command_free(command);
}

static void
command_fail(struct ssh_command *command, enum ssh_error code, const char *what)
{
	g_autoptr(GError) error =
	    session_error(command->session, code, "%s: %s", command->command, what);

	command_end(command, error);
}

/* FALSE: the command is over, or was abandoned and is now freed. */
static gboolean
command_open(struct ssh_command *command)
{
	ssh_session libssh = command->session->libssh;
	int result;

	if (!command->channel) {
		command->channel = ssh_channel_new(libssh);
		ssh_callbacks_init(&command->callbacks);
		if (!command->channel ||
		    ssh_add_channel_callbacks(command->channel, &command->callbacks) != SSH_OK) {
			command_fail(command, SESSION_ERROR_HOST, "libssh cannot make a channel");
			return FALSE;
		}
	}
	result = ssh_channel_open_session(command->channel);
	if (result == SSH_AGAIN)
		return TRUE;
	if (command->state == COMMAND_ABANDONED) {
		g_queue_remove(&command->session->commands, command);
		command_free(command);
		return FALSE;
	}
	command->state = COMMAND_REQUESTING;
	if (result == SSH_OK)
		return TRUE;
	/* session_drive reports the end of a connection, for all commands at once. */
	if (ssh_is_connected(libssh)) {
		g_autofree char *said = session_libssh_said(command->session);
		command_fail(command, SESSION_ERROR_PROTOCOL, said);
	}
	return FALSE;
}

/* Send the input, as far as the guest's window allows, then the end of file, unless it is a
 * stream. */
static void
command_feed(struct ssh_command *command)
{
	while (command->input_sent < command->input_length) {
		gsize left = command->input_length - command->input_sent;
		uint32_t window = ssh_channel_window_size(command->channel);
		int count;

		if (window == 0)
			return;
		count = ssh_channel_write(command->channel, command->input + command->input_sent,
					  (uint32_t)MIN(MIN(left, window), INPUT_CHUNK));
		if (count <= 0)
			return; /* closed: the notes have it */
		command->input_sent += (gsize)count;
	}
	if (!command->input_ended && !command->take) {
		command->input_ended = TRUE;
		ssh_channel_send_eof(command->channel);
	}
}

static gboolean
command_request(struct ssh_command *command)
{
	int result = ssh_channel_request_exec(command->channel, command->command);

	if (result == SSH_OK)
		command->state = COMMAND_RUNNING;
	if (result == SSH_OK || result == SSH_AGAIN || command->is_closed ||
	    !ssh_is_connected(command->session->libssh))
		return TRUE;
	command_fail(command, SESSION_ERROR_PROTOCOL, "it is refused");
	return FALSE;
}

/* Pass on what a stream has written. FALSE: the session was freed, and the command with it. */
static gboolean
command_pass_on(struct ssh_command *command)
{
	struct ssh_session *session = command->session;
	g_autoptr(GString) bytes = command->output;

	command->output = g_string_new(NULL);
	command->take(session, bytes->str, bytes->len, command->data);
	return !session->freed;
}

static void
command_limit(struct ssh_command *command, gint64 milliseconds)
{
	ev_timer_stop(command->session->loop, &command->timer);
	ev_timer_set(&command->timer, (double)MAX(milliseconds, 1) / 1000., 0.);
	ev_timer_start(command->session->loop, &command->timer);
}

/* Advance one command as far as it goes without waiting. */
static void
command_drive(struct ssh_command *command)
{
	if (command->state == COMMAND_OPENING || command->state == COMMAND_ABANDONED) {
		if (!command_open(command) || command->state != COMMAND_REQUESTING)
			return;
	}
	if (command->state == COMMAND_REQUESTING && !command_request(command))
		return;
	if (command->take && command->output->len && !command_pass_on(command))
		return;
	if (!command->take && command->heard > SSH_OUTPUT_READ) {
		command_fail(command, SESSION_ERROR_PROTOCOL, "its output does not end");
		return;
	}
	if (!command->is_closed)
		command_feed(command);
	if (command->has_status && (command->is_eof || command->is_closed)) {
		command_end(command, NULL);
	} else if (command->is_closed) {
		command_fail(command, SESSION_ERROR_CLOSED,
			     "its channel was closed without an exit status");
	} else if (command->has_status && !command->in_grace) {
		command->in_grace = TRUE;
		command_limit(command, SSH_OUTPUT_GRACE);
	}
}

void
session_drive_commands(struct ssh_session *session)
{
	GList *next;

	/* A callback may free the session or append a command, but not remove one. */
	for (GList *link = session->commands.head; link; link = next) {
		next = link->next;
		command_drive(link->data);
		if (session->freed || session->state != SESSION_READY)
			return;
	}
}

void
session_end_commands(struct ssh_session *session, const GError *error)
{
	GQueue commands = session->commands;
	struct ssh_command *command;

	/* A command that a callback starts now fails by itself later; this loop must not reach it.
	 */
	g_queue_init(&session->commands);
	while ((command = g_queue_pop_head(&commands))) {
		if (error && !session->freed && command->state != COMMAND_ABANDONED)
			command_end(command, error);
		else
			command_free(command);
	}
}

static void
on_timer(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct ssh_command *command = watcher->data;
	struct ssh_session *session = command->session;

	session_enter(session);
	if (session->state != SESSION_READY) {
		command_fail(command, SESSION_ERROR_CLOSED, "the session is not open");
	} else if (command->has_status) {
		command_end(command, NULL);
	} else if (!command->late) { /* what arrived while the loop was busy is read first */
		command->late = TRUE;
		command_limit(command, SSH_LAST_LOOK);
	} else {
		g_autofree char *what = g_strdup_printf(
		    "no exit status within %" G_GINT64_FORMAT " ms", command->limit);
		command_fail(command, SESSION_ERROR_TIMEOUT, what);
	}
	if (!session->freed)
		session_watch(session);
	session_leave(session);
}

static struct ssh_command *
command_new(struct ssh_session *session, const char *command_line, const char *input, gsize n)
{
	struct ssh_command *command = g_new0(struct ssh_command, 1);

	command->session = session;
	command->command = g_strdup(command_line);
	command->input = g_memdup2(input, n);
	command->input_length = n;
	command->output = g_string_new(NULL);
	command->said = g_string_new(NULL);
	command->callbacks.userdata = command;
	command->callbacks.channel_data_function = note_data;
	command->callbacks.channel_eof_function = note_eof;
	command->callbacks.channel_close_function = note_close;
	command->callbacks.channel_exit_status_function = note_status;
	command->callbacks.channel_exit_signal_function = note_signal;
	ev_timer_init(&command->timer, on_timer, 0., 0.);
	command->timer.data = command;
	g_queue_push_tail(&session->commands, command);
	return command;
}

/* limit: ms; 0: none. */
static void
command_begin(struct ssh_command *command, gint64 limit)
{
	struct ssh_session *session = command->session;

	command->limit = limit;
	if (session->state != SESSION_READY)
		command_limit(command, 0); /* it fails from the loop */
	else if (limit)
		command_limit(command, limit);
	if (session->state == SESSION_READY)
		ev_feed_event(session->loop, &session->io, EV_READ);
}

void
ssh_session_run(struct ssh_session *session, const char *command_line, const char *input,
		gint64 limit, ssh_command_fn done, void *data)
{
	ssh_session_feed(session, command_line, input, input ? strlen(input) : 0, SSH_OUTPUT_MAX,
			 limit, done, data);
}

void
ssh_session_feed(struct ssh_session *session, const char *command_line, const char *input, gsize n,
		 gsize most, gint64 limit, ssh_command_fn done, void *data)
{
	struct ssh_command *command = command_new(session, command_line, input, n);

	command->most = most;

	command->done = done;
	command->data = data;
	command_begin(command, MAX(limit, 1));
}

void
ssh_session_stream(struct ssh_session *session, const char *command_line, const char *input,
		   gsize n, ssh_take_fn take, ssh_command_fn done, void *data)
{
	struct ssh_command *command = command_new(session, command_line, input, n);

	command->take = take;
	command->done = done;
	command->data = data;
	command_begin(command, 0);
}
