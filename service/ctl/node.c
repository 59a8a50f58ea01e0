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

static void
print_table(GPtrArray *nodes)
{
	static const enum ctl_column columns[] = {
	    CTL_COLUMN_NAME,   CTL_COLUMN_STATE,   CTL_COLUMN_SINCE, CTL_COLUMN_READY,
	    CTL_COLUMN_BUILDS, CTL_COLUMN_VERSION, CTL_COLUMN_SKEW,  CTL_COLUMN_WHY};
	g_autofree struct ctl_row *rows = g_new0(struct ctl_row, nodes->len);
	for (guint i = 0; i < nodes->len; i++)
		rows[i].guest = g_ptr_array_index(nodes, i);
	g_autoptr(GPtrArray) lines = ctl_table(columns, G_N_ELEMENTS(columns), rows, nodes->len);
	for (guint i = 0; i < lines->len; i++)
		puts(g_ptr_array_index(lines, i));
}

static int
list(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Nodes", NULL, error);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		return ctl_print_json(reply);
	g_autoptr(GPtrArray) nodes = ctl_objects(reply->parameters, "nodes");
	if (nodes->len)
		print_table(nodes);
	else
		puts("no node is configured; add a [node NAME] to childhurd.ini (see "
		     "childhurd.ini(5)) and reload");
	return CTL_DONE;
}

static const struct {
	const char *name;
	int (*run)(struct ctl *ctl, GError **error);
} tasks[] = {
    {"list", list},
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
