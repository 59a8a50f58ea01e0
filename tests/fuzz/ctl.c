/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes childhurdctl with what a daemon may reply, that of another host by a guest's words among
 * it: nothing acts on the terminal.
 *
 * Input: a byte that chooses the command line, and the daemon's bytes. The verb runs in this
 * process. Its output and its messages are taken for those on a terminal without colours, so they
 * are lines of text and no more; and the tables are laid out for windows of other widths.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/base/text.h"
#include "service/ctl/top.h"
#include "tests/fuzz/lib/fuzz.h"

int ctl_main(int argc, char **argv);
#define main ctl_main
#include "service/ctl/main.c"
#undef main

#define INPUT_MAX (64 * 1024) /* bytes, which a socket holds */

/* A new one goes to the end, as the inputs that are kept have the numbers. %: a path. */
static const char *const commands[] = {
    "list",
    "list --output=wide --sort=memory",
    "list --output=name",
    "list --nodes",
    "list --json",
    "list nobody",
    "list --state=ready,failed",
    "status",
    "status a",
    "status --nodes",
    "status --json",
    "events",
    "events a --json",
    "history",
    "history a --since=1d",
    "history --json",
    "machines",
    "machines --json",
    "metrics",
    "log a",
    "node list",
    "node list --json",
    "node invite",
    "reload",
    "reload --dry-run",
    "start a",
    "start a --wait --timeout=5s",
    "stop a --now",
    "stop --all --wait --timeout=5s",
    "restart a --wait --timeout=5s",
    "drain a --wait --timeout=5s",
    "undrain a",
    "sleep a",
    "reset a --yes",
    "wait a --timeout=5s",
    "wait --all --for=stopped --timeout=5s",
    "screenshot a %",
    "events --follow",
    "log a --follow",
    "version",
    "report %",
    "check",
    "--names",
};

/* Only the program's own output is a terminal. */
int
isatty(int fd)
{
	return fd == STDOUT_FILENO || fd == STDERR_FILENO;
}

/* This process becomes no other program. */
int
execv(const char *path, char *const argv[])
{
	errno = ENOENT;
	return -1;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	require(setlocale(LC_ALL, "C.UTF-8") != NULL, "there is a locale", NULL);
	g_setenv("TERM", "dumb", TRUE);
	g_setenv("TZ", "UTC", TRUE);
	return 0;
}

/* --- what is shown --- */

static void
check_shown(const char *text, gsize n, const char *promise)
{
	const char *end = text + n;
	require(g_utf8_validate(text, (gssize)n, NULL), promise, text);
	for (const char *at = text; at < end; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);
		if (c != '\n' && c != '\t' && text_acts(c))
			g_printerr("U+%04X at %zu of\n%s\n", c, (gsize)(at - text), text);
		require(c == '\n' || c == '\t' || !text_acts(c), promise, NULL);
	}
}

static void
check_lines(GPtrArray *lines, int width)
{
	for (guint i = 0; i < lines->len; i++) {
		const char *line = lines->pdata[i];
		check_shown(line, strlen(line), "a table can be shown");
		require(!strchr(line, '\n'), "a row is one line", line);
		if (ctl_cells(line) > width)
			g_printerr("%d columns of %d:\n%s\n", ctl_cells(line), width, line);
		require(ctl_cells(line) <= width, "a table fits its window", NULL);
	}
}

/* --- a run, as main has it --- */

/* A connection on which the daemon says that, and takes calls without a look. */
static void
connect_pair(const uint8_t *data, size_t size, int pair[2])
{
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "there are sockets",
		NULL);
	require(!size || send(pair[1], data, size, MSG_DONTWAIT) == (ssize_t)size,
		"a socket holds them", NULL);
	shutdown(pair[1], SHUT_WR);
}

static void
run_command(const char *command, const uint8_t *data, size_t size)
{
	struct ctl ctl = {.lines = -1, .since = -1};
	struct parsed parsed = {0};
	g_autofree char *path = g_build_filename(fuzz_folder(), "written", NULL);
	g_autofree char *line = g_strdup_printf("childhurdctl %s", command);
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	GError *error = NULL;
	int pair[2];
	for (char **word = words; *word; word++) {
		if (strcmp(*word, "%"))
			continue;
		g_free(*word);
		*word = g_strdup(path);
	}
	ctl.socket = g_strdup("/nonexistent/control");
	connect_pair(data, size, pair);
	ctl.fd = pair[0];
	varlink_buffer_init(&ctl.input, CTL_REPLY_MAX);
	run(&ctl, &parsed, &words, &error);
	if (error)
		ctl_complain(error);
	ctl_disconnect(&ctl);
	close(pair[1]);
	clear(&ctl, &parsed);
}

/* The fuzzing library and the sanitizers write to the real streams. */
static void
run_and_look(const char *command, const uint8_t *data, size_t size)
{
	FILE *real_out = stdout, *real_err = stderr;
	char *out = NULL, *err = NULL;
	gsize n_out = 0, n_err = 0;
	stdout = open_memstream(&out, &n_out);
	stderr = open_memstream(&err, &n_err);
	run_command(command, data, size);
	fclose(stdout);
	fclose(stderr);
	stdout = real_out;
	stderr = real_err;
	check_shown(out, n_out, "what is printed can be shown");
	check_shown(err, n_err, "a message can be shown");
	free(out);
	free(err);
}

/* --- tables, for windows of any width --- */

static void
lay_out(const struct varlink_message *reply)
{
	static const enum ctl_column columns[] = {
	    CTL_COLUMN_NAME,  CTL_COLUMN_STATE,	 CTL_COLUMN_SINCE, CTL_COLUMN_PORT,
	    CTL_COLUMN_BUILD, CTL_COLUMN_MEMORY, CTL_COLUMN_SKEW,  CTL_COLUMN_WHY};
	static const int widths[] = {1, 20, 40, 80, 200};
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	g_autoptr(GHashTable) pasts = top_pasts_new();
	g_autofree struct ctl_row *rows = g_new0(struct ctl_row, guests->len + 1);
	guint n;
	for (guint i = 0; i < guests->len; i++)
		rows[i].guest = g_ptr_array_index(guests, i);
	for (gint64 second = 1; second <= 3; second++)
		top_note(pasts, reply, second * G_USEC_PER_SEC);
	g_autofree struct top_row *top = top_rows(pasts, reply, &n);
	g_autofree char *summary = top_summary(top, n);
	check_shown(summary, strlen(summary), "the summary can be shown");
	for (gsize i = 0; i < G_N_ELEMENTS(widths); i++) {
		const struct top_sort sort = {(enum top_order)(n % TOP_N_ORDERS), i % 2};
		top_sort(top, n, &sort);
		g_autoptr(GPtrArray) lines = top_table(top, n, &sort, widths[i]);
		g_autoptr(GPtrArray) others = ctl_table_within(
		    columns, G_N_ELEMENTS(columns), rows, guests->len, CTL_COLUMN_NAME, widths[i]);
		if (widths[i] >= 80) /* what cannot be left out has its room below that */
			check_lines(lines, widths[i]);
		if (widths[i] >= 80)
			check_lines(others, widths[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > INPUT_MAX)
		return 0;
	run_and_look(commands[data[0] % G_N_ELEMENTS(commands)], data + 1, size - 1);
	g_autofree char *first = g_strndup((const char *)data + 1, size - 1);
	struct varlink_message *reply = varlink_parse(first, NULL);
	if (reply)
		lay_out(reply);
	varlink_message_free(reply);
	return 0;
}
