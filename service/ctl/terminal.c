/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The terminal in raw mode, for the verbs that read keys. Its settings are restored at exit, and
 * before a signal other than SIGKILL ends childhurdctl.
 *
 * The signals are blocked except while ctl_terminal_wait waits. So none can arrive unnoticed
 * between a check for it and the wait.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static volatile sig_atomic_t ended;
static struct termios before;
static gboolean is_raw;
static const char *farewell; /* written to the screen before raw mode ends; NULL: nothing */
static sigset_t waiting_mask;

static void
note_signal(int number)
{
	/* SIGWINCH only ends the wait. */
	if (number != SIGWINCH)
		ended = number;
}

void
ctl_terminal_signals(void)
{
	struct sigaction action = {.sa_handler = note_signal}, before_us;
	sigset_t set;
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	signal(SIGPIPE, SIG_IGN); /* a write fails instead, and the terminal is restored */
	sigaction(SIGWINCH, &action, NULL);
	sigaddset(&set, SIGWINCH);
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++) {
		sigaction(endings[i], NULL, &before_us);
		/* nohup(1) starts programs with SIGHUP ignored; it stays so. */
		if (before_us.sa_handler != SIG_IGN)
			sigaction(endings[i], &action, NULL);
		sigaddset(&set, endings[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &waiting_mask);
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++)
		sigdelset(&waiting_mask, endings[i]);
	sigdelset(&waiting_mask, SIGWINCH);
}

/* write(2) that does not block. Other processes share the open file, so O_NONBLOCK is set only
 * during the call. */
static ssize_t
write_some(const char *bytes, gsize n)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	gboolean waits = flags >= 0 && !(flags & O_NONBLOCK);
	if (waits)
		fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
	ssize_t put = write(STDOUT_FILENO, bytes, n);
	int problem = errno;
	if (waits)
		fcntl(STDOUT_FILENO, F_SETFL, flags);
	errno = problem;
	return put;
}

gboolean
ctl_terminal_write(const char *bytes, gsize n)
{
	while (n) {
		struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
		ssize_t put = write_some(bytes, n);
		if (put < 0 && errno != EINTR && errno != EAGAIN)
			return FALSE;
		bytes += MAX(put, 0);
		n -= (gsize)MAX(put, 0);
		if (!n)
			break;
		ctl_terminal_wait(&out, 1, -1);
		if (ended)
			return FALSE;
	}
	return TRUE;
}

/* Restore the terminal. After a signal this waits for nothing: the other end of the terminal may
 * have stopped reading. */
static void
restore(void)
{
	if (farewell && ended)
		write_some(farewell, strlen(farewell));
	else if (farewell)
		ctl_terminal_write(farewell, strlen(farewell));
	farewell = NULL;
	if (is_raw)
		tcsetattr(STDIN_FILENO, ended ? TCSANOW : TCSADRAIN, &before);
	is_raw = FALSE;
}

void
ctl_terminal_end(void)
{
	restore();
	if (!ended)
		return;
	signal(ended, SIG_DFL);
	raise(ended);
	sigprocmask(SIG_SETMASK, &waiting_mask, NULL);
}

gboolean
ctl_terminal_raw(const char *greeting, const char *goodbye)
{
	struct termios raw;
	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
		return FALSE;
	raw = before;
	cfmakeraw(&raw);
	atexit(restore);
	is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
	if (is_raw && greeting) {
		ctl_terminal_write(greeting, strlen(greeting));
		farewell = goodbye;
	}
	return is_raw;
}

int
ctl_terminal_wait(struct pollfd *fds, guint n, gint64 limit)
{
	gint64 wait = MAX(limit, 0);
	struct timespec time = {wait / 1000, wait % 1000 * 1000000};
	int found = ppoll(fds, n, limit < 0 ? NULL : &time, &waiting_mask);
	if (found < 0)
		for (guint i = 0; i < n; i++)
			fds[i].revents = 0;
	return found;
}

gboolean
ctl_terminal_ended(void)
{
	return ended != 0;
}
