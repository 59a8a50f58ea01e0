/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The limit of open files: the daemon gets the highest one, its children the one that it was
 * started with. */
#include <errno.h>
#include <ev.h>
#include <sys/resource.h>

#include "childhurdd/system/child.h"
#include "childhurdd/system/descriptors.h"
#include "config/base/lack.h"

#define GIVEN 200

struct asked {
	struct ev_loop *loop;
	char *output;
};

static void
on_end(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct asked *asked = data;
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
	asked->output = g_strdup(output);
	ev_break(asked->loop, EVBREAK_ALL);
}

static void
test_raised(void)
{
	/* The child runs when its limit is given back, and waits for that. */
	const char *const argv[] = {
	    "sh", "-c", "until [ $(ulimit -Sn) = 200 ]; do :; done; ulimit -Sn; ulimit -Hn", NULL};
	struct rlimit limit;
	struct asked asked = {.loop = ev_loop_new(EVFLAG_AUTO)};
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	rlim_t hard = limit.rlim_max;
	limit.rlim_cur = GIVEN;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	descriptors_raise();
	descriptors_raise(); /* a second call changes nothing */
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	g_assert_cmpuint(limit.rlim_cur, ==, MIN(hard, DESCRIPTORS_MOST));
	g_assert_cmpuint(limit.rlim_cur, ==, descriptors_attainable());
	g_assert_cmpuint(limit.rlim_max, ==, hard);

	struct child *child = child_run(asked.loop, argv, 60000, on_end, &asked);
	ev_run(asked.loop, 0);
	g_assert_true(g_str_has_prefix(asked.output, "200\n"));
	g_assert_cmpstr(asked.output, !=, "200\n200\n");
	child_free(child);
	g_free(asked.output);
	ev_loop_destroy(asked.loop);
}

static void
test_lack(void)
{
	static const int lacks[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EIO, EAGAIN},
			 others[] = {0, ECONNREFUSED, ETIMEDOUT, ENOENT, EACCES, EADDRINUSE};
	for (gsize i = 0; i < G_N_ELEMENTS(lacks); i++)
		g_assert_true(lack_is(lacks[i]));
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
		g_assert_false(lack_is(others[i]));
	g_assert_true(lack_says("QEMU does not start: internal error: process exited while "
				"connecting to monitor: qemu: cannot set up guest memory "
				"'pc.ram': Cannot allocate memory"));
	g_assert_true(lack_says("qemu-img: cannot make a pipe: Too many open files"));
	g_assert_true(lack_says("/state/a/disk.qcow2: No space left on device"));
	g_assert_true(lack_says("QEMU does not start: cannot fork child process: Resource "
				"temporarily unavailable"));
	g_assert_false(lack_says("/image: Failed to get \"write\" lock: Resource temporarily "
				 "unavailable"));
	g_assert_false(lack_says("/image: No such file or directory"));
	g_assert_false(lack_says("port 10022 is taken by nc (process 12): Address already in use"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/descriptors/the-daemon-has-all-and-its-children-what-it-was-given",
			test_raised);
	g_test_add_func("/lack/is-told-from-what-is-wrong", test_lack);
	return g_test_run();
}
