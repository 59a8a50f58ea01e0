/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stage is this program once more, forked, or another program. It reports by lines on its
 * standard output. Its words are not trusted: they are numbers, or text that is cleaned before it
 * is shown.
 */
#include "childhurdd/images/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/streams.h"
#include "config/base/text.h"

G_DEFINE_QUARK(childhurd - stage - error - quark, stage_error)

#define SAID_MAX   2000 /* bytes kept of a program's output, for a message */
#define HIGH_FILE  64	/* descriptors are moved out of the way, above this one */
#define ERROR_LINE "error "

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t ended;
static sigset_t waiting_mask; /* while ppoll waits: lets them through */
static gboolean catching;

gboolean
stage_fail(GError **error, enum stage_error code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_propagate_error(error, g_error_new_valist(STAGE_ERROR, (int)code, format, arguments));
	va_end(arguments);
	return FALSE;
}

static void
note_signal(int number)
{
	ended = number;
}

void
stage_catch_signals(void)
{
	struct sigaction action = {.sa_handler = note_signal}, before;
	sigset_t set;
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	signal(SIGPIPE, SIG_IGN);
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++) {
		sigaction(endings[i], NULL, &before);
		if (before.sa_handler == SIG_IGN) /* by nohup(1) */
			continue;
		sigaction(endings[i], &action, NULL);
		sigaddset(&set, endings[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &waiting_mask);
	catching = TRUE;
}

int
stage_signal(void)
{
	return ended;
}

/* Until fd (-1: nothing) can be read, or the time has passed; ms -1: no limit. FALSE: a signal. */
static gboolean
wait_for(int fd, int ms)
{
	struct pollfd in = {.fd = fd, .events = POLLIN};
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
	if (!ended)
		ppoll(&in, fd < 0 ? 0 : 1, ms < 0 ? NULL : &time, catching ? &waiting_mask : NULL);
	return !ended;
}

gboolean
stage_wait(int ms)
{
	return wait_for(-1, ms);
}

void
stage_say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *clean = text_line(text, ' ');
	g_autofree char *line = g_strconcat(clean, "\n", NULL);
	streams_write(STDOUT_FILENO, line, strlen(line));
}

/* --- the other process --- */

/* A terminal sends Ctrl-C to all processes on it; it is this program that ends the stages. */
static void
reset_signals(void)
{
	sigset_t none;
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++)
		signal(endings[i], SIG_IGN);
	/* A file that becomes too large is an error, which has words. */
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Give the files their numbers and close all others. out becomes standard output and error. */
static gboolean
arrange(const struct stage *stage, int out)
{
	g_autofree int *high = g_new0(int, stage->n_files + 1);
	int null = open("/dev/null", O_RDONLY);
	for (guint i = 0; i < stage->n_files; i++)
		high[i] = fcntl(stage->files[i], F_DUPFD, HIGH_FILE);
	gboolean good = null >= 0 && dup2(out, HIGH_FILE - 1) >= 0 && dup2(null, 0) >= 0 &&
			dup2(HIGH_FILE - 1, 1) >= 0 && dup2(HIGH_FILE - 1, 2) >= 0;
	for (guint i = 0; i < stage->n_files && good; i++)
		good = high[i] >= 0 && dup2(high[i], STAGE_FILE(i)) >= 0;
	return good && close_range((unsigned)STAGE_FILE(stage->n_files), ~0U, 0) == 0;
}

static gboolean
is_writable(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

G_GNUC_NORETURN static void
run(const struct stage *stage, int out, pid_t parent)
{
	GError *error = NULL;
	int writable[8];
	guint n = 0;
	reset_signals();
	if (!arrange(stage, out))
		_exit(126);
	for (guint i = 0; i < stage->n_files && n < G_N_ELEMENTS(writable); i++)
		if (is_writable(STAGE_FILE(i)))
			writable[n++] = STAGE_FILE(i);
	gboolean good = sandbox_enter(stage->kind, stage->user, writable, n, &error);
	if (getppid() != parent) /* it has ended before the sandbox would have noticed */
		_exit(126);
	if (good && stage->argv) {
		const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						   "LANG=C", NULL};
		execve(stage->argv[0], (char **)stage->argv, (char **)environment);
		g_set_error(&error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: %s", stage->argv[0],
			    g_strerror(errno));
		good = FALSE;
	}
	if (good)
		good = stage->work(stage->data, &error);
	if (!good)
		stage_say(ERROR_LINE "%d %s", error->domain == STAGE_ERROR ? error->code : 0,
			  error->message);
	_exit(good ? 0 : 126);
}

/* --- this process --- */

struct listening {
	const struct stage *stage;
	GString *line; /* what has come of it */
	GString *said;
	GError *error; /* the stage's own */
};

static void
end_line(struct listening *l)
{
	g_autofree char *line = g_strdup(l->line->str);
	g_string_truncate(l->line, 0);
	if (!*line)
		return;
	if (g_str_has_prefix(line, ERROR_LINE) && !l->error) {
		char *text = NULL;
		gint64 code = g_ascii_strtoll(line + strlen(ERROR_LINE), &text, 10);
		g_autofree char *clean = text_line(*text ? text + 1 : "?", ' ');
		l->error = g_error_new_literal(
		    STAGE_ERROR,
		    code == STAGE_ERROR_BROKEN || code == STAGE_ERROR_ROOM ? (int)code
									   : STAGE_ERROR_FAILED,
		    clean);
	} else if (!l->stage->on_line || !l->stage->on_line(l->stage->hearer, line)) {
		g_string_append_printf(l->said, "%s\n", line);
		if (l->said->len > SAID_MAX)
			g_string_erase(l->said, 0, (gssize)(l->said->len - SAID_MAX));
	}
}

/* Read to the end of the stage's output. FALSE: a signal. */
static gboolean
listen_to(struct listening *l, int in)
{
	char bytes[4096];
	for (;;) {
		if (!wait_for(in, -1))
			return FALSE;
		ssize_t n = read(in, bytes, sizeof bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] == '\n' || bytes[i] == '\r')
				end_line(l);
			else if (bytes[i] && l->line->len < STAGE_LINE_MAX)
				g_string_append_c(l->line, bytes[i]);
		}
	}
	end_line(l);
	return TRUE;
}

/* What the end of the process means. */
static gboolean
judge(struct listening *l, int how, int *status, GError **error)
{
	if (l->error) {
		g_propagate_error(error, g_steal_pointer(&l->error));
		return FALSE;
	}
	if (WIFSIGNALED(how)) {
		g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED,
			    "%s: its process died of signal %d (%s); nothing of it is kept",
			    l->stage->title, WTERMSIG(how), strsignal(WTERMSIG(how)));
		return FALSE;
	}
	if (status)
		*status = WEXITSTATUS(how);
	if (WEXITSTATUS(how) && !l->stage->argv) {
		g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: its process failed",
			    l->stage->title);
		return FALSE;
	}
	return TRUE;
}

gboolean
stage_run(const struct stage *stage, int *status, char **said, GError **error)
{
	int pair[2], how = 0;
	struct listening l = {
	    .stage = stage, .line = g_string_new(NULL), .said = g_string_new(NULL)};
	fflush(stdout);
	pid_t parent = getpid(), pid = pipe2(pair, O_CLOEXEC) == 0 ? fork() : -1;
	if (pid == 0)
		run(stage, pair[1], parent);
	gboolean good = pid > 0;
	if (!good) {
		g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: no process for it: %s",
			    stage->title, g_strerror(errno));
	} else {
		close(pair[1]);
		gboolean heard = listen_to(&l, pair[0]);
		close(pair[0]);
		/* It ends right after its output, or is ended. */
		int watch = pidfd_open(pid, 0);
		if (watch < 0 || !heard || !wait_for(watch, STAGE_END_LIMIT))
			heard = FALSE;
		kill(pid, SIGKILL); /* without effect on one that has ended */
		if (watch >= 0)
			close(watch);
		while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
			;
		good = heard && judge(&l, how, status, error);
		if (!heard)
			g_set_error(error, STAGE_ERROR, STAGE_ERROR_STOPPED, "stopped");
	}
	g_clear_error(&l.error);
	g_string_free(l.line, TRUE);
	if (said)
		*said = g_string_free(l.said, FALSE);
	else
		g_string_free(l.said, TRUE);
	return good;
}
