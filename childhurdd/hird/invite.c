/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files are Guix's and the daemon's own, so the work is done in the lane of Guix's files. */
#include "childhurdd/hird/invite.h"

#include "childhurdd/nodes/node_key.h"
#include "offload/signing.h"

/* Strings are copies, because a worker may hang with them. */
struct job {
	char *state, *user, *guix, *guix_state;
	char *name, *ssh_key, *signing_key;
	GError *error;
	control_invite_fn done;
	void *done_data;
};

/* The public half with its comment; NULL on error. */
static char *
public_key(const char *state_directory, GError **error)
{
	g_autofree char *path = node_key_path(state_directory);
	g_autofree char *public = g_strconcat(path, ".pub", NULL);
	char *line = NULL;
	lane_touch("key", public);
	return g_file_get_contents(public, &line, NULL, error) ? g_strchomp(line) : NULL;
}

static void
work(void *data)
{
	struct job *job = data;
	lane_touch("key", job->state);
	if (!node_key_ensure(job->state, job->user, job->guix_state, &job->error))
		return;
	job->name = node_key_owner();
	job->ssh_key = public_key(job->state, &job->error);
	lane_touch("Guix's", job->guix);
	if (job->ssh_key)
		job->signing_key = signing_host_key(job->guix, &job->error);
}

static void
on_worked(void *data, const GError *late)
{
	struct job *job = data;
	const struct control_invitation invitation = {job->name, job->ssh_key, job->signing_key};
	const GError *error = late ? late : job->error;
	job->done(error ? NULL : &invitation, error, job->done_data);
}

static void
job_free(void *data)
{
	struct job *job = data;
	g_free(job->state);
	g_free(job->user);
	g_free(job->guix);
	g_free(job->guix_state);
	g_free(job->name);
	g_free(job->ssh_key);
	g_free(job->signing_key);
	g_clear_error(&job->error);
	g_free(job);
}

void
invite(const struct host *host, control_invite_fn done, void *done_data)
{
	const struct config *config = host->config;
	struct job *job = g_new0(struct job, 1);
	job->state = g_strdup(config->state_directory);
	job->user = g_strdup(config->coordinator_user);
	job->guix = g_strdup(config->guix_configuration_directory);
	job->guix_state = g_strdup(config->guix_state_directory);
	job->done = done;
	job->done_data = done_data;
	lane_run(host->guix, INVITE_LIMIT, work, on_worked, job_free, job);
}
