/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Build slots, held by another process as `guix offload` holds them. */
#include "offload/slots.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/refuse.h"

#include "tests/unit/offload/builds.h"

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

static void
expect(const struct place *place, int taken, gboolean seen)
{
	gboolean visible = !seen;

	g_assert_cmpint(slots_taken(place->state, HOST, PORT, &visible), ==, taken);
	g_assert_cmpint(visible, ==, seen);
}

static void
missing_folders_and_files_are_free(void)
{
	struct place place;
	gboolean visible = FALSE;

	place_make(&place);
	expect(&place, 0, TRUE);
	g_assert_cmpint(slots_taken("/nowhere/at/all", HOST, PORT, &visible), ==, 0);
	g_assert_true(visible);
	g_assert_cmpint(slots_taken(place.state, HOST, PORT + 1, &visible), ==, 0);
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
	pid = build_start(place.machine, slots, 2);
	expect(&place, 2, TRUE);
	gboolean visible = FALSE;
	g_assert_cmpuint(slots_with_builds(place.state, HOST, PORT, &visible), ==, 1 << 0 | 1 << 2);
	g_assert_true(visible);
	build_end(pid);
	expect(&place, 0, TRUE); /* the files stay, unlocked */
	place_remove(&place);
}

static void
looking_takes_nothing_away(void)
{
	static const int slots[] = {0};
	struct place place;
	pid_t pid;

	place_make(&place);
	pid = build_start(place.machine, slots, 1);
	for (int i = 0; i < 3; i++)
		expect(&place, 1, TRUE);
	build_end(pid);
	pid = build_start(place.machine, slots,
			  1); /* and another build can have the slot after we looked */
	expect(&place, 1, TRUE);
	build_end(pid);
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
	pid = build_start(place.machine, slots, 2);
	g_assert_cmpint(chmod(zero, 0), ==, 0);
	if (root) /* may read everything: be nobody for a moment */
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect(&place, 1, FALSE);
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0), ==, 0);
	if (root)
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect(&place, 0, FALSE);
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0755), ==, 0);
	build_end(pid);
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
	expect(&place, 0, TRUE);
	place_remove(&place);
}

static void
kept_slots_keep_builds_out_and_are_none(void)
{
	struct place place;
	gboolean visible = FALSE;

	place_make(&place);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 0);
	g_assert_true(visible);
	for (int i = 0; i < 3; i++) {
		expect(&place, 0, TRUE); /* looking is not counting ourselves, nor letting go */
		g_assert_false(free_for_builds(place.machine, 0));
		g_assert_false(free_for_builds(place.machine, 1));
	}
	g_assert_true(free_for_builds(place.machine, 2));
	g_assert_cmpint(slots_hold(slots, 3, &visible), ==, 0); /* more than before */
	g_assert_false(free_for_builds(place.machine, 2));
	slots_free(slots);
	g_assert_true(free_for_builds(place.machine, 0));
	place_remove(&place);
}

static void
a_running_build_s_slot_is_kept_when_it_ends(void)
{
	static const int busy[] = {1};
	struct place place;
	gboolean visible;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 1);
	g_assert_false(free_for_builds(place.machine, 0));
	expect(&place, 1, TRUE);
	build_end(pid);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 0);
	g_assert_false(free_for_builds(place.machine, 1));
	slots_free(slots);
	place_remove(&place);
}

static void
a_slot_beyond_the_present_number_counts(void)
{
	static const int busy[] = {3};
	struct place place;
	gboolean visible;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 1);
	build_end(pid);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_false(free_for_builds(place.machine, 3));
	slots_free(slots);
	place_remove(&place);
}

static void
a_slot_whose_file_is_another_is_kept_anew(void)
{
	static const int busy[] = {0};
	struct place place;
	gboolean visible;

	place_make(&place);
	g_autofree char *file = g_build_filename(place.machine, "0", NULL);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_cmpint(unlink(file), ==, 0);
	pid_t pid = build_start(place.machine, busy, 1);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 1);
	build_end(pid);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_false(free_for_builds(place.machine, 0));
	slots_free(slots);
	place_remove(&place);
}

static void
folders_are_made_as_the_state_directory_is_owned(void)
{
	struct place place;
	g_autofree char *file = NULL;
	gboolean visible = FALSE;
	struct stat st;

	place_make(&place);
	file = g_build_filename(place.machine, "0", NULL);
	g_assert_cmpint(rmdir(place.machine), ==, 0);
	g_assert_cmpint(rmdir(place.offload), ==, 0);
	if (geteuid() == 0)
		g_assert_cmpint(chown(place.state, 65534, 65534), ==, 0);
	g_assert_cmpint(stat(place.state, &st), ==, 0);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_true(visible);
	slots_free(slots);
	const char *const made[] = {place.offload, place.machine, file};
	for (gsize i = 0; i < G_N_ELEMENTS(made); i++) {
		struct stat seen;
		g_assert_cmpint(stat(made[i], &seen), ==, 0);
		g_assert_cmpint(seen.st_uid, ==, st.st_uid);
		g_assert_cmpint(seen.st_gid, ==, st.st_gid);
	}
	place_remove(&place);
}

static void
no_guix_is_nothing_to_keep_and_no_permission_is_said(void)
{
	struct place place;
	gboolean visible = FALSE, root = geteuid() == 0;
	struct slots *slots = slots_new("/nowhere/at/all", HOST, PORT);

	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_true(visible);
	slots_free(slots);

	place_make(&place);
	g_assert_cmpint(chmod(place.state, 0755), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0555), ==, 0);
	slots = slots_new(place.state, HOST, PORT);
	if (root)
		g_assert_cmpint(seteuid(65534), ==, 0);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 0);
	g_assert_false(visible);
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	slots_free(slots);
	g_assert_cmpint(chmod(place.machine, 0755), ==, 0);
	place_remove(&place);
}

static void
a_link_in_a_folder_s_place_is_not_followed(void)
{
	struct place place;
	gboolean visible = TRUE;

	place_make(&place);
	g_autofree char *elsewhere = g_dir_make_tmp("slots-XXXXXX", NULL);
	g_assert_cmpint(rmdir(place.machine), ==, 0);
	g_assert_cmpint(symlink(elsewhere, place.machine), ==, 0);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_false(visible);
	slots_free(slots);
	g_assert_cmpint(rmdir(elsewhere), ==, 0); /* nothing was made there */
	g_assert_cmpint(unlink(place.machine), ==, 0);
	g_assert_cmpint(g_mkdir(place.machine, 0755), ==, 0);
	place_remove(&place);
}

/* A daemon's user may write into the folder, and lay another name of root's file there. */
/* Who may read a slot's file may lock it for reading: that is no build, and `stop` does not wait.
 */
static void
a_stranger_s_lock_for_reading_is_no_build(void)
{
	struct place place;
	struct slots *slots;
	gboolean visible;
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char byte;
	int ready[2];

	place_make(&place);
	g_autofree char *path = g_build_filename(place.machine, "0", NULL);
	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDONLY);
		if (fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	g_assert_cmpint(slots_taken(place.state, HOST, PORT, &visible), ==, 0);
	g_assert_true(visible);
	slots = slots_new(place.state, HOST, PORT);
	g_autofree char *who = g_strdup_printf("*/0: process %d has it locked*", (int)pid);
	g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, who);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_test_assert_expected_messages();
	g_assert_false(visible);				/* it could not be kept */
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0); /* said once */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
	g_assert_true(visible);
	slots_free(slots);
	close(ready[0]);
	close(ready[1]);
	place_remove(&place);
}

/* Nobody gets at a slot's file who is neither Guix nor we, whatever the umask. */
static void
strangers_are_kept_from_slots(void)
{
	struct place place;
	struct slots *slots;
	gboolean visible;
	struct stat st;

	place_make(&place); /* 0755, as Guix makes it */
	mode_t umask_before = umask(0);
	g_assert_cmpint(rmdir(place.machine), ==, 0);
	for (int made = 0; made < 2; made++) {
		slots = slots_new(place.state, HOST, PORT);
		g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 0);
		g_assert_true(visible);
		slots_free(slots);
		g_assert_cmpint(stat(place.machine, &st), ==, 0);
		g_assert_cmpuint(st.st_mode & 07777, ==, made ? 0770 : 0750);
		g_assert_cmpint(chmod(place.machine, 0777), ==, 0);
	}
	umask(umask_before);
	g_autofree char *path = g_build_filename(place.machine, "0", NULL);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0660);
	place_remove(&place);
}

/* The owner of Guix' state directory puts links where root makes folders. */
static void
whoever_owns_the_state_directory_leads_root_nowhere(void)
{
	struct place place;
	struct stat st;
	gboolean visible;
	if (geteuid()) {
		g_test_skip("only root acts in folders of others");
		return;
	}
	place_make(&place);
	g_autofree char *target = g_dir_make_tmp("root-XXXXXX", NULL);
	g_autofree char *beside = g_build_filename(place.state, "link", NULL);
	g_autofree char *kept = g_build_filename(place.state, "kept", NULL);
	g_assert_cmpint(chown(place.state, 65534, 65534), ==, 0);
	g_assert_cmpint(rmdir(place.machine), ==, 0);
	g_assert_cmpint(rmdir(place.offload), ==, 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		for (guint i = 0;; i++) {
			if (symlink(target, beside) < 0 || rename(beside, place.offload) < 0)
				rename(place.offload, kept);
			usleep(i % 40);
			unlink(place.offload);
			rename(kept, place.offload);
		}
	}
	for (int i = 0; i < 2000; i++) {
		struct slots *slots = slots_new(place.state, HOST, PORT);
		slots_hold(slots, 1, &visible);
		slots_free(slots);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_assert_cmpint(stat(target, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
	g_assert_cmpint(rmdir(target), ==, 0); /* nothing was made in it */
	unlink(place.offload);
	unlink(beside);
	const char *const argv[] = {"rm", "-rf", place.state, NULL};
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(place.state);
	g_free(place.offload);
	g_free(place.machine);
}

static void
a_file_with_another_name_is_not_shared(void)
{
	struct place place;
	struct stat st;
	g_autoptr(GError) error = NULL;
	gboolean changed = FALSE;

	if (geteuid() != 0) {
		g_test_skip("only root shares slots");
		return;
	}
	place_make(&place);
	g_autofree char *prey = g_build_filename(place.machine, "prey", NULL);
	g_autofree char *linked = g_build_filename(place.machine, "0", NULL);
	g_autofree char *plain = g_build_filename(place.machine, "1", NULL);
	g_assert_true(g_file_set_contents(prey, "", 0, NULL));
	g_assert_true(g_file_set_contents(plain, "", 0, NULL));
	g_assert_cmpint(chmod(prey, 0600), ==, 0);
	g_assert_cmpint(chmod(plain, 0600), ==, 0);
	g_assert_cmpint(link(prey, linked), ==, 0);
	g_assert_true(slots_share(place.state, HOST, PORT, 65534, &changed, &error));
	g_assert_no_error(error);
	g_assert_true(changed);
	/* the mask of an access control list shows as the group's bits */
	g_assert_cmpint(stat(prey, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	g_assert_cmpint(stat(plain, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0660);
	place_remove(&place);
}

/* All folders, as --prepare asks for it. */
static gboolean
share_unlucky(void *data)
{
	const struct place *place = data;
	g_autoptr(GError) error = NULL;
	gboolean changed;
	gboolean good = slots_share_all(place->state, 65534, &changed, &error);
	if (good == (error != NULL) || (error && !g_str_has_prefix(error->message, place->state)))
		g_error("%s", error ? error->message : "no error");
	return good;
}

static void
share_not(void *data)
{
	const struct place *place = data;
	g_autofree char *slot = g_build_filename(place->machine, "0", NULL);
	g_remove(slot);
	g_rmdir(place->machine);
	g_rmdir(place->offload);
	g_assert_cmpint(g_mkdir_with_parents(place->machine, 0755), ==, 0);
	g_assert_true(g_file_set_contents(slot, "", 0, NULL));
	g_assert_cmpint(chmod(slot, 0600), ==, 0);
}

static void
share_again(void *data, gboolean good)
{
	const struct place *place = data;
	g_autoptr(GError) error = NULL;
	g_autofree char *slot = g_build_filename(place->machine, "0", NULL);
	gboolean changed = FALSE;
	struct stat st;
	g_assert_true(slots_share_all(place->state, 65534, &changed, &error));
	g_assert_no_error(error);
	g_assert_cmpint(stat(slot, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0660);
	g_assert_true(slots_share_all(place->state, 65534, &changed, &error));
	g_assert_false(changed); /* nothing is left to do */
}

static void
all_slots_are_shared_or_it_is_an_error(void)
{
	struct place place;
	if (geteuid() != 0) {
		g_test_skip("only root shares slots");
		return;
	}
	place_make(&place);
	g_assert_cmpuint(refuse_each(share_not, share_unlucky, share_again, &place), >, 10);
	place_remove(&place);
}

static void
without_guix_nothing_is_shared(void)
{
	g_autoptr(GError) error = NULL;
	gboolean changed = TRUE;
	g_assert_true(slots_share_all("/nowhere/at/all", 65534, &changed, &error));
	g_assert_no_error(error);
	g_assert_false(changed);
	changed = TRUE;
	g_assert_true(slots_share("/nowhere/at/all", HOST, PORT, 65534, &changed, &error));
	g_assert_false(changed);
	struct slots *slots = slots_new("/nowhere/at/all", HOST, PORT);
	gboolean visible = FALSE;
	g_assert_cmpuint(slots_guard(slots, &visible), ==, 0);
	g_assert_true(visible);
	slots_free(slots);
	g_assert_false(slots_share_all("/etc/passwd", 65534, &changed, &error));
	g_assert_cmpstr(error->message, ==,
			"/etc/passwd/offload: cannot be opened: Not a directory");
}

/* --- guarded slots --- */

static gboolean
is_there(const struct place *place, const char *name)
{
	g_autofree char *path = g_build_filename(place->machine, name, NULL);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void
expect_guarded(struct slots *slots, guint64 busy)
{
	gboolean visible = FALSE;

	g_assert_cmphex(slots_guard(slots, &visible), ==, busy);
	g_assert_true(visible);
}

static void
a_guarded_slot_has_no_other_build_until_that_is_counted(void)
{
	static const int busy[] = {1};
	struct place place;
	struct stat st, after;

	place_make(&place);
	g_autofree char *file = g_build_filename(place.machine, "1", NULL);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 0);
	pid_t pid = build_start(place.machine, busy, 1);
	g_assert_cmpint(stat(file, &st), ==, 0);
	for (int i = 0; i < 3; i++) {
		expect_guarded(slots, 2);
		slots_release(slots); /* not the guarded */
		expect(&place, 1, TRUE);
		g_assert_false(free_for_builds(place.machine, 1));
		g_assert_true(free_for_builds(place.machine, 0));
	}
	g_assert_cmpint(stat(file, &after), ==, 0);
	g_assert_cmpuint(after.st_ino, !=, st.st_ino);
	g_assert_cmpuint(after.st_uid, ==, st.st_uid);
	g_assert_cmpuint(after.st_mode & 0600, ==, 0600);
	build_end(pid);
	expect(&place, 0, TRUE);
	slots_release(slots);
	g_assert_false(free_for_builds(place.machine, 1));
	expect_guarded(slots, 0);
	g_assert_false(
	    free_for_builds(place.machine, 1)); /* what follows is the caller's to decide */
	g_assert_false(is_there(&place, ".1.build"));
	slots_release(slots);
	g_assert_true(free_for_builds(place.machine, 1));
	slots_free(slots);
	place_remove(&place);
}

static void
guarded_slots_are_held_without_a_moment_between(void)
{
	static const int busy[] = {0};
	struct place place;
	gboolean visible;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 1);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 1);
	build_end(pid);
	g_assert_false(free_for_builds(place.machine, 0));
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 0);
	slots_release(slots);
	g_assert_false(free_for_builds(place.machine, 0)); /* its end is not counted yet */
	g_assert_true(free_for_builds(place.machine, 1));
	expect_guarded(slots, 0);
	g_assert_cmpint(slots_hold(slots, 2, &visible), ==, 0);
	g_assert_false(free_for_builds(place.machine, 0));
	slots_free(slots);
	g_assert_true(free_for_builds(place.machine, 0));
	place_remove(&place);
}

/* In a process of its own, which is killed then. */
static void
guard_and_die(const struct place *place)
{
	pid_t pid = fork();
	gboolean visible;

	if (pid == 0) {
		slots_guard(slots_new(place->state, HOST, PORT), &visible);
		kill(getpid(), SIGKILL);
	}
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void
the_next_process_finds_builds_in_guarded_slots(void)
{
	static const int busy[] = {0};
	struct place place;
	gboolean visible;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1);
	guard_and_die(&place);
	expect(&place, 1, TRUE);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 1);
	slots_free(slots);
	g_assert_false(is_there(&place, ".0.build")); /* as if it had never been guarded */
	guard_and_die(&place);
	slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 1);
	build_end(pid);
	g_assert_false(free_for_builds(place.machine, 0));
	expect_guarded(slots, 0);
	slots_free(slots);

	/* a build began while nobody guarded the slot */
	pid = build_start(place.machine, busy, 1);
	guard_and_die(&place);
	pid_t other = build_start(place.machine, busy, 1);
	expect(&place, 2, TRUE);
	slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 2);
	slots_free(slots);
	expect(&place, 2, TRUE);
	slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 1);
	build_end(pid);
	expect_guarded(slots, 0); /* that of the one */
	expect_guarded(slots, 1);
	build_end(other);
	expect_guarded(slots, 0);
	slots_free(slots);

	/* one ended between the first hold and the first look */
	pid = build_start(place.machine, busy, 1);
	guard_and_die(&place);
	slots = slots_new(place.state, HOST, PORT);
	g_assert_cmpint(slots_hold(slots, 1, &visible), ==, 1);
	build_end(pid);
	slots_release(slots);
	g_assert_false(free_for_builds(place.machine, 0));
	expect_guarded(slots, 1);
	expect_guarded(slots, 0);
	slots_free(slots);

	/* one ended meanwhile */
	pid = build_start(place.machine, busy, 1);
	guard_and_die(&place);
	build_end(pid);
	slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 1);
	g_assert_false(free_for_builds(place.machine, 0));
	expect_guarded(slots, 0);
	slots_free(slots);
	g_assert_true(free_for_builds(place.machine, 0));
	g_assert_false(is_there(&place, ".0.build"));
	place_remove(&place);
}

static void
what_is_guarded_no_more_is_as_before(void)
{
	static const int busy[] = {0, 1};
	struct place place;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1),
	      other = build_start(place.machine, busy + 1, 1);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 3);
	build_end(other);
	slots_free(slots);
	g_assert_false(is_there(&place, ".0.build"));
	g_assert_false(is_there(&place, ".1.build"));
	g_assert_false(free_for_builds(place.machine, 0));
	g_assert_true(free_for_builds(place.machine, 1));
	expect(&place, 1, TRUE);
	build_end(pid);
	g_assert_true(free_for_builds(place.machine, 0));
	place_remove(&place);
}

static void
a_slot_that_cannot_be_guarded_is_seen(void)
{
	static const int busy[] = {0};
	struct place place;
	gboolean root = geteuid() == 0;

	place_make(&place);
	pid_t pid = build_start(place.machine, busy, 1);
	g_autofree char *file = g_build_filename(place.machine, "0", NULL);
	g_assert_cmpint(chmod(place.state, 0755), ==, 0);
	g_assert_cmpint(chmod(place.machine, 0555), ==, 0);
	g_assert_cmpint(chmod(file, 0666), ==, 0);
	if (root)
		g_assert_cmpint(seteuid(65534), ==, 0);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "*/0: another file cannot take*");
	expect_guarded(slots, 1);
	g_test_assert_expected_messages();
	expect_guarded(slots, 1); /* said once */
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	build_end(pid);
	expect_guarded(slots, 0);
	slots_free(slots);
	g_assert_cmpint(chmod(place.machine, 0755), ==, 0);
	place_remove(&place);
}

/* An ordinary user's daemon, and Guix as yet another user. */
static void
guix_can_use_a_guarded_slot_of_another_user(void)
{
	static const int busy[] = {0};
	struct place place;
	g_autoptr(GError) error = NULL;
	gboolean changed;
	int status;

	if (geteuid() != 0) {
		g_test_skip("only root has other users");
		return;
	}
	place_make(&place);
	g_autofree char *file = g_build_filename(place.machine, "0", NULL);
	g_assert_cmpint(chown(place.state, 65533, 65533), ==, 0);
	g_assert_cmpint(chown(place.offload, 65533, 65533), ==, 0);
	g_assert_cmpint(chown(place.machine, 65533, 65533), ==, 0);
	g_assert_cmpint(chmod(place.state, 0755), ==, 0);
	pid_t pid = build_start(place.machine, busy, 1);
	g_assert_cmpint(chown(file, 65533, 65533), ==, 0);
	g_assert_true(slots_share(place.state, HOST, PORT, 65534, &changed, &error));
	g_assert_no_error(error);
	g_assert_cmpint(setegid(65534), ==, 0);
	g_assert_cmpint(seteuid(65534), ==, 0);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	expect_guarded(slots, 1);
	expect_guarded(slots, 1);
	g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_cmpint(setegid(0), ==, 0);
	pid_t guix = fork();
	if (guix == 0) {
		if (setresgid(65533, 65533, 65533) == 0 && setresuid(65533, 65533, 65533) == 0 &&
		    open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) >= 0)
			kill(getpid(), SIGKILL); /* it can; an exit status is valgrind's */
		_exit(1);
	}
	g_assert_cmpint(waitpid(guix, &status, 0), ==, guix);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	g_assert_false(free_for_builds(place.machine, 0));
	build_end(pid);
	expect_guarded(slots, 0);
	slots_free(slots);
	place_remove(&place);
}

#define BUILDS 20

static void
however_fast_nobody_has_a_guarded_slot_before_the_count(void)
{
	struct place place;
	pid_t pids[HAMMERS];

	place_make(&place);
	g_autofree char *path = g_build_filename(place.machine, "0", NULL);
	struct anvil *anvil =
	    mmap(NULL, sizeof *anvil, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct slots *slots = slots_new(place.state, HOST, PORT);
	for (int i = 0; i < HAMMERS; i++)
		pids[i] = hammer_start(path, anvil, i);
	for (int build = 1; build <= BUILDS; build++) {
		wait_for_build(anvil, build);
		expect_guarded(slots, 1);
		/* who has opened the file before it was guarded has tried it */
		wait_for_blows(anvil, g_atomic_int_get(&anvil->holder), 2, build);
		g_atomic_int_set(&anvil->let_go, build);
		wait_for_blows(anvil, -1, BLOWS, build);
		g_assert_cmpint(g_atomic_int_get(&anvil->got), ==, build);
		expect_guarded(slots, 0);
		wait_for_blows(anvil, -1, BLOWS, build);
		g_assert_cmpint(g_atomic_int_get(&anvil->got), ==, build);
		slots_release(slots);
	}
	for (int i = 0; i < HAMMERS; i++)
		build_end(pids[i]);
	anvil_free(anvil);
	slots_free(slots);
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
	TEST("kept-slots-keep-builds-out-and-are-none", kept_slots_keep_builds_out_and_are_none);
	TEST("a-running-build-s-slot-is-kept-when-it-ends",
	     a_running_build_s_slot_is_kept_when_it_ends);
	TEST("a-slot-beyond-the-present-number-counts", a_slot_beyond_the_present_number_counts);
	TEST("a-slot-whose-file-is-another-is-kept-anew",
	     a_slot_whose_file_is_another_is_kept_anew);
	TEST("folders-are-made-as-the-state-directory-is-owned",
	     folders_are_made_as_the_state_directory_is_owned);
	TEST("no-guix-is-nothing-to-keep-and-no-permission-is-said",
	     no_guix_is_nothing_to_keep_and_no_permission_is_said);
	TEST("a-link-in-a-folder-s-place-is-not-followed",
	     a_link_in_a_folder_s_place_is_not_followed);
	TEST("a-file-with-another-name-is-not-shared", a_file_with_another_name_is_not_shared);
	TEST("a-stranger-s-lock-for-reading-is-no-build",
	     a_stranger_s_lock_for_reading_is_no_build);
	TEST("strangers-are-kept-from-slots", strangers_are_kept_from_slots);
	TEST("whoever-owns-the-state-directory-leads-root-nowhere",
	     whoever_owns_the_state_directory_leads_root_nowhere);
	TEST("a-guarded-slot-has-no-other-build-until-that-is-counted",
	     a_guarded_slot_has_no_other_build_until_that_is_counted);
	TEST("guarded-slots-are-held-without-a-moment-between",
	     guarded_slots_are_held_without_a_moment_between);
	TEST("the-next-process-finds-builds-in-guarded-slots",
	     the_next_process_finds_builds_in_guarded_slots);
	TEST("what-is-guarded-no-more-is-as-before", what_is_guarded_no_more_is_as_before);
	TEST("a-slot-that-cannot-be-guarded-is-seen", a_slot_that_cannot_be_guarded_is_seen);
	TEST("guix-can-use-a-guarded-slot-of-another-user",
	     guix_can_use_a_guarded_slot_of_another_user);
	TEST("however-fast-nobody-has-a-guarded-slot-before-the-count",
	     however_fast_nobody_has_a_guarded_slot_before_the_count);
	g_test_add_func("/slots/all-of-them-are-shared-or-it-is-an-error",
			all_slots_are_shared_or_it_is_an_error);
	g_test_add_func("/slots/without-guix-none-are-shared", without_guix_nothing_is_shared);
	return g_test_run();
}
