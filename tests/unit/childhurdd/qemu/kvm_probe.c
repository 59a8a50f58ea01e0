/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The KVM probe: its boot sector under the real QEMU, its judgement with programs that end as QEMU
 * may, and one whole probe on this machine, whatever its KVM can do.
 */
#include "childhurdd/qemu/kvm_probe.h"
#include "childhurdd/system/child.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	char *directory;
	char *device;	/* a file that can be opened, instead of /dev/kvm */
	char *emulator; /* a script */
	char *log;	/* a line for each run of it */
	struct ev_loop *loop;
};

struct answer {
	int calls;
	gboolean usable;
	char *why;
};

/* An emulator that writes its arguments to the log and then does what script says. */
static void
emulator_make(struct place *place, const char *script)
{
	g_autofree char *text =
	    g_strdup_printf("#!/bin/sh\necho \"$@\" >> '%s'\n%s\n", place->log, script);

	g_assert_true(g_file_set_contents_full(place->emulator, text, -1, G_FILE_SET_CONTENTS_NONE,
					       0700, NULL));
}

static void
place_make(struct place *place, const char *script)
{
	place->directory = g_dir_make_tmp("accelerator, XXXXXX", NULL);
	g_assert_nonnull(place->directory);
	place->device = g_build_filename(place->directory, "device", NULL);
	place->emulator = g_build_filename(place->directory, "emulator", NULL);
	place->log = g_build_filename(place->directory, "log", NULL);
	place->loop = ev_loop_new(EVFLAG_AUTO);
	g_assert_true(g_file_set_contents(place->device, "", 0, NULL));
	emulator_make(place, script);
}

static guint
files_with(const struct place *place, const char *prefix)
{
	g_autoptr(GDir) open = g_dir_open(place->directory, 0, NULL);
	guint n = 0;

	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open))
		n += g_str_has_prefix(name, prefix);
	return n;
}

static void
place_remove(struct place *place)
{
	g_autoptr(GDir) open = g_dir_open(place->directory, 0, NULL);

	g_assert_cmpuint(files_with(place, "kvm-probe."), ==, 0); /* no boot sector is left */
	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open)) {
		g_autofree char *path = g_build_filename(place->directory, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_assert_cmpint(rmdir(place->directory), ==, 0);
	ev_loop_destroy(place->loop);
	g_free(place->directory);
	g_free(place->device);
	g_free(place->emulator);
	g_free(place->log);
}

static guint
runs(const struct place *place)
{
	g_autofree char *text = NULL;
	guint n = 0;

	if (!g_file_get_contents(place->log, &text, NULL, NULL))
		return 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

static void
answer_take(struct kvm_probe *probe, gboolean usable, const char *why, void *data)
{
	struct answer *answer = data;

	answer->calls++;
	answer->usable = usable;
	answer->why = g_strdup(why);
	kvm_probe_free(probe);
}

static void
expect(struct place *place, const char *emulator, const char *device, gboolean usable,
       const char *said)
{
	struct answer answer = {0};

	kvm_probe_device(place->loop, KVM_GUEST_32, emulator, place->directory, device, NULL,
			 answer_take, &answer);
	g_assert_cmpint(answer.calls, ==, 0); /* never from within */
	ev_run(place->loop, 0);
	g_assert_cmpint(answer.calls, ==, 1);
	if (answer.usable != usable || !strstr(answer.why, said))
		g_error("usable %d, \"%s\"; expected %d, \"%s\"", answer.usable, answer.why, usable,
			said);
	g_assert_null(strchr(answer.why, '\n'));
	g_free(answer.why);
}

#if defined(__x86_64__) || defined(__i386__)

extern const char kvm_probe_sector[];
extern const char kvm_probe_sector_end[];
extern const guint16 kvm_probe_long_at;

static void
status_take(struct child *child, int status, const char *output, const GError *error, void *data)
{
	g_assert_no_error(error);
	g_test_message("QEMU: %s", output);
	*(int *)data = status;
}

/* What QEMU exits with when it runs the sector on that processor. */
static int
sector_run(gboolean wants_long, const char *cpu)
{
	struct place place;
	g_autofree char *drive = NULL, *path = NULL;
	g_auto(GStrv) parts = NULL;
	const char *argv[] = {"qemu-system-x86_64",
			      "-accel",
			      "tcg",
			      "-cpu",
			      cpu,
			      "-m",
			      "16",
			      "-nodefaults",
			      "-no-user-config",
			      "-no-reboot",
			      "-display",
			      "none",
			      "-device",
			      "isa-debug-exit,iobase=0xf4,iosize=4",
			      "-drive",
			      NULL,
			      NULL};
	struct child *child;
	int status = -1;
	char sector[512];

	place_make(&place, "");
	g_assert_cmpint(kvm_probe_sector_end - kvm_probe_sector, ==, sizeof sector);
	memcpy(sector, kvm_probe_sector, sizeof sector);
	sector[kvm_probe_long_at] = (char)wants_long;
	g_assert_true(g_file_set_contents(place.device, sector, sizeof sector, NULL));
	parts = g_strsplit(place.device, ",", -1);
	path = g_strjoinv(",,", parts);
	drive = g_strdup_printf("file=%s,format=raw,if=ide", path);
	argv[15] = drive;
	child = child_run(place.loop, argv, 60000, status_take, &status);
	ev_run(place.loop, 0);
	child_free(child);
	g_assert_true(WIFEXITED(status));
	place_remove(&place);
	return WEXITSTATUS(status);
}

static void
the_boot_sector_answers_under_tcg(void)
{
	g_assert_cmpint(sector_run(FALSE, "qemu64"), ==, 85);
	g_assert_cmpint(sector_run(FALSE, "pentium3"), ==, 85);
}

static void
long_mode_is_seen_where_it_is(void)
{
	g_assert_cmpint(sector_run(TRUE, "qemu64"), ==, 85);
	g_assert_cmpint(sector_run(TRUE, "pentium3"), ==, 0); /* it has none */
}

static void
exit_status_85_is_a_yes(void)
{
	struct place place;
	g_autofree char *arguments = NULL;

	place_make(&place, "exit 85");
	expect(&place, place.emulator, place.device, TRUE, "KVM runs 32-bit guests here");
	g_assert_true(g_file_get_contents(place.log, &arguments, NULL, NULL));
	g_assert_nonnull(strstr(arguments, "-accel kvm "));
	g_assert_nonnull(strstr(arguments, "/accelerator,, ")); /* the comma in the folder's name */
	place_remove(&place);
}

static void
the_emulator_is_given_the_boot_sector(void)
{
	struct place place;

	/* the last argument is file=PATH,format=raw,if=ide */
	place_make(&place, "for last; do :; done; path=${last#file=}; path=${path%,format=*}\n"
			   "test $(wc -c < \"$(echo \"$path\" | sed s/,,/,/)\") = 512 && exit 85");
	expect(&place, place.emulator, place.device, TRUE, "KVM runs 32-bit guests here");
	place_remove(&place);
}

/* Each kind of guest has its own sector, and its own answer. */
static void
a_64_bit_guest_is_probed_by_itself(void)
{
	struct place place;
	struct answer answer = {0};

	place_make(&place, "for last; do :; done; path=${last#file=}; path=${path%,format=*}\n"
			   "sum=$(md5sum < \"$(echo \"$path\" | sed s/,,/,/)\")\n"
			   "test -e \"$0.sum\" || { echo \"$sum\" > \"$0.sum\"; exit 85; }\n"
			   "test \"$sum\" != \"$(cat \"$0.sum\")\"");
	expect(&place, place.emulator, place.device, TRUE, "KVM runs 32-bit guests here");
	kvm_probe_device(place.loop, KVM_GUEST_64, place.emulator, place.directory, place.device,
			 NULL, answer_take, &answer);
	ev_run(place.loop, 0);
	g_assert_false(answer.usable);
	g_assert_cmpstr(answer.why, ==,
			"KVM does not run 64-bit guests here (the probe exited with status 0)");
	g_free(answer.why);
	expect(&place, place.emulator, place.device, TRUE, "(remembered in ");
	g_assert_cmpuint(runs(&place), ==, 2);
	place_remove(&place);
}

static void
any_other_end_is_a_no(void)
{
	struct place place;

	place_make(&place, "exit 0"); /* a triple fault under -no-reboot */
	expect(&place, place.emulator, place.device, FALSE,
	       "does not run 32-bit guests here (the probe exited with status 0)");
	emulator_make(&place, "kill -ABRT $$; exit 85");
	expect(&place, place.emulator, place.device, FALSE, "was killed by signal 6 (Aborted)");
	place_remove(&place);
}

static void
silence_is_a_no_after_the_limit(void)
{
	struct place place;
	gint64 start = g_get_monotonic_time();

	place_make(&place, "exec sleep 1000");
	expect(&place, place.emulator, place.device, FALSE,
	       "does not run 32-bit guests here (the probe was killed after 2 s)");
	g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
	place_remove(&place);
}

static void
an_answer_is_remembered_for_its_emulator(void)
{
	struct place place;
	g_autofree char *other = NULL;

	place_make(&place, "exit 85");
	other = g_build_filename(place.directory, "other", NULL);
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	expect(&place, place.emulator, place.device, TRUE, "(remembered in ");
	g_assert_cmpuint(runs(&place), ==, 1);

	g_assert_cmpint(symlink("emulator", other), ==,
			0); /* another path, with an answer of its own */
	expect(&place, other, place.device, TRUE, "guests here");
	g_assert_cmpuint(runs(&place), ==, 2);
	expect(&place, place.emulator, place.device, TRUE, "(remembered in ");
	expect(&place, other, place.device, TRUE, "(remembered in ");
	g_assert_cmpuint(runs(&place), ==, 2);

	emulator_make(&place, "exit 0 # an update, of another size");
	expect(&place, place.emulator, place.device, FALSE, "status 0");
	expect(&place, place.emulator, place.device, FALSE, "(remembered in ");
	g_assert_cmpuint(runs(&place), ==, 3);
	place_remove(&place);
}

static void
an_answer_of_another_boot_or_device_is_forgotten(void)
{
	struct place place;
	g_autofree char *memory = NULL, *text = NULL;

	place_make(&place, "exit 85");
	memory = g_build_filename(place.directory, "kvm-probe", NULL);
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	g_assert_true(g_file_get_contents(memory, &text, NULL, NULL));
	text[0] = text[0] == '0' ? '1' : '0'; /* the boot id comes first */
	g_assert_true(g_file_set_contents(memory, text, -1, NULL));
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	g_assert_cmpuint(runs(&place), ==, 2);
	g_free(g_steal_pointer(&text));
	g_assert_true(g_file_get_contents(memory, &text, NULL, NULL));
	g_assert_null(
	    strchr(strchr(text, '\n') + 1, '\n')); /* one line: the other boot's is dropped */
	g_assert_cmpint(chmod(place.device, 0640), ==, 0); /* changes its time */
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	g_assert_cmpuint(runs(&place), ==, 3);
	place_remove(&place);
}

static void
a_garbled_memory_costs_only_a_probe(void)
{
	struct place place;
	g_autofree char *memory = NULL;

	place_make(&place, "exit 85");
	memory = g_build_filename(place.directory, "kvm-probe", NULL);
	g_assert_true(g_file_set_contents(memory, "\xff\t\t\n\n\t\n", 7, NULL));
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	g_assert_cmpuint(runs(&place), ==, 1);
	expect(&place, place.emulator, place.device, TRUE, "(remembered in ");
	place_remove(&place);
}

static void
what_qemu_complains_about_is_told_and_not_remembered(void)
{
	struct place place;

	place_make(&place, "echo 'failed to initialize kvm: Cannot allocate memory' >&2; exit 1");
	expect(&place, place.emulator, place.device, FALSE,
	       "cannot use KVM: failed to initialize kvm");
	expect(&place, place.emulator, place.device, FALSE, "Cannot allocate memory");
	g_assert_cmpuint(runs(&place), ==, 2);
	place_remove(&place);
}

static void
a_missing_emulator_is_told_and_not_remembered(void)
{
	struct place place;

	place_make(&place, "exit 85");
	expect(&place, "no-such-emulator", place.device, FALSE,
	       "the emulator no-such-emulator is not there");
	g_assert_cmpuint(files_with(&place, "kvm-probe"), ==, 0);
	place_remove(&place);
}

static void
a_missing_device_is_told(void)
{
	struct place place;

	place_make(&place, "exit 85");
	expect(&place, place.emulator, "/nowhere/kvm", FALSE,
	       "/nowhere/kvm: No such file or directory; load the module");
	g_assert_cmpuint(runs(&place), ==, 0);
	place_remove(&place);
}

static void
a_forbidden_device_is_told_with_the_group(void)
{
	struct place place;
	gboolean root = geteuid() == 0;

	place_make(&place, "exit 85");
	g_assert_cmpint(chmod(place.directory, 0755), ==, 0);
	g_assert_cmpint(chmod(place.emulator, 0755), ==, 0);
	g_assert_cmpint(chmod(place.device, 0), ==, 0);
	if (root) /* may open everything: be nobody for a moment */
		g_assert_cmpint(seteuid(65534), ==, 0);
	expect(&place, place.emulator, place.device, FALSE,
	       "device: Permission denied; add the user to the group kvm");
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	place_remove(&place);
}

static void
a_state_directory_that_cannot_be_written_is_told(void)
{
	struct place place;
	struct answer answer = {0};

	place_make(&place, "exit 85");
	kvm_probe_device(place.loop, KVM_GUEST_32, place.emulator, "/proc/self/nowhere",
			 place.device, NULL, answer_take, &answer);
	ev_run(place.loop, 0);
	g_assert_false(answer.usable);
	g_assert_nonnull(strstr(answer.why, "cannot write its boot sector in /proc/self/nowhere"));
	g_free(answer.why);
	place_remove(&place);
}

static void
a_killed_daemons_boot_sector_is_removed(void)
{
	struct place place;
	g_autofree char *old = NULL;
	struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};

	place_make(&place, "exit 85");
	old = g_build_filename(place.directory, "kvm-probe.sector-AbCdEf", NULL);
	g_assert_true(g_file_set_contents(old, "", 0, NULL));
	g_assert_cmpint(utimensat(AT_FDCWD, old, times, 0), ==, 0);
	expect(&place, place.emulator, place.device, TRUE, "guests here");
	g_assert_false(g_file_test(old, G_FILE_TEST_EXISTS));
	place_remove(&place);
}

static void
a_freed_probe_is_silent_and_leaves_nothing(void)
{
	struct place place;
	struct answer answer = {0};

	place_make(&place, "exec sleep 1000");
	kvm_probe_free(kvm_probe_device(place.loop, KVM_GUEST_32, place.emulator, place.directory,
					place.device, NULL, answer_take, &answer));
	ev_run(place.loop, 0);
	g_assert_cmpint(answer.calls, ==, 0);
	kvm_probe_free(NULL);
	place_remove(&place);
}

/* The answer depends on the machine. But on each there is one in time, and a second probe returns
 * the same. */
static void
this_machine_gets_an_answer_in_time(void)
{
	struct place place;
	struct answer first = {0}, second = {0};
	gint64 start = g_get_monotonic_time();

	place_make(&place, "");
	kvm_probe_new(place.loop, KVM_GUEST_32, "qemu-system-x86_64", place.directory, NULL,
		      answer_take, &first);
	ev_run(place.loop, 0);
	g_assert_cmpint(g_get_monotonic_time() - start, <, (KVM_PROBE_LIMIT + 2000) * 1000);
	g_test_message("%s", first.why);
	kvm_probe_new(place.loop, KVM_GUEST_32, "qemu-system-x86_64", place.directory, NULL,
		      answer_take, &second);
	ev_run(place.loop, 0);
	g_assert_cmpint(first.calls, ==, 1);
	g_assert_cmpint(second.calls, ==, 1);
	g_assert_cmpint(first.usable, ==, second.usable);
	g_assert_true(g_str_has_prefix(second.why, first.why));
	g_free(first.why);
	g_free(second.why);
	place_remove(&place);
}

#else

static void
a_host_that_is_not_x86_is_told(void)
{
	struct place place;

	place_make(&place, "exit 85");
	expect(&place, place.emulator, place.device, FALSE, "not an x86 host");
	place_remove(&place);
}

#endif

#define TEST(name, function) g_test_add_func("/accelerator/" name, function)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#if defined(__x86_64__) || defined(__i386__)
	TEST("the-boot-sector-answers-under-tcg", the_boot_sector_answers_under_tcg);
	TEST("long-mode-is-seen-where-it-is", long_mode_is_seen_where_it_is);
	TEST("exit-status-85-is-a-yes", exit_status_85_is_a_yes);
	TEST("a-64-bit-guest-is-probed-by-itself", a_64_bit_guest_is_probed_by_itself);
	TEST("the-emulator-is-given-the-boot-sector", the_emulator_is_given_the_boot_sector);
	TEST("any-other-end-is-a-no", any_other_end_is_a_no);
	TEST("silence-is-a-no-after-the-limit", silence_is_a_no_after_the_limit);
	TEST("an-answer-is-remembered-for-its-emulator", an_answer_is_remembered_for_its_emulator);
	TEST("an-answer-of-another-boot-or-device-is-forgotten",
	     an_answer_of_another_boot_or_device_is_forgotten);
	TEST("a-garbled-memory-costs-only-a-probe", a_garbled_memory_costs_only_a_probe);
	TEST("what-qemu-complains-about-is-told-and-not-remembered",
	     what_qemu_complains_about_is_told_and_not_remembered);
	TEST("a-missing-emulator-is-told-and-not-remembered",
	     a_missing_emulator_is_told_and_not_remembered);
	TEST("a-missing-device-is-told", a_missing_device_is_told);
	TEST("a-forbidden-device-is-told-with-the-group",
	     a_forbidden_device_is_told_with_the_group);
	TEST("a-state-directory-that-cannot-be-written-is-told",
	     a_state_directory_that_cannot_be_written_is_told);
	TEST("a-killed-daemons-boot-sector-is-removed", a_killed_daemons_boot_sector_is_removed);
	TEST("a-freed-probe-is-silent-and-leaves-nothing",
	     a_freed_probe_is_silent_and_leaves_nothing);
	TEST("this-machine-gets-an-answer-in-time", this_machine_gets_an_answer_in_time);
#else
	TEST("a-host-that-is-not-x86-is-told", a_host_that_is_not_x86_is_told);
#endif
	return g_test_run();
}
