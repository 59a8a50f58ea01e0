/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/prepare_command.h"

#include <string.h>

#include "ssh/session.h"

#define SHOWN 200 /* bytes of its output that are in the error: the last */

struct prepare_command {
	const struct config_guest *guest;
	struct ssh_session *session;
	prepare_command_fn done;
	void *data;
};

/* The session is closed before the state is saved: nobody would answer it after a restore. */
static void
finish(struct prepare_command *command, const char *problem)
{
	ssh_session_free(command->session);
	command->session = NULL;
	command->done(problem, command->data);
}

static void
on_run(struct ssh_session *session, int status, const char *output, const GError *error, void *data)
{
	struct prepare_command *command = data;
	gsize length = strlen(output);
	g_autofree char *text =
	    error    ? g_strdup_printf("prepare-command: %s", error->message)
	    : status ? g_strdup_printf("prepare-command ended with status %d: %s", status,
				       output + (length > SHOWN ? length - SHOWN : 0))
		     : NULL;
	finish(command, text ? g_strchomp(text) : NULL);
}

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct prepare_command *command = data;
	const struct config_guest *guest = command->guest;
	if (!error) {
		ssh_session_run(session, guest->prepare_command, NULL, guest->boot_timeout, on_run,
				command);
		return;
	}
	g_autofree char *text =
	    g_strdup_printf("prepare-command: %s: %s", ssh_step_name(step), error->message);
	finish(command, text);
}

struct prepare_command *
prepare_command_new(struct ev_loop *loop, const struct config_guest *guest, char **host_keys,
		    const char *key, prepare_command_fn done, void *data)
{
	struct prepare_command *command = g_new0(struct prepare_command, 1);
	struct ssh_session_spec spec = {
	    .address = config_guest_reached_at(guest),
	    .port = guest->ssh_port,
	    .user = guest->admin_user,
	    .private_key = key,
	    .host_keys = host_keys,
	    .limits = SSH_LIMITS_DEFAULT,
	};
	command->guest = guest;
	command->done = done;
	command->data = data;
	command->session = ssh_session_new(loop, &spec, on_ready, NULL, command);
	return command;
}

void
prepare_command_free(struct prepare_command *command)
{
	if (!command)
		return;
	ssh_session_free(command->session);
	g_free(command);
}
