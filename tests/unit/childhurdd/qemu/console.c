/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a console's lines mean, and following a file that QEMU writes. */
#include "childhurdd/qemu/console.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS_MAX                                                                                 \
	1000 /* turns of the loop until we call something lost; each ends by a timer of 50 ms at   \
		most */

struct place {
	char *directory;
	char *path;
	struct ev_loop *loop;
	struct console *console;
	GString *told; /* "meaning: line\n" for each */
	guint wakes;
};

static const char *const meanings[] = {
    [CONSOLE_NOTHING] = "nothing",     [CONSOLE_HALTED] = "halted", [CONSOLE_HALTING] = "halting",
    [CONSOLE_REBOOTING] = "rebooting", [CONSOLE_PANIC] = "panic",   [CONSOLE_DISK] = "disk",
    [CONSOLE_MEMORY] = "memory",
};

static void
told(struct console *console, enum console_meaning meaning, const char *line,
     const char *explanation, void *data)
{
	struct place *place = data;

	if (meaning == CONSOLE_NOTHING) {
		g_assert_null(line);
		place->wakes++;
		return;
	}
	g_assert_nonnull(explanation);
	g_string_append_printf(place->told, "%s: %s\n", meanings[meaning], line);
}

static void
place_make(struct place *place)
{
	memset(place, 0, sizeof(*place));
	place->directory = g_dir_make_tmp("console-XXXXXX", NULL);
	g_assert_nonnull(place->directory);
	place->path = g_build_filename(place->directory, "console.log", NULL);
	place->loop = ev_loop_new(EVFLAG_AUTO);
	place->told = g_string_new(NULL);
}

static void
place_remove(struct place *place)
{
	g_autoptr(GDir) open = g_dir_open(place->directory, 0, NULL);

	console_free(place->console);
	ev_loop_destroy(place->loop);
	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open)) {
		g_autofree char *file = g_build_filename(place->directory, name, NULL);

		g_assert_cmpint(g_remove(file), ==, 0);
	}
	g_assert_cmpint(rmdir(place->directory), ==, 0);
	g_string_free(place->told, TRUE);
	g_free(place->path);
	g_free(place->directory);
}

static void
watch(struct place *place, gboolean from_start)
{
	place->console = console_new(place->loop, place->path, from_start, told, place);
}

/* Append as QEMU does. */
static void
append(const struct place *place, const char *bytes, gsize length)
{
	int fd = open(place->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	g_assert_cmpint(write(fd, bytes, length), ==, (gssize)length);
	close(fd);
}

static void
append_text(const struct place *place, const char *text)
{
	append(place, text, strlen(text));
}

/* Run the loop until that was reported. */
static void
expect_told(struct place *place, const char *expected)
{
	for (int i = 0; i < ROUNDS_MAX && place->told->len < strlen(expected); i++)
		ev_run(place->loop, EVRUN_ONCE);
	g_assert_cmpstr(place->told->str, ==, expected);
}

static void
expect_tail(const struct place *place, guint n, const char *expected)
{
	g_auto(GStrv) lines = console_tail(place->console, n);
	g_autofree char *joined = g_strjoinv("|", lines);

	g_assert_cmpstr(joined, ==, expected);
}

static void
lines_mean_what_they_say(void)
{
	static const struct {
		const char *line;
		enum console_meaning meaning;
	} cases[] = {
	    {"You can safely power off the system or hit ctl-alt-del to reboot", CONSOLE_HALTED},
	    {"In tight loop: hit ctl-alt-del to reboot", CONSOLE_HALTED},
	    {"[   12.345678] reboot: System halted", CONSOLE_HALTED},
	    {"panic {cpu0} ../kern/bootstrap.c:185: bootstrap_create: No bootstrap code loaded "
	     "with "
	     "the kernel!",
	     CONSOLE_PANIC},
	    {"panic: splx(old 91, new 8): logic error in locore.s", CONSOLE_PANIC},
	    {"# panic {cpu0} ../vm/vm_map.c:100: vm_map_enter: oops", CONSOLE_PANIC},
	    {"Panic: zalloc failed: zone map exhausted", CONSOLE_PANIC},
	    {"{cpu0} ../kern/lock.c:10: lock_write: Assertion `l' failed.", CONSOLE_PANIC},
	    {"Kernel Page fault trap, eip 0xc1023456, code 0, cr2 10", CONSOLE_PANIC},
	    {"Kernel trap 42, eip 0xc1023456, code 0, cr2 10", CONSOLE_PANIC},
	    {"startup: Crashing system; essential task proc died", CONSOLE_PANIC},
	    {"Kernel panic - not syncing: VFS: Unable to mount root fs", CONSOLE_PANIC},
	    {"db> ", CONSOLE_PANIC},
	    {"dbt> ", CONSOLE_PANIC},
	    {"db{0}> ", CONSOLE_PANIC},
	    {"db{12}> trace", CONSOLE_PANIC},
	    {"ext2fs: device:hd0s1: panic: main: Not enough memory", CONSOLE_DISK},
	    {"ext2fs.static: ../../ext2fs/inode.c:140: read_node: Assertion `0' failed.",
	     CONSOLE_DISK},
	    {"/srv/hurd/ext2fs.static: ../../../src/hurd/libdiskfs/rdwr-internal.c:38: "
	     "_diskfs_rdwr_internal: Assertion '!diskfs_readonly' failed.",
	     CONSOLE_DISK},
	    {"startup: notifying ext2fs.static device:hd0 of halt...done", CONSOLE_HALTING},
	    {"# startup: notifying pfinet of halt...", CONSOLE_HALTING},
	    {"startup: notifying random of reboot...done", CONSOLE_REBOOTING},
	    {"startup: halting Hurd...", CONSOLE_HALTING},
	    {"startup: halting Mach (flags 0x8)...", CONSOLE_HALTING},
	    {"startup: rebooting Mach (flags 0)...", CONSOLE_REBOOTING},
	    {"ext2fs: device:hd0s1: warning: MOUNTED READ-ONLY; MUST USE `fsysopts --writable'",
	     CONSOLE_DISK},
	    {"ext2fs: device:hd0: ext2_new_block: block >= blocks count", CONSOLE_DISK},
	    {"ext2fs.static: device:hd0: Input/output error", CONSOLE_DISK},
	    {"end_request: I/O error, dev 03:00, sector 2", CONSOLE_DISK},
	    {"vm_page warning: unable to recycle any page", CONSOLE_MEMORY},
	    {"(default pager): dropping data_request because of previous paging errors",
	     CONSOLE_MEMORY},
	    {"Out of memory: Killed process 12 (cc1)", CONSOLE_MEMORY},
	    {"", CONSOLE_NOTHING},
	    {"# ", CONSOLE_NOTHING},
	    {"intnull(14)", CONSOLE_NOTHING},
	    {"Didn't succeed", CONSOLE_NOTHING},
	    {"db", CONSOLE_NOTHING},
	    {"db{}> ", CONSOLE_NOTHING},
	    {"db{0", CONSOLE_NOTHING},
	    {"dbus> ", CONSOLE_NOTHING},
	    {"db>x", CONSOLE_NOTHING},
	    {"a test of panic: passed", CONSOLE_NOTHING},
	    {"checking for panic... no", CONSOLE_NOTHING},
	    {"ext2fs: part:1:device:hd0: warning: FILESYSTEM NOT UNMOUNTED CLEANLY; PLEASE fsck",
	     CONSOLE_NOTHING},
	    {"start /boot/ext2fs.static: Hurd server bootstrap: ext2fs.static[device:hd0] exec "
	     "startup proc "
	     "auth.",
	     CONSOLE_NOTHING},
	    {"startup: notifying of nothing", CONSOLE_NOTHING},
	    {"a program that says halting Hurd...", CONSOLE_NOTHING},
	    {"Shutdown completed successfully, now in tight loop.", CONSOLE_NOTHING},
	    {"foo.c:1: main: Assertion `x' failed.", CONSOLE_NOTHING},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *explanation = "untouched";

		if (console_meaning(cases[i].line, &explanation) != cases[i].meaning)
			g_error("\"%s\" does not mean %s", cases[i].line,
				meanings[cases[i].meaning]);
		g_assert_true((explanation != NULL) == (cases[i].meaning != CONSOLE_NOTHING));
	}
}

/* Read the console of a real guest, from tests/data. */
static void
read_real(struct place *place, const char *name)
{
	g_autofree char *built = g_test_build_filename(G_TEST_DIST, "../data", name, NULL);
	g_autofree char *here = g_build_filename("tests/data", name, NULL);
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(built, &text, &length, NULL)) /* when run from the top folder */
		g_assert_true(g_file_get_contents(here, &text, &length, NULL));
	place_make(place);
	append(place, text, length);
	watch(place, TRUE);
	console_drain(place->console);
}

static void
a_real_boot_and_halt_tells_the_halt_and_nothing_else(void)
{
	struct place place;

	read_real(&place, "hurd-boot-and-halt.log");
	g_assert_cmpstr(
	    place.told->str, ==,
	    "halting: startup: notifying pfinet of halt...done\n"
	    "halting: startup: notifying random of halt...done\n"
	    "halting: startup: notifying ext2fs.static device:hd0 of halt...done\n"
	    "halting: startup: halting Hurd...\n"
	    "halting: startup: halting Mach (flags 0x8)...\n"
	    "halted: You can safely power off the system or hit ctl-alt-del to reboot\n");
	expect_tail(&place, 2,
		    "Shutdown completed successfully, now in tight loop.|"
		    "You can safely power off the system or hit ctl-alt-del to reboot");
	place_remove(&place);
}

/* A reboot, and a halt that never ends. */
static void
a_real_halt_that_is_stuck_tells_that_it_has_begun(void)
{
	struct place place;

	read_real(&place, "hurd-halt-stuck.log");
	g_assert_cmpstr(
	    place.told->str, ==,
	    "rebooting: # startup: notifying pfinet of reboot...done\n"
	    "rebooting: startup: notifying random of reboot...done\n"
	    "rebooting: startup: notifying ext2fs.static device:hd0s1 of reboot...done\n"
	    "disk: /srv/hurd/ext2fs.static: ../../../src/hurd/libdiskfs/rdwr-internal.c:38: "
	    "_diskfs_rdwr_internal: Assertion '!diskfs_readonly' failed.\n"
	    "rebooting: startup: rebooting Mach (flags 0)...\n"
	    "halting: # startup: notifying pfinet of halt...done\n"
	    "halting: startup: notifying random of halt...done\n"
	    "halting: startup: notifying ext2fs.static device:hd0s1 of halt...done\n"
	    "disk: /srv/hurd/ext2fs.static: ../../../src/hurd/libdiskfs/rdwr-internal.c:38: "
	    "_diskfs_rdwr_internal: Assertion '!diskfs_readonly' failed.\n"
	    "halting: startup: halting Hurd...\n");
	place_remove(&place);
}

static void
a_real_crash_is_told_apart_from_the_halts_behind_it(void)
{
	struct place place;

	read_real(&place, "hurd-crash-boot-halt.log");
	g_assert_nonnull(strstr(place.told->str, "panic: "));
	g_assert_nonnull(strstr(place.told->str, "halting: # startup: notifying pfinet of halt"));
	g_assert_true(g_str_has_suffix(
	    place.told->str,
	    "halted: You can safely power off the system or hit ctl-alt-del to reboot\n"));
	place_remove(&place);
}

static void
what_is_appended_is_told(void)
{
	struct place place;

	place_make(&place);
	append_text(&place, "panic: an old one\n");
	watch(&place, FALSE);
	append_text(&place, "GNU Mach 1.8\nIn tight loop: hit ctl-alt");
	for (int i = 0; i < 3; i++)
		ev_run(place.loop, EVRUN_ONCE);
	g_assert_cmpuint(place.wakes, >, 0);
	append_text(&place, "-del to reboot\n");
	expect_told(&place, "halted: In tight loop: hit ctl-alt-del to reboot\n");
	expect_tail(&place, 9, "GNU Mach 1.8|In tight loop: hit ctl-alt-del to reboot");
	place_remove(&place);
}

static void
a_file_that_comes_later_is_read_from_its_start(void)
{
	struct place place;

	place_make(&place);
	watch(&place, FALSE);
	for (int i = 0; i < 2; i++) /* at rest, with inotify on the folder */
		ev_run(place.loop, EVRUN_NOWAIT);
	append_text(&place, "panic: at once\n");
	expect_told(&place, "panic: panic: at once\n");
	place_remove(&place);
}

static void
a_resting_reader_wakes_for_each_change(void)
{
	struct place place;
	g_autoptr(GString) expected = g_string_new(NULL);

	place_make(&place);
	append_text(&place, "");
	watch(&place, TRUE);
	for (int i = 0; i < 5; i++) {
		g_autofree char *line = g_strdup_printf("panic: number %d\n", i);

		ev_run(place.loop, EVRUN_NOWAIT);
		append_text(&place, line);
		g_string_append_printf(expected, "panic: %s", line);
		expect_told(&place, expected->str);
	}
	place_remove(&place);
}

static void
a_prompt_without_a_line_end_is_told_once(void)
{
	struct place place;

	place_make(&place);
	watch(&place, TRUE);
	append_text(&place, "Stopped at 0xc0\ndb{0}> ");
	expect_told(&place, "panic: db{0}> \n");
	append_text(&place, "help\nnext line\n");
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==, "panic: db{0}> \n");
	expect_tail(&place, 2, "db{0}> help|next line");
	append_text(&place, "db{0}> ");
	console_drain(place.console); /* does not wait for quiet */
	g_assert_cmpstr(place.told->str, ==, "panic: db{0}> \npanic: db{0}> \n");
	place_remove(&place);
}

static void
a_long_line_is_cut_and_the_next_is_read(void)
{
	struct place place;
	g_auto(GStrv) lines = NULL;

	place_make(&place);
	watch(&place, TRUE);
	for (int i = 0; i < 1000; i++)
		append_text(&place, "0123456789012345678901234567890123456789");
	append_text(&place, "\nOut of memory\n");
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==, "memory: Out of memory\n");
	lines = console_tail(place.console, 2);
	g_assert_cmpuint(strlen(lines[0]), ==, CONSOLE_LINE_MAX);
	place_remove(&place);
}

static void
the_tail_has_the_last_lines_only(void)
{
	struct place place;
	g_auto(GStrv) lines = NULL;

	place_make(&place);
	watch(&place, TRUE);
	for (int i = 0; i < 100; i++) {
		g_autofree char *line = g_strdup_printf("line %d\n", i);

		append_text(&place, line);
	}
	append_text(&place, "half");
	console_drain(place.console);
	expect_tail(&place, 0, "");
	expect_tail(&place, 1, "half");
	expect_tail(&place, 3, "line 98|line 99|half");
	lines = console_tail(place.console, 1000);
	g_assert_cmpuint(g_strv_length(lines), ==, CONSOLE_TAIL_LINES + 1);
	g_assert_cmpstr(lines[0], ==, "line 60");
	place_remove(&place);
}

static void
a_guest_cannot_drive_a_terminal(void)
{
	static const char bytes[] =
	    "\033[31mred\033[0m \033]0;title\a\033]52;c;AAAA\033\\\033(Bplain\r\n"
	    "a\tb\bc\0d\x7f"
	    "e\x9b"
	    "31m\xc2\x9b"
	    "32m\xe2\x80\xae"
	    "f\xff\r\n"
	    "gr\xc3\xbc\xc3\x9f"
	    "e\033\n"
	    "cut \033[12\n"
	    "\033]never ended\n"
	    "\033P\033[H\n";
	struct place place;

	place_make(&place);
	append(&place, bytes, sizeof(bytes) - 1);
	watch(&place, TRUE);
	console_drain(place.console);
	expect_tail(&place, 6,
		    "red plain|a bcde?31m32mf?|gr\xc3\xbc\xc3\x9f"
		    "e|cut ||");
	place_remove(&place);
}

static void
a_truncated_or_replaced_file_is_read_anew(void)
{
	struct place place;
	g_autofree char *other = NULL;

	place_make(&place);
	append_text(&place, "panic: first, a long line\n");
	watch(&place, TRUE);
	console_drain(place.console);
	g_assert_cmpint(truncate(place.path, 0), ==, 0);
	append_text(&place, "panic: second\n");
	console_drain(place.console);
	other = g_strconcat(place.path, ".other", NULL);
	g_assert_true(
	    g_file_set_contents(other, "panic: third, and this one is longer\n", -1, NULL));
	g_assert_cmpint(rename(other, place.path), ==, 0);
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==,
			"panic: panic: first, a long line\npanic: panic: second\n"
			"panic: panic: third, and this one is longer\n");
	place_remove(&place);
}

/* Make the file longer than the limit; it ends with the text. */
static void
grow(const struct place *place, const char *text)
{
	g_autofree char *block = g_malloc(CONSOLE_ROTATE_SIZE);

	memset(block, 'x', CONSOLE_ROTATE_SIZE);
	block[CONSOLE_ROTATE_SIZE - 1] = '\n';
	append(place, block, CONSOLE_ROTATE_SIZE);
	append_text(place, text);
}

static void
expect_end(const struct place *place, const char *suffix, const char *expected)
{
	g_autofree char *path = g_strconcat(place->path, suffix, NULL);
	g_autofree char *text = NULL;
	gsize length;

	if (!expected) {
		g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
		return;
	}
	g_assert_true(g_file_get_contents(path, &text, &length, NULL));
	g_assert_cmpuint(length, >=, strlen(expected));
	g_assert_cmpstr(text + length - strlen(expected), ==, expected);
}

static void
rotation_keeps_three_old_logs(void)
{
	static const char *const texts[] = {"one\n", "two\n", "three\n", "four\n"};
	struct place place;
	GError *error = NULL;

	place_make(&place);
	g_assert_true(console_rotate(place.path, &error)); /* there is no file */
	append_text(&place, "short\n");
	g_assert_true(console_rotate(place.path, &error));
	expect_end(&place, ".1", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		grow(&place, texts[i]);
		g_assert_true(console_rotate(place.path, &error));
		g_assert_no_error(error);
	}
	expect_end(&place, "", "");
	expect_end(&place, ".1", "four\n");
	expect_end(&place, ".2", "three\n");
	expect_end(&place, ".3", "two\n");
	expect_end(&place, ".4", NULL);
	expect_end(&place, ".1.new", NULL);
	place_remove(&place);
}

static void
a_log_that_cannot_be_rotated_stays(void)
{
	struct place place;
	g_autoptr(GError) error = NULL;
	g_autofree char *in_the_way = NULL;

	place_make(&place);
	grow(&place, "kept\n");
	in_the_way = g_strconcat(place.path, ".1.new", NULL);
	g_assert_cmpint(mkdir(in_the_way, 0700), ==, 0);
	g_assert_false(console_rotate(place.path, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, place.path));
	expect_end(&place, "", "kept\n");
	place_remove(&place);
}

static void
a_running_guests_log_rotates_and_no_line_is_missed(void)
{
	struct place place;
	int qemu;

	place_make(&place);
	append_text(&place, "start\n");
	watch(&place, TRUE);
	qemu = open(place.path, O_WRONLY | O_APPEND | O_CLOEXEC); /* stays open, as QEMU's does */
	console_drain(place.console);
	grow(&place, "panic: before\n");
	console_drain(place.console);
	expect_end(&place, "", "");
	expect_end(&place, ".1", "panic: before\n");
	g_assert_cmpint(write(qemu, "panic: after\n", 13), ==, 13);
	close(qemu);
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==, "panic: panic: before\npanic: panic: after\n");
	expect_end(&place, "", "panic: after\n"); /* no hole before it */
	place_remove(&place);
}

/* Code that escapes into QEMU has the log's descriptor, and can make the log longer than any disk
 * at no cost. */
static void
a_log_without_end_costs_little(void)
{
	const off_t hole = (off_t)1 << 36;
	struct place place;
	struct stat status;
	g_autofree char *copy = NULL, *text = NULL;
	gsize length;

	place_make(&place);
	copy = g_strconcat(place.path, ".1", NULL);
	append_text(&place, "start\n");
	watch(&place, FALSE);
	console_drain(place.console);
	g_assert_cmpint(truncate(place.path, hole), ==, 0);
	append_text(&place, "\npanic: behind it\n");
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==, "panic: panic: behind it\n");
	expect_end(&place, "", "");
	expect_end(&place, ".1", "\npanic: behind it\n");
	g_assert_cmpint(g_stat(copy, &status), ==, 0);
	g_assert_cmpint(status.st_size, <=, CONSOLE_COPY_MAX);
	g_assert_true(g_file_get_contents(copy, &text, &length, NULL));
	g_assert_true(g_pattern_match_simple(
	    "[childhurdd: 687???????? bytes before this were left out]\n", text));
	append_text(&place, "panic: after\n");
	console_drain(place.console);
	g_assert_cmpstr(place.told->str, ==, "panic: panic: behind it\npanic: panic: after\n");
	g_assert_cmpint(truncate(place.path, hole), ==, 0);
	g_assert_true(console_rotate(place.path, NULL));
	g_assert_cmpint(g_stat(copy, &status), ==, 0);
	g_assert_cmpint(status.st_size, <=, CONSOLE_COPY_MAX);
	place_remove(&place);
}

static void
a_boot_that_stops_in_a_line_is_told(void)
{
	static const char start[] = "2 multiboot modules\nstart /srv/hurd/ext2fs.static: ";
	struct place place;
	g_autofree char *line = NULL;
	gint64 now;

	place_make(&place);
	append_text(&place, start);
	watch(&place, TRUE);
	console_drain(place.console);
	now = g_get_monotonic_time() / 1000;
	g_assert_null(console_stalled(place.console, now, &line));
	g_assert_nonnull(console_stalled(place.console, now + CONSOLE_SILENCE, &line));
	g_assert_cmpstr(line, ==, "start /srv/hurd/ext2fs.static: ");
	append_text(&place, "Hurd server bootstrap:");
	console_drain(place.console);
	g_free(line);
	line = NULL;
	g_assert_null(console_stalled(place.console, now + 2 * CONSOLE_SILENCE, &line));
	g_assert_null(line);
	g_assert_null(console_stall("start"));
	g_assert_null(console_stall("Hurd server bootstrap:"));
	place_remove(&place);
}

#define TEST(name, function) g_test_add_func("/console/" name, function)

/* When a guest is taken over, its last lines are read but not reported. */
static void
test_recall(void)
{
	struct place place;
	place_make(&place);
	for (int i = 0; i < CONSOLE_RECALL / 8; i++)
		append_text(&place, "old old\n");
	append_text(&place, "panic {cpu0} long ago\nlast\nunfin");
	watch(&place, FALSE);
	console_recall(place.console);
	g_auto(GStrv) tail = console_tail(place.console, 3);
	g_assert_cmpstr(tail[0], ==, "panic {cpu0} long ago");
	g_assert_cmpstr(tail[1], ==, "last");
	g_assert_cmpstr(tail[2], ==, "unfin");
	g_assert_cmpstr(place.told->str, ==, "");
	append_text(&place, "ished\npanic {cpu0} now\n");
	expect_told(&place, "panic: panic {cpu0} now\n");
	place_remove(&place);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("lines-mean-what-they-say", lines_mean_what_they_say);
	TEST("a-real-boot-and-halt-tells-the-halt-and-nothing-else",
	     a_real_boot_and_halt_tells_the_halt_and_nothing_else);
	TEST("a-real-halt-that-is-stuck-tells-that-it-has-begun",
	     a_real_halt_that_is_stuck_tells_that_it_has_begun);
	TEST("a-real-crash-is-told-apart-from-the-halts-behind-it",
	     a_real_crash_is_told_apart_from_the_halts_behind_it);
	TEST("what-is-appended-is-told", what_is_appended_is_told);
	TEST("a-file-that-comes-later-is-read-from-its-start",
	     a_file_that_comes_later_is_read_from_its_start);
	TEST("a-resting-reader-wakes-for-each-change", a_resting_reader_wakes_for_each_change);
	TEST("a-prompt-without-a-line-end-is-told-once", a_prompt_without_a_line_end_is_told_once);
	TEST("a-long-line-is-cut-and-the-next-is-read", a_long_line_is_cut_and_the_next_is_read);
	TEST("the-tail-has-the-last-lines-only", the_tail_has_the_last_lines_only);
	TEST("a-guest-cannot-drive-a-terminal", a_guest_cannot_drive_a_terminal);
	TEST("a-truncated-or-replaced-file-is-read-anew",
	     a_truncated_or_replaced_file_is_read_anew);
	TEST("rotation-keeps-three-old-logs", rotation_keeps_three_old_logs);
	TEST("a-log-that-cannot-be-rotated-stays", a_log_that_cannot_be_rotated_stays);
	TEST("the-last-lines-of-an-older-log-are-known-and-no-news", test_recall);
	TEST("a-running-guests-log-rotates-and-no-line-is-missed",
	     a_running_guests_log_rotates_and_no_line_is_missed);
	TEST("a-boot-that-stops-in-a-line-is-told", a_boot_that_stops_in_a_line_is_told);
	TEST("a-log-without-end-costs-little", a_log_without_end_costs_little);
	return g_test_run();
}
