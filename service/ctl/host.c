/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl --host: the daemon of another host, reached by ssh(1), as with systemctl -H. Most
 * verbs speak with that daemon through `childhurdctl bridge` there. The verbs about programs and
 * files of that host run there as a whole (CTL_THERE).
 *
 * The user's own ssh configuration holds. ssh reports on stderr what it fails at.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSH_FAILED    255 /* ssh(1), EXIT STATUS */
#define NOT_INSTALLED 127 /* of a shell that does not find a program */

static void
add(GPtrArray *argv, const char *text)
{
	g_ptr_array_add(argv, g_strdup(text));
}

/* [USER@]HOST[:PORT] as arguments of ssh. A host with colons stands in brackets if a port follows.
 */
static void
add_destination(GPtrArray *argv, const char *where)
{
	const char *colon = strrchr(where, ':'), *at = strrchr(where, '@');
	const char *host = at ? at + 1 : where;
	gboolean bracketed = *host == '[' && strchr(host, ']');
	gboolean port = colon && colon > host && colon[1] &&
			!colon[1 + strspn(colon + 1, G_CSET_DIGITS)] &&
			(bracketed ? colon[-1] == ']' : strchr(host, ':') == colon);
	g_autoptr(GString) name = g_string_new_len(where, port ? colon - where : -1);
	if (bracketed) {
		g_string_erase(name, host - where, 1);
		g_string_truncate(name, (gsize)(strchr(name->str, ']') - name->str));
	}
	if (port) {
		add(argv, "-p");
		add(argv, colon + 1);
	}
	add(argv, "--");
	add(argv, name->str);
}

/* The command for the shell there: childhurdctl with words (of char *). The caller frees. */
static char *
command_there(const struct ctl *ctl, const GPtrArray *words)
{
	GString *command = g_string_new("childhurdctl");
	if (ctl->socket) {
		g_autofree char *quoted = g_shell_quote(ctl->socket);
		g_string_append_printf(command, " --socket %s", quoted);
	}
	for (guint i = 0; i < words->len; i++) {
		g_autofree char *quoted = g_shell_quote(g_ptr_array_index(words, i));
		g_string_append_printf(command, " %s", quoted);
	}
	return g_string_free(command, FALSE);
}

/* ssh that runs words there; options: before the destination, ended by NULL. */
static GPtrArray *
ssh_line(const struct ctl *ctl, const char *const *options, const GPtrArray *words)
{
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	add(argv, "ssh");
	for (; *options; options++)
		add(argv, *options);
	add(argv, "-o");
	g_ptr_array_add(argv, g_strdup_printf("ConnectTimeout=%d", CTL_SSH_CONNECT));
	add_destination(argv, ctl->host);
	g_ptr_array_add(argv, command_there(ctl, words));
	g_ptr_array_add(argv, NULL);
	return argv;
}

/* Start ssh with a socket as its input and output; returns our end, or -1 with error. */
static int
start_ssh(struct ctl *ctl, char **argv, GError **error)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		g_set_error(error, CTL_ERROR, CTL_FAILED, "socketpair: %s", g_strerror(errno));
		return -1;
	}
	g_autoptr(GError) why = NULL;
	gboolean started = g_spawn_async_with_fds(
	    NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
	    &ctl->ssh, pair[1], pair[1], -1, &why);
	close(pair[1]);
	if (started)
		return pair[0];
	close(pair[0]);
	g_set_error(error, CTL_ERROR, CTL_NO_DAEMON, "%s; is OpenSSH's client installed?",
		    why->message);
	return -1;
}

/* The exit status of ssh, which ends by itself or was told to; -1: a signal ended it. */
static int
reap_ssh(struct ctl *ctl)
{
	int status = 0;
	while (waitpid(ctl->ssh, &status, 0) < 0 && errno == EINTR)
		;
	ctl->ssh = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
ctl_end_ssh(struct ctl *ctl)
{
	if (!ctl->ssh)
		return;
	kill(ctl->ssh, SIGTERM);
	reap_ssh(ctl);
}

/* Why the daemon there cannot be reached: ssh, which has closed its output, ends and shows it. What
 * it and the bridge had to report is on stderr. */
static void
explain(struct ctl *ctl, GError **error)
{
	int code = reap_ssh(ctl);
	const char *why =
	    code == SSH_FAILED ? "ssh did not reach it"
	    : code == NOT_INSTALLED
		? "there is no childhurdctl in the PATH that ssh gives; install childhurd "
		  "there"
	    : code == CTL_NO_DAEMON ? "no childhurdd answers there"
				    : "childhurdctl bridge failed there";
	g_set_error(error, CTL_ERROR, CTL_NO_DAEMON, "%s: %s", ctl->host, why);
}

gboolean
ctl_open_host(struct ctl *ctl, gint64 patience, GError **error)
{
	static const char *const talk[] = {"-xT", NULL}, *const quiet[] = {"-xTo", "BatchMode=yes",
									   NULL};
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	add(words, "bridge");
	if (patience > 0)
		g_ptr_array_add(words,
				g_strdup_printf("--timeout=%" G_GINT64_FORMAT "ms", patience));
	g_autoptr(GPtrArray) argv = ssh_line(ctl, ctl->verb ? talk : quiet, words);
	ctl->fd = start_ssh(ctl, (char **)argv->pdata, error);
	if (ctl->fd == -1)
		return FALSE;
	varlink_buffer_init(&ctl->input, CTL_REPLY_MAX);
	/* ssh may ask for a password first, so this reply may take long; it shows that the bridge
	 * stands. */
	GError *why = NULL;
	gboolean sent = ctl_send(ctl, "org.varlink.service.GetInfo", NULL, FALSE, &why);
	ctl_auto_message reply = sent ? ctl_receive(ctl, CTL_HOST_LIMIT + patience, &why) : NULL;
	if (reply && !ctl_refused(reply, &why))
		return TRUE;
	if (!reply && why->code == CTL_NO_DAEMON) {
		g_clear_error(&why);
		explain(ctl, &why);
	}
	g_propagate_error(error, why);
	ctl_disconnect(ctl);
	return FALSE;
}

int
ctl_run_there(struct ctl *ctl, const GPtrArray *words, GError **error)
{
	static const char *const plain[] = {"-xT", NULL}, *const terminal[] = {"-xt", NULL};
	gboolean here = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	/* A shell in a guest, and progress, want a terminal. */
	gboolean wanted =
	    here && (ctl->verb->run != ctl_ssh || ctl->terminal || ctl->n_arguments == 1);
	g_autoptr(GPtrArray) argv = ssh_line(ctl, wanted ? terminal : plain, words);
	execvp("ssh", (char **)argv->pdata);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "ssh: %s; is OpenSSH's client installed?",
		    g_strerror(errno));
	return CTL_FAILED;
}
