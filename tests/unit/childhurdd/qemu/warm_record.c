/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The record of a warm state: kept whole, and each thing that a state depends on throws it away. */
#include "childhurdd/qemu/warm_record.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

struct bed {
	char *folder, *image, *other, *overlay, *emulator, *kernel, *record, *base;
	struct config_guest guest;
	struct domain_spec domain;
	struct warm_spec spec;
};

static char *
file_in(const struct bed *bed, const char *name, const char *content)
{
	char *path = g_build_filename(bed->folder, name, NULL);
	if (content)
		g_assert_true(g_file_set_contents(path, content, -1, NULL));
	return path;
}

static void
bed_begin(struct bed *bed, const void *data)
{
	static char *no_options[] = {NULL};
	bed->folder = g_dir_make_tmp("childhurd-warm-XXXXXX", NULL);
	bed->image = file_in(bed, "image", "an image");
	bed->other = file_in(bed, "other", "another image");
	bed->overlay = file_in(bed, "disk.qcow2", "an overlay");
	bed->emulator = file_in(bed, "qemu", "an emulator");
	bed->kernel = file_in(bed, "kernel", "a kernel");
	bed->record = warm_record_path(bed->overlay);
	bed->base = file_in(bed, "disk.base", NULL);
	bed->guest = (struct config_guest){.name = (char *)"a",
					   .listen_address = (char *)"127.0.0.1",
					   .ssh_port = 10022,
					   .image = bed->image,
					   .kernel_arguments = (char *)"",
					   .memory_size = 256 << 20,
					   .cpus = 1,
					   .machine = (char *)"pc",
					   .network_device = (char *)"rtl8139",
					   .qemu_options = no_options,
					   .modules = g_ptr_array_new(),
					   .forwards = g_ptr_array_new()};
	bed->domain = (struct domain_spec){.guest = &bed->guest,
					   .uuid = "d7b3b1a6-0000-5000-a000-000000000001",
					   .emulator = bed->emulator,
					   .disk = bed->overlay,
					   .console_log = "/state/a/console.log",
					   .secrets_guest_port = 9};
	bed->spec = (struct warm_spec){.domain = &bed->domain, .secrets = "secrets of then"};
}

static void
bed_end(struct bed *bed, const void *data)
{
	char *const paths[] = {bed->image,  bed->other,	 bed->overlay, bed->emulator,
			       bed->kernel, bed->record, bed->base};
	for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_remove(paths[i]);
		g_free(paths[i]);
	}
	g_assert_cmpint(g_rmdir(bed->folder), ==, 0); /* nothing else was left in it */
	g_free(bed->folder);
	g_ptr_array_unref(bed->guest.modules);
	g_ptr_array_unref(bed->guest.forwards);
}

#define BED_TEST(name) static void name(struct bed *bed, const void *data)

static struct warm_record
look(const struct bed *bed)
{
	struct warm_record now;
	gint64 changed;
	g_autoptr(GError) error = NULL;
	struct warm_subject *subject = warm_subject_new(&bed->spec);
	gboolean good = warm_record_look(subject, &now, &changed, &error);
	g_assert_no_error(error);
	g_assert_true(good);
	g_assert_cmpint(changed, >, 0);
	g_rc_box_release_full(subject, warm_subject_clear);
	return now;
}

/* As it is after a save. */
static struct warm_record
saved(const struct bed *bed)
{
	struct warm_record record = look(bed);
	record.tag = g_strdup("childhurd-a");
	record.saved = 1795887533;
	record.facts[WARM_QEMU] = g_strdup("7.2.22");
	return record;
}

/* Why it does not fit what is now; "": it does. Caller frees. */
static char *
misfit(const struct bed *bed, const struct warm_record *record)
{
	char *why;
	struct warm_record now = look(bed);
	gboolean fits = warm_fits(record, &now, &why);
	g_assert_true(fits == (why == NULL));
	warm_record_clear(&now);
	return why ? why : g_strdup("");
}

#define assert_misfit(bed, record, expected)                                                       \
	do {                                                                                       \
		g_autofree char *why = misfit(bed, record);                                        \
		g_assert_cmpstr(why, ==, expected);                                                \
	} while (0)

BED_TEST(test_whole)
{
	struct warm_record record = saved(bed), read;
	struct stat st;
	g_autoptr(GError) error = NULL;
	g_assert_false(warm_record_read(bed->record, &read));
	warm_record_write(bed->record, &record, &error);
	g_assert_no_error(error);
	g_assert_cmpint(stat(bed->record, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	g_assert_true(warm_record_read(bed->record, &read));
	g_assert_cmpstr(read.tag, ==, "childhurd-a");
	g_assert_cmpint(read.saved, ==, record.saved);
	for (int i = 0; i < N_WARM_FACTS; i++)
		g_assert_cmpstr(read.facts[i], ==, record.facts[i]);
	assert_misfit(bed, &read, "");
	warm_record_clear(&read);
	warm_record_clear(&record);
	g_assert_true(warm_record_remove(bed->record, &error));
	g_assert_false(warm_record_read(bed->record, &read));
	g_assert_true(warm_record_remove(bed->record, &error)); /* once more */
}

/* Cut at any place, it is none. */
BED_TEST(test_damaged)
{
	struct warm_record record = saved(bed), read;
	g_autofree char *text = NULL;
	gsize length;
	g_assert_true(warm_record_write(bed->record, &record, NULL));
	g_assert_true(g_file_get_contents(bed->record, &text, &length, NULL));
	for (gsize cut = 0; cut < length - 1; cut++) {
		g_assert_true(g_file_set_contents(bed->record, text, (gssize)cut, NULL));
		g_assert_false(warm_record_read(bed->record, &read));
		warm_record_clear(&read);
	}
	warm_record_clear(&record);
}

BED_TEST(test_machine)
{
	struct warm_record record = saved(bed);
	struct config_forward forward = {NULL, 8080, 80};
	bed->guest.ssh_port = 10023;
	bed->guest.listen_address = (char *)"0.0.0.0";
	g_ptr_array_add(bed->guest.forwards, &forward);
	bed->domain.load = "childhurd-a";
	assert_misfit(bed, &record, ""); /* ports are those of the QEMU that loads it */
	bed->guest.memory_size *= 2;
	assert_misfit(bed, &record,
		      "the machine's configuration is another than when it was saved");
	bed->guest.memory_size /= 2;
	bed->spec.secrets = "secrets of now";
	assert_misfit(bed, &record, "what is put into the guest is another than when it was saved");
	bed->spec.secrets = "secrets of then";
	bed->spec.prepare = "guix pull";
	assert_misfit(bed, &record, "prepare-command is another than when it was saved");
	warm_record_clear(&record);
}

BED_TEST(test_files)
{
	struct warm_record record = saved(bed);
	bed->guest.image = bed->other;
	assert_misfit(bed, &record, "the image is another than when it was saved");
	bed->guest.image = bed->image;
	assert_misfit(bed, &record, "");
	/* not all of it is read, so a time that is another counts as content that is */
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
	g_assert_cmpint(utimensat(AT_FDCWD, bed->image, times, 0), ==, 0);
	assert_misfit(bed, &record, "the image is another than when it was saved");
	warm_record_clear(&record);
	record = saved(bed);
	bed->guest.kernel = bed->kernel;
	assert_misfit(bed, &record,
		      "the machine's configuration is another than when it was saved");
	warm_record_clear(&record);
	record = saved(bed);
	g_assert_true(g_file_set_contents(bed->kernel, "another kernel", -1, NULL));
	assert_misfit(bed, &record, "kernel or modules is another than when it was saved");
	g_assert_true(g_file_set_contents(bed->emulator, "another emulator", -1, NULL));
	g_autofree char *why = misfit(bed, &record);
	g_assert_true(g_str_has_prefix(why, "the emulator is another: it was "));
	warm_record_clear(&record);
}

BED_TEST(test_host)
{
	struct warm_record record = saved(bed);
	g_free(record.facts[WARM_BOOT]);
	record.facts[WARM_BOOT] = g_strdup("an earlier boot");
	assert_misfit(bed, &record, "this host's boot is another than when it was saved");
	warm_record_clear(&record);
	bed->guest.disk = CONFIG_DISK_PERSISTENT; /* its disk is synced */
	record = saved(bed);
	g_assert_cmpstr(record.facts[WARM_BOOT], ==, "");
	g_assert_cmpstr(record.facts[WARM_CPU], ==, "");
	warm_record_clear(&record);
	bed->domain.kvm = TRUE;
	record = saved(bed);
	g_assert_cmpuint(strlen(record.facts[WARM_CPU]), >, 0);
	warm_record_clear(&record);
}

BED_TEST(test_qemu)
{
	struct warm_record record = saved(bed), now = {0};
	g_autofree char *why = NULL;
	now.facts[WARM_QEMU] = g_strdup("8.0");
	g_assert_false(warm_fits(&record, &now, &why));
	g_assert_cmpstr(why, ==, "QEMU's version is another: it was 7.2.22, and is 8.0");
	warm_record_clear(&now);
	warm_record_clear(&record);
}

BED_TEST(test_missing)
{
	struct warm_record now;
	gint64 changed;
	g_autoptr(GError) error = NULL;
	g_remove(bed->image);
	struct warm_subject *subject = warm_subject_new(&bed->spec);
	g_assert_false(warm_record_look(subject, &now, &changed, &error));
	g_assert_nonnull(strstr(error->message, bed->image));
	warm_record_clear(&now);
	g_rc_box_release_full(subject, warm_subject_clear);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) g_test_add(path, struct bed, NULL, bed_begin, name, bed_end)
	ADD("/warm-record/what-is-written-is-read", test_whole);
	ADD("/warm-record/a-part-of-a-record-is-none", test_damaged);
	ADD("/warm-record/another-machine-or-other-secrets-do-not-fit", test_machine);
	ADD("/warm-record/other-files-do-not-fit", test_files);
	ADD("/warm-record/another-boot-or-processor-counts-where-it-matters", test_host);
	ADD("/warm-record/another-version-of-qemu-does-not-fit", test_qemu);
	ADD("/warm-record/a-file-that-is-missing-is-named", test_missing);
	return g_test_run();
}
