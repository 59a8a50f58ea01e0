/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb node: hosts whose guests this one uses, and what they are told of it. */
#include "service/ctl/ctl.h"

#include <string.h>

/* A member of the reply, as one line. Caller frees. */
static char *
word(const struct varlink_message *reply, const char *member)
{
	return ctl_clean(ctl_text(reply->parameters, member), TRUE);
}

/* The block for the nodes' configuration. */
static int
invite(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Invite", NULL, error);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		return ctl_print_json(reply);
	g_autofree char *name = word(reply, "name"), *ssh = word(reply, "ssh_key");
	g_autofree char *signing = word(reply, "signing_key");
	printf("# For a file in conf.d/ beside each node's childhurd.ini; then childhurdctl reload "
	       "there.\n[coordinator %s]\nssh-key = %s\n",
	       name, ssh);
	if (*signing)
		printf("signing-key = %s\n", signing);
	else
		puts("# signing-key: Guix on this host has none, so guests take nothing that it "
		     "sends; guix archive\n# --generate-key makes one, and then invite has it.");
	return CTL_DONE;
}

static const struct {
	const char *name;
	int (*run)(struct ctl *ctl, GError **error);
} tasks[] = {
    {"invite", invite},
};

int
ctl_node(struct ctl *ctl, GError **error)
{
	const char *task = ctl->arguments[0];
	for (gsize i = 0; i < G_N_ELEMENTS(tasks); i++)
		if (*task && g_str_has_prefix(tasks[i].name, task))
			return tasks[i].run(ctl, error);
	g_set_error(error, CTL_ERROR, CTL_USAGE,
		    "node %s: there is no such task; it is one of: " CTL_NODE_TASKS, task);
	return CTL_USAGE;
}
