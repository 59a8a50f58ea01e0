/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the host lacks, in words and now. */
#include "config/base/lack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TEST(name, function) g_test_add_func("/lack/" name, function)

static void
assert_lacks(const char *folder, int number)
{
	g_autofree char *lack = lack_now(folder);
	g_assert_nonnull(lack);
	g_assert_nonnull(strstr(lack, g_strerror(number)));
	g_assert_true(lack_says(lack));
}

static void
a_message_tells(void)
{
	g_assert_true(lack_says("qemu-img: x: No space left on device"));
	g_assert_true(lack_says("cannot fork child process: Resource temporarily unavailable"));
	g_assert_false(lack_says("x: locked: Resource temporarily unavailable"));
	g_assert_false(lack_says("QEMU does not start: internal error"));
}

static void
nothing_lacks_here(void)
{
	g_assert_cmpstr(lack_now(g_get_tmp_dir()), ==, NULL);
	g_assert_cmpstr(lack_now("/no/such/folder"), ==, NULL);
}

/* A file system without a block. */
static void
room_lacks(void)
{
	assert_lacks("/proc", ENOSPC);
}

static void
descriptors_lack(void)
{
	struct rlimit before, few;
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(next, >=, 0);
	close(next);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	few = before;
	few.rlim_cur = (rlim_t)next + LACK_DESCRIPTORS - 1;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
	assert_lacks(g_get_tmp_dir(), EMFILE);
	int same = open("/dev/null", O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	g_assert_cmpint(same, ==, next); /* none stays open */
	close(same);
	g_assert_cmpstr(lack_now(g_get_tmp_dir()), ==, NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("a-message-tells", a_message_tells);
	TEST("nothing-lacks-here", nothing_lacks_here);
	TEST("room-lacks", room_lacks);
	TEST("descriptors-lack", descriptors_lack);
	return g_test_run();
}
