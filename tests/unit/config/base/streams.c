/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard streams that are closed, writes that a signal interrupts, messages on a terminal and
 * elsewhere, and where colours are wanted. */
#include "config/base/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* Those that are closed become /dev/null, to be read only; no other descriptor is left. */
static void
test_fill(void)
{
	if (g_test_subprocess()) {
		struct stat null, st;
		g_assert_cmpint(stat("/dev/null", &null), ==, 0);
		close(STDIN_FILENO);
		close(STDERR_FILENO);
		streams_fill();
		int next = dup(STDIN_FILENO);
		if (fstat(STDIN_FILENO, &st) < 0 || st.st_rdev != null.st_rdev ||
		    fstat(STDERR_FILENO, &st) < 0 || st.st_rdev != null.st_rdev ||
		    write(STDERR_FILENO, "x", 1) >= 0 || next < 0 ||
		    fcntl(STDIN_FILENO, F_GETFD) != 0)
			exit(1);
		exit(0);
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

static int full[2];

/* Make room in the pipe, while the write that waits for it is interrupted. */
static void
on_alarm(int number)
{
	char bytes[4096];
	while (read(full[0], bytes, sizeof bytes) > 0)
		;
}

static void
test_interrupted(void)
{
	const struct sigaction act = {.sa_handler = on_alarm}; /* without SA_RESTART */
	struct sigaction before;
	/* again until the test's process waits in its write */
	const struct itimerval soon = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
	char bytes[4096] = "";
	g_assert_cmpint(pipe2(full, O_CLOEXEC | O_NONBLOCK), ==, 0);
	while (write(full[1], bytes, sizeof bytes) > 0)
		;
	g_assert_cmpint(fcntl(full[1], F_SETFL, 0), ==, 0);
	g_assert_cmpint(sigaction(SIGALRM, &act, &before), ==, 0);
	g_assert_cmpint(setitimer(ITIMER_REAL, &soon, NULL), ==, 0);
	gboolean written = streams_write(full[1], "whole", 5);
	g_assert_cmpint(setitimer(ITIMER_REAL, &never, NULL), ==, 0);
	g_assert_cmpint(sigaction(SIGALRM, &before, NULL), ==, 0);
	g_assert_true(written);
	close(full[0]);
	close(full[1]);
}

static void
test_broken(void)
{
	int ends[2];
	signal(SIGPIPE, SIG_IGN);
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	close(ends[0]);
	g_assert_false(streams_write(ends[1], "x", 1));
	g_assert_cmpint(errno, ==, EPIPE);
	close(ends[1]);
	g_assert_true(streams_write(-1, "", 0));
}

/* The two lines in reader after text was a message on the stream that writer is. A terminal hands
 * them over in pieces. */
static char *
complained(const char *text, int writer, int reader)
{
	g_autoptr(GString) seen = g_string_new(NULL);
	char byte;
	int before = dup(STDERR_FILENO);
	g_assert_cmpint(dup2(writer, STDERR_FILENO), ==, STDERR_FILENO);
	streams_complain("me", text);
	g_assert_cmpint(dup2(before, STDERR_FILENO), ==, STDERR_FILENO);
	close(before);
	for (int lines = 0; lines < 2; lines += byte == '\n') {
		g_assert_cmpint(read(reader, &byte, 1), ==, 1);
		g_string_append_c(seen, byte);
	}
	return g_strdup(seen->str);
}

static void
test_complain(void)
{
	const char *text = "\033]0;t\a is\rno name\nthe next line\xff";
	int ends[2];
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_assert_cmpint(grantpt(terminal), ==, 0);
	g_assert_cmpint(unlockpt(terminal), ==, 0);
	int other = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_autofree char *seen = complained(text, other, terminal);
	g_assert_cmpstr(seen, ==, "me: ]0;t is no name\r\nme: the next line\xef\xbf\xbd\r\n");
	close(other);
	close(terminal);
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_autofree char *kept = complained(text, ends[1], ends[0]);
	g_assert_cmpstr(kept, ==, "me: \033]0;t\a is no name\nme: the next line\xef\xbf\xbd\n");
	close(ends[0]);
	close(ends[1]);
}

static void
test_colours(void)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_assert_cmpint(terminal, >=, 0);
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	g_unsetenv("NO_COLOR");
	g_setenv("TERM", "xterm", TRUE);
	g_assert_true(streams_colours(terminal));
	g_assert_false(streams_colours(file));
	g_setenv("NO_COLOR", "", TRUE); /* no-color.org: an empty one does not count */
	g_assert_true(streams_colours(terminal));
	g_setenv("NO_COLOR", "1", TRUE);
	g_assert_false(streams_colours(terminal));
	g_unsetenv("NO_COLOR");
	g_setenv("TERM", "dumb", TRUE);
	g_assert_false(streams_colours(terminal));
	g_unsetenv("TERM");
	g_assert_false(streams_colours(terminal));
	close(terminal);
	close(file);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/streams/one-that-is-closed-becomes-nothing", test_fill);
	g_test_add_func("/streams/a-signal-does-not-cut-a-write", test_interrupted);
	g_test_add_func("/streams/a-broken-one-is-an-error", test_broken);
	g_test_add_func("/streams/a-message-acts-on-no-terminal", test_complain);
	g_test_add_func("/streams/colours-are-for-terminals-that-want-them", test_colours);
	return g_test_run();
}
