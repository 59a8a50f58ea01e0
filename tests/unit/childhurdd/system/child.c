/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Child processes: what they get, what they print, how they end. */
#include "childhurdd/system/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 20000 /* ms; far more than any of these needs */

struct result {
	struct ev_loop *loop;
	int calls;
	int status;
	char *output;
	GError *error;
	gboolean free_child;
};

static void
result_take(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct result *result = data;

	result->calls++;
	result->status = status;
	result->output = g_strdup(output);
	result->error = error ? g_error_copy(error) : NULL;
	if (result->free_child)
		child_free(child);
}

static void
result_clear(struct result *result)
{
	g_free(result->output);
	g_clear_error(&result->error);
	ev_loop_destroy(result->loop);
}

/* Run to the end on a loop of its own. */
static void
run(struct result *result, gint64 limit, const char *const *argv)
{
	struct child *child;

	memset(result, 0, sizeof(*result));
	result->loop = ev_loop_new(EVFLAG_AUTO);
	child = child_run(result->loop, argv, limit, result_take, result);
	g_assert_cmpint(result->calls, ==, 0);
	ev_run(result->loop, 0);
	g_assert_cmpint(result->calls, ==, 1);
	child_free(child);
}

static void
output_and_status_are_reported(void)
{
	const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 7", NULL};
	g_autofree char *text = NULL;
	struct result result;

	run(&result, LIMIT, argv);
	g_assert_no_error(result.error);
	g_assert_cmpstr(result.output, ==, "out\nerr\n");
	text = child_status_text(result.status);
	g_assert_cmpstr(text, ==, "exited with status 7");
	result_clear(&result);
}

static void
a_signal_is_told_by_name(void)
{
	const char *const argv[] = {"sh", "-c", "kill -TERM $$", NULL};
	g_autofree char *text = NULL;
	struct result result;

	run(&result, LIMIT, argv);
	text = child_status_text(result.status);
	g_assert_cmpstr(text, ==, "was killed by signal 15 (Terminated)");
	result_clear(&result);
}

static void
a_missing_program_is_an_error_from_the_loop(void)
{
	const char *const argv[] = {"no-such-program-anywhere", NULL};
	struct result result;

	run(&result, LIMIT, argv);
	g_assert_error(result.error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT);
	g_assert_nonnull(strstr(result.error->message, "no-such-program-anywhere"));
	result_clear(&result);
}

static void
a_child_past_its_limit_is_killed(void)
{
	const char *const argv[] = {"sleep", "1000", NULL};
	gint64 start = g_get_monotonic_time();
	struct result result;

	run(&result, 50, argv);
	g_assert_error(result.error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED);
	g_assert_cmpstr(result.error->message, ==, "sleep: not done after 0.1 s, killed");
	g_assert_cmpint(WTERMSIG(result.status), ==, SIGKILL);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
	result_clear(&result);
}

static void
a_helper_dies_with_its_killed_parent(void)
{
	/* Both hold the other end of a FIFO open: this end reads the end of file once both are
	 * gone. */
	g_autofree char *directory = g_dir_make_tmp("child-XXXXXX", NULL);
	g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
	g_autofree char *script = g_strdup_printf("sleep 1000 > %s & exec sleep 1000", fifo);
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct result result;
	char byte;
	int fd;

	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	run(&result, 200, argv);
	fcntl(fd, F_SETFL, 0);
	g_assert_cmpint(read(fd, &byte, 1), ==, 0); /* it would never end if the helper lived */
	close(fd);
	unlink(fifo);
	rmdir(directory);
	result_clear(&result);
}

static void
a_grandchild_with_the_pipe_does_not_keep_us_waiting(void)
{
	const char *const argv[] = {"sh", "-c", "sleep 1000 & echo $!", NULL};
	struct result result;

	run(&result, LIMIT, argv);
	g_assert_no_error(result.error);
	g_assert_cmpint(result.status, ==, 0);
	kill((pid_t)g_ascii_strtoll(result.output, NULL, 10), SIGKILL);
	result_clear(&result);
}

static void
output_is_read_to_its_end_but_kept_to_its_limit(void)
{
	const char *const argv[] = {"sh", "-c", "head -c 1000000 /dev/zero | tr '\\000' x", NULL};
	struct result result;

	run(&result, LIMIT, argv);
	g_assert_no_error(result.error);
	g_assert_cmpint(result.status, ==, 0);
	g_assert_cmpuint(strlen(result.output), ==, CHILD_OUTPUT_MAX);
	result_clear(&result);
}

static void
a_child_starts_with_nothing_of_ours(void)
{
	static const char script[] =
	    "echo $LC_ALL; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l;"
	    "grep -E 'SigBlk|SigIgn' /proc/self/status; ps -o sid= -p $$ | tr -d ' '; echo $$";
	const char *const argv[] = {"sh", "-c", script, NULL};
	g_auto(GStrv) lines = NULL;
	struct result result;
	sigset_t mask, old;
	int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

	g_setenv("LC_ALL", "de_DE.UTF-8", TRUE);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &old);
	signal(SIGPIPE, SIG_IGN);
	run(&result, LIMIT, argv);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	g_unsetenv("LC_ALL");
	close(leaked);

	g_assert_no_error(result.error);
	lines = g_strsplit(result.output, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 8);
	g_assert_cmpstr(lines[0], ==, "C");
	g_assert_cmpstr(lines[1], ==, "/dev/null");
	g_assert_cmpstr(lines[2], ==, "4"); /* 0, 1, 2 and the folder that ls reads */
	g_assert_cmpstr(lines[3], ==, "SigBlk:\t0000000000000000");
	g_assert_true(g_str_has_prefix(lines[4], "SigIgn:\t"));
	/* 32 and 33 belong to the C library, and cannot be set back */
	g_assert_cmphex(g_ascii_strtoull(lines[4] + 8, NULL, 16) & 0x7fffffff, ==, 0);
	g_assert_cmpstr(lines[5], ==, lines[6]); /* it leads a session of its own */
	result_clear(&result);
}

static void
the_callback_may_free_the_child(void)
{
	const char *const argv[] = {"true", NULL};
	struct result result = {.loop = ev_loop_new(EVFLAG_AUTO), .free_child = TRUE};

	child_run(result.loop, argv, LIMIT, result_take, &result);
	ev_run(result.loop, 0);
	g_assert_cmpint(result.calls, ==, 1);
	result_clear(&result);
}

static void
a_freed_child_is_killed_reaped_and_silent(void)
{
	const char *const argv[] = {"sleep", "1000", NULL};
	struct result result = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct child *child = child_run(result.loop, argv, LIMIT, result_take, &result);

	child_free(child);
	ev_run(result.loop, 0); /* nothing is left to wait for, but perhaps the process itself */
	g_assert_cmpint(result.calls, ==, 0);
	g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
	g_assert_cmpint(errno, ==, ECHILD);
	child_free(NULL);
	result_clear(&result);
}

static void
many_children_each_report_their_own_end(void)
{
	struct result results[16] = {0};
	struct child *children[G_N_ELEMENTS(results)];
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

	for (guint i = 0; i < G_N_ELEMENTS(results); i++) {
		g_autofree char *script = g_strdup_printf("echo %u; exit %u", i, i);
		const char *const argv[] = {"sh", "-c", script, NULL};

		children[i] = child_run(loop, argv, LIMIT, result_take, &results[i]);
	}
	ev_run(loop, 0);
	for (guint i = 0; i < G_N_ELEMENTS(results); i++) {
		g_autofree char *expected = g_strdup_printf("%u\n", i);

		g_assert_cmpint(results[i].calls, ==, 1);
		g_assert_cmpint(WEXITSTATUS(results[i].status), ==, i);
		g_assert_cmpstr(results[i].output, ==, expected);
		g_free(results[i].output);
		child_free(children[i]);
	}
	ev_loop_destroy(loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/child/output-and-status-are-reported", output_and_status_are_reported);
	g_test_add_func("/child/a-signal-is-told-by-name", a_signal_is_told_by_name);
	g_test_add_func("/child/a-missing-program-is-an-error-from-the-loop",
			a_missing_program_is_an_error_from_the_loop);
	g_test_add_func("/child/a-child-past-its-limit-is-killed",
			a_child_past_its_limit_is_killed);
	g_test_add_func("/child/a-helper-dies-with-its-killed-parent",
			a_helper_dies_with_its_killed_parent);
	g_test_add_func("/child/a-grandchild-with-the-pipe-does-not-keep-us-waiting",
			a_grandchild_with_the_pipe_does_not_keep_us_waiting);
	g_test_add_func("/child/output-is-read-to-its-end-but-kept-to-its-limit",
			output_is_read_to_its_end_but_kept_to_its_limit);
	g_test_add_func("/child/a-child-starts-with-nothing-of-ours",
			a_child_starts_with_nothing_of_ours);
	g_test_add_func("/child/the-callback-may-free-the-child", the_callback_may_free_the_child);
	g_test_add_func("/child/a-freed-child-is-killed-reaped-and-silent",
			a_freed_child_is_killed_reaped_and_silent);
	g_test_add_func("/child/many-children-each-report-their-own-end",
			many_children_each_report_their_own_end);
	return g_test_run();
}
