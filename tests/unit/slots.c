/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Build slots, held by another process as `guix offload` holds them. */
#include "offload/slots.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST "127.0.0.1"
#define PORT 10022

struct place {
	char *state;
	char *offload;
	char *machine;
};

static void
place_make(struct place *place)
{
	place->state = g_dir_make_tmp("slots-XXXXXX", NULL);
	place->offload = g_build_filename(place->state, "offload", NULL);
	place->machine = g_build_filename(place->offload, HOST ":10022", NULL);
	g_assert_cmpint(g_mkdir_with_parents(place->machine, 0755), ==, 0);
}

static void
place_remove(struct place *place)
{
	g_autoptr(GDir) open = g_dir_open(place->machine, 0, NULL);

	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open)) {
		g_autofree char *path = g_build_filename(place->machine, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_assert_cmpint(rmdir(place->machine), ==, 0);
	g_assert_cmpint(rmdir(place->offload), ==, 0);
	g_assert_cmpint(rmdir(place->state), ==, 0);
	g_free(place->state);
	g_free(place->offload);
	g_free(place->machine);
}

/* In the child: lock the slots, say so, hold them until killed. */
static void
hold(const struct place *place, const int *slots, guint n, int ready)
{
	for (guint i = 0; i < n; i++) {
		g_autofree char *path = g_strdup_printf("%s/%d", place->machine, slots[i]);
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0)
			_exit(1);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t
holder_start(const struct place *place, const int *slots, guint n)
{
	int ready[2];
	char byte;
	pid_t pid;

	g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
	pid = fork();
	if (pid == 0)
		hold(place, slots, n, ready[1]);
	close(ready[1]);
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	close(ready[0]);
	return pid;
}

static void
holder_end(pid_t pid)
{
	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void
expect(const struct place *place, int slots, int taken, gboolean seen)
{
	gboolean visible = !seen;

	g_assert_cmpint(slots_taken(place->state, HOST, PORT, slots, &visible), ==, taken);
	g_assert_cmpint(visible, ==, seen);
}

static void
missing_folders_and_files_are_free(void)
{
	struct place place;
	gboolean visible = FALSE;

	place_make(&place);
	expect(&place, 4, 0, TRUE);
	g_assert_cmpint(slots_taken("/nowhere/at/all", HOST, PORT, 4, &visible), ==, 0);
	g_assert_true(visible);
	g_assert_cmpint(slots_taken(place.state, HOST, PORT + 1, 4, &visible), ==, 0);
	g_assert_true(visible);
	place_remove(&place); /* rmdir fails if a file or folder had been made */
}

static void
a_build_of_another_process_is_counted_while_it_lives(void)
{
	static const int slots[] = {0, 2};
	struct place place;
	pid_t pid;

	place_make(&place);
	pid = holder_start(&place, slots, 2);
	expect(&place, 4, 2, TRUE);
	expect(&place, 1, 1, TRUE);
	expect(&place, 0, 0, TRUE);
	holder_end(pid);
	expect(&place, 4, 0, TRUE); /* the files stay, unlocked */
	place_remove(&place);
}

static void
looking_takes_nothing_away(void)
{
	static const int slots[] = {0};
	struct place place;
	pid_t pid;

	place_make(&place);
	pid = holder_start(&place, slots, 1);
	for (int i = 0; i < 3; i++)
		expect(&place, 1, 1, TRUE);
	holder_end(pid);
	pid = holder_start(&place, slots,
			   1); /* and another build can have the slot after we looked */
	expect(&place, 1, 1, TRUE);
	holder_end(pid);
	place_remove(&place);
}

static void
slots_that_we_may_not_read_are_free_and_not_visible(void)
{
	static const int slots[] = {0, 1};
	struct place place;
	g_autofree char *zero = NULL;
	gboolean root = geteuid() == 0;
	pid_t pid;

	place_make(&place);
	g_assert_cmpint(chmod(place.state, 0755), ==, 0);
	zero = g_build_filename(place.machine, "0", NULL);
	pid = holder_start(&place, slots, 2);
	g_assert_cmpint(chmod(zero, 0), ==, 0);
	if (root) /* may read everything: be nobody for a moment */
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect(&place, 2, 1, FALSE);
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0), ==, 0);
	if (root)
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect(&place, 2, 0, FALSE);
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0755), ==, 0);
	holder_end(pid);
	place_remove(&place);
}

static void
what_is_no_slot_does_not_keep_us(void)
{
	struct place place;
	g_autofree char *fifo = NULL;

	place_make(&place);
	fifo = g_build_filename(place.machine, "0", NULL);
	g_assert_cmpint(mkfifo(fifo, 0644), ==, 0);
	expect(&place, 1, 0, TRUE);
	place_remove(&place);
}

#define TEST(name, function) g_test_add_func("/slots/" name, function)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("missing-folders-and-files-are-free", missing_folders_and_files_are_free);
	TEST("a-build-of-another-process-is-counted-while-it-lives",
	     a_build_of_another_process_is_counted_while_it_lives);
	TEST("looking-takes-nothing-away", looking_takes_nothing_away);
	TEST("slots-that-we-may-not-read-are-free-and-not-visible",
	     slots_that_we_may_not_read_are_free_and_not_visible);
	TEST("what-is-no-slot-does-not-keep-us", what_is_no_slot_does_not_keep_us);
	return g_test_run();
}
