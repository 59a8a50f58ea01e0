/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl ssh: runs ssh(1) as the guest's administrator, with the key and the host key that
 * the daemon made. It ignores the user's own configuration (-F none), so that it works, or fails,
 * in the same way for every user.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The users that may read file, which is not readable by this one: root, and the owner of file or
 * of the folder that hides it. The caller frees. */
static char *
who_may_read(const char *file)
{
	struct stat status;
	g_autofree char *path = g_strdup(file);
	while (stat(path, &status) < 0 && strchr(path + 1, '/')) {
		char *folder = g_path_get_dirname(path);
		g_free(path);
		path = folder;
	}
	const struct passwd *owner =
	    stat(path, &status) == 0 && status.st_uid ? getpwuid(status.st_uid) : NULL;
	return owner ? g_strdup_printf("root or %s", owner->pw_name) : g_strdup("root");
}

/* Whether ssh can be tried. Prints a note if the guest is not ready. */
static gboolean
check_state(JsonObject *guest, GError **error)
{
	const char *name = ctl_text(guest, "name"), *state = ctl_text(guest, "state"),
		   *phase = ctl_text(guest, "phase"), *why = ctl_text(guest, "why"),
		   *key = ctl_text(guest, "identity_file");
	if (ctl_number(guest, "pid", 0) <= 0) {
		g_set_error(error, CTL_ERROR, CTL_FAILED,
			    "%s: is %s, its QEMU does not run%s%s; childhurdctl start %s starts it",
			    name, state, why ? ": " : "", why ? why : "", name);
		return FALSE;
	}
	if (key && access(key, R_OK) < 0) {
		int problem = errno;
		g_autofree char *who = problem == EACCES ? who_may_read(key) : NULL;
		g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s: %s%s%s", name, key,
			    g_strerror(problem), who ? "; run it as " : "", who ? who : "");
		return FALSE;
	}
	if (g_strcmp0(state, "ready") && g_strcmp0(state, "draining"))
		ctl_say("%s: is not ready but %s%s%s; trying anyway", name, state,
			phase ? ": " : "", phase ? phase : "");
	return TRUE;
}

static void
add(GPtrArray *argv, const char *text)
{
	g_ptr_array_add(argv, g_strdup(text));
}

/* `-o NAME="PATH"`: in quotes, as ssh_config(5) takes a list of files; % is a token there. */
static void
add_path(GPtrArray *argv, const char *name, const char *path)
{
	GString *option = g_string_new(name);
	g_string_append(option, "=\"");
	for (; *path; path++) {
		if (*path == '"' || *path == '\\')
			g_string_append_c(option, '\\');
		if (*path == '%')
			g_string_append_c(option, '%');
		g_string_append_c(option, *path);
	}
	g_string_append_c(option, '"');
	add(argv, "-o");
	g_ptr_array_add(argv, g_string_free(option, FALSE));
}

/* The arguments of ssh; NULL: the reply lacks something that ssh needs. */
static GPtrArray *
command_line(struct ctl *ctl, JsonObject *guest)
{
	const char *name = ctl_text(guest, "name"), *address = ctl_text(guest, "address"),
		   *user = ctl_text(guest, "user"), *key = ctl_text(guest, "identity_file"),
		   *known_hosts = ctl_text(guest, "known_hosts");
	double port = ctl_number(guest, "port", 0);
	if (!name || !address || *address == '-' || !user || !key || !known_hosts || port < 1 ||
	    port > 65535)
		return NULL;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	static const char *const fixed[] = {"ssh",
					    "-F",
					    "none",
					    "-o",
					    "StrictHostKeyChecking=yes",
					    "-o",
					    "IdentitiesOnly=yes",
					    "-o",
					    "GlobalKnownHostsFile=/dev/null"};
	for (gsize i = 0; i < G_N_ELEMENTS(fixed); i++)
		add(argv, fixed[i]);
	/* QEMU accepts connections even while its guest hangs, and QEMU itself may hang. */
	add(argv, "-o");
	g_ptr_array_add(argv, g_strdup_printf("ConnectTimeout=%d", CTL_SSH_CONNECT));
	add(argv, "-o");
	g_ptr_array_add(argv, g_strconcat("HostKeyAlias=", name, NULL));
	add_path(argv, "UserKnownHostsFile", known_hosts);
	if (strpbrk(key, "%\"\\")) { /* -i looks for the file before ssh expands % */
		add_path(argv, "IdentityFile", key);
	} else {
		add(argv, "-i");
		add(argv, key);
	}
	add(argv, "-p");
	g_ptr_array_add(argv, g_strdup_printf("%d", (int)port));
	add(argv, "-l");
	add(argv, user);
	if (ctl->terminal)
		add(argv, "-t");
	add(argv, address);
	char **command = ctl->arguments + 1;
	if (*command && !strcmp(*command, "--"))
		command++;
	if (*command)
		add(argv, "--");
	for (; *command; command++)
		add(argv, *command);
	g_ptr_array_add(argv, NULL);
	return argv;
}

int
ctl_ssh(struct ctl *ctl, GError **error)
{
	g_autofree char *name = ctl_only_name(ctl, error);
	if (!name)
		return CTL_FAILED;
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "name", name);
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Ssh", parameters, error);
	if (!reply || !check_state(reply->parameters, error))
		return CTL_FAILED;
	g_autoptr(GPtrArray) argv = command_line(ctl, reply->parameters);
	if (!argv) {
		g_set_error(
		    error, CTL_ERROR, CTL_FAILED,
		    "%s: the daemon's reply lacks its address or keys; childhurdctl version "
		    "shows both versions",
		    ctl->arguments[0]);
		return CTL_FAILED;
	}
	ctl_disconnect(ctl);
	execvp("ssh", (char **)argv->pdata);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "ssh: %s; is OpenSSH's client installed?",
		    g_strerror(errno));
	return CTL_FAILED;
}
