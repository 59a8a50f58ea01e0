/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The terminal with other settings, for the verbs that read keys or redraw lines. Its settings are
 * restored at exit, and before a signal other than SIGKILL or SIGSTOP ends or stops childhurdctl.
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

static volatile sig_atomic_t ended, stopped;
static gboolean catching;
static sigset_t waiting_mask; /* while ctl_terminal_wait waits: lets the signals through */

static struct {
	gboolean taken;
	enum ctl_terminal mode;
	int fd;
	struct termios before;
	const char *greeting, *farewell; /* NULL: nothing is written */
} screen;

static void
note_signal(int number)
{
	if (number == SIGTSTP)
		stopped = number;
	else if (number != SIGWINCH) /* which only ends the wait */
		ended = number;
}

static void
take_signals(const int *numbers, gsize n)
{
	struct sigaction action = {.sa_handler = note_signal}, before_us;
	sigset_t set;
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	for (gsize i = 0; i < n; i++) {
		sigaction(numbers[i], NULL, &before_us);
		/* nohup(1) starts programs with SIGHUP ignored; it stays so. */
		if (before_us.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
		sigaddset(&set, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &set, catching ? NULL : &waiting_mask);
	for (gsize i = 0; i < n; i++)
		sigdelset(&waiting_mask, numbers[i]);
	catching = TRUE;
}

void
ctl_terminal_signals(void)
{
	static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	signal(SIGPIPE, SIG_IGN); /* a write fails instead, and the terminal is restored */
	take_signals(all, G_N_ELEMENTS(all));
}

void
ctl_catch_interrupt(void)
{
	take_signals((const int[]){SIGINT}, 1);
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

/* --- its settings --- */

/* In the background the terminal is another program's; to change its settings would stop us. */
static gboolean
is_ours(int fd)
{
	pid_t group = tcgetpgrp(fd);
	return group < 0 || group == getpgrp();
}

static void
set(struct termios *settings, enum ctl_terminal mode)
{
	if (mode == CTL_TERMINAL_RAW)
		cfmakeraw(settings);
	else
		settings->c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	if (mode == CTL_TERMINAL_KEYS) {
		settings->c_lflag &= ~(tcflag_t)(ICANON | IEXTEN);
		settings->c_iflag &= ~(tcflag_t)(ICRNL | IXON);
		settings->c_cc[VMIN] = 1;
		settings->c_cc[VTIME] = 0;
	}
}

static gboolean
enter(void)
{
	struct termios settings;
	if (tcgetattr(screen.fd, &screen.before) < 0)
		return FALSE;
	settings = screen.before;
	set(&settings, screen.mode);
	screen.taken = tcsetattr(screen.fd, TCSADRAIN, &settings) == 0;
	if (screen.taken && screen.greeting)
		ctl_terminal_write(screen.greeting, strlen(screen.greeting));
	return screen.taken;
}

/* After a signal this waits for nothing: the other end of the terminal may have stopped reading. */
static void
leave(void)
{
	const char *farewell = screen.taken ? screen.farewell : NULL;
	if (farewell && ended)
		write_some(farewell, strlen(farewell));
	else if (farewell)
		ctl_terminal_write(farewell, strlen(farewell));
	if (screen.taken && is_ours(screen.fd))
		tcsetattr(screen.fd, ended ? TCSANOW : TCSADRAIN, &screen.before);
	screen.taken = FALSE;
}

gboolean
ctl_terminal_take(enum ctl_terminal mode, const char *greeting, const char *farewell)
{
	static gboolean registered;
	/* Lines are redrawn where only stdout is the terminal, too. */
	int fd = mode == CTL_TERMINAL_QUIET ? STDOUT_FILENO : STDIN_FILENO;
	if (screen.taken)
		return TRUE;
	if (!isatty(fd) || (mode == CTL_TERMINAL_QUIET && !is_ours(fd)))
		return FALSE;
	if (!registered)
		atexit(leave);
	registered = TRUE;
	screen.mode = mode;
	screen.fd = fd;
	screen.greeting = greeting;
	screen.farewell = farewell;
	return enter();
}

void
ctl_terminal_release(void)
{
	leave();
}

void
ctl_terminal_end(void)
{
	leave();
	if (!ended)
		return;
	signal(ended, SIG_DFL);
	raise(ended);
	sigprocmask(SIG_SETMASK, &waiting_mask, NULL);
}

/* SIGTSTP, as of Ctrl-Z: give the terminal back, stop, and take it again once we go on. */
static void
stop(void)
{
	struct sigaction stops = {.sa_handler = SIG_DFL}, caught;
	gboolean taken = screen.taken;
	sigset_t set;
	stopped = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	leave();
	sigaction(SIGTSTP, &stops, &caught);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops */
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGTSTP, &caught, NULL);
	/* Lines are drawn again once we are in the foreground. */
	if (taken && screen.mode != CTL_TERMINAL_QUIET)
		enter();
}

int
ctl_terminal_wait(struct pollfd *fds, guint n, gint64 limit)
{
	gint64 wait = MAX(limit, 0);
	struct timespec time = {wait / 1000, wait % 1000 * 1000000};
	int found = ppoll(fds, n, limit < 0 ? NULL : &time, catching ? &waiting_mask : NULL);
	int problem = errno;
	if (found < 0)
		for (guint i = 0; i < n; i++)
			fds[i].revents = 0;
	if (stopped)
		stop();
	errno = problem;
	return found;
}

int
ctl_terminal_ended(void)
{
	return ended;
}
