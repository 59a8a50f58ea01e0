/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The steps of a save, and what is left when one of them fails. libvirt's own test driver has a
 * domain that runs; QEMU's monitor is replaced here.
 */
#include "childhurdd/qemu/warm.h"

#include <glib/gstdio.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define DRIVER	   "test:///default"
#define WAIT_LIMIT 20 /* s */

/* --- QEMU's monitor --- */

static GMutex lock;
static GString *commands;   /* each with a semicolon; under lock */
static const char *refused; /* a command that begins like this fails; under lock */

int
virDomainQemuMonitorCommand(virDomainPtr domain, const char *command, char **answer,
			    unsigned int flags)
{
	g_mutex_lock(&lock);
	g_string_append_printf(commands, "%s;", command);
	const char *words =
	    refused && g_str_has_prefix(command, refused) ? "Error: broken\r\n" : "";
	*answer = strdup(strcmp(command, "info version") ? words : "7.2.22Debian\r\n");
	g_mutex_unlock(&lock);
	return 0;
}

/* --- a guest's folder, and a process that stands for its QEMU --- */

static struct warm_place place;
static struct hypervisor_qemu running; /* the driver's domain */

struct bed {
	char *folder, *image, *overlay, *emulator, *record, *base;
	struct config_guest guest;
	struct domain_spec domain;
	struct warm_spec spec;
	struct hypervisor_qemu qemu;
	GPid process;
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
process_end(struct bed *bed)
{
	kill(bed->process, SIGKILL);
	waitpid(bed->process, NULL, 0);
}

static void
process_begin(struct bed *bed)
{
	char *argv[] = {(char *)"sleep", (char *)"60", NULL};
	g_assert_true(g_spawn_async(NULL, argv, NULL,
				    G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
				    &bed->process, NULL));
	bed->qemu.pid = bed->process;
}

static void
bed_begin(struct bed *bed, const void *data)
{
	static char *no_options[] = {NULL};
	bed->folder = g_dir_make_tmp("childhurd-warm-XXXXXX", NULL);
	bed->image = file_in(bed, "image", "an image");
	bed->overlay = file_in(bed, "disk.qcow2", "an overlay");
	bed->emulator = file_in(bed, "qemu", "an emulator");
	bed->record = warm_record_path(bed->overlay);
	bed->base = file_in(bed, "disk.base", NULL);
	bed->guest = (struct config_guest){.name = (char *)"a",
					   .listen_address = (char *)"127.0.0.1",
					   .image = bed->image,
					   .kernel_arguments = (char *)"",
					   .memory_size = 1 << 20,
					   .cpus = 1,
					   .machine = (char *)"pc",
					   .network_device = (char *)"rtl8139",
					   .qemu_options = no_options,
					   .modules = g_ptr_array_new(),
					   .forwards = g_ptr_array_new()};
	bed->domain = (struct domain_spec){.guest = &bed->guest,
					   .uuid = running.uuid,
					   .emulator = bed->emulator,
					   .disk = bed->overlay,
					   .console_log = "/state/a/console.log"};
	bed->spec = (struct warm_spec){.domain = &bed->domain, .secrets = "secrets"};
	bed->qemu = running;
	g_string_truncate(commands, 0);
	refused = NULL;
	process_begin(bed);
}

static void
bed_end(struct bed *bed, const void *data)
{
	char *const paths[] = {bed->image, bed->overlay, bed->emulator, bed->record, bed->base};
	process_end(bed);
	for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_remove(paths[i]);
		g_free(paths[i]);
	}
	g_assert_cmpint(g_rmdir(bed->folder), ==, 0);
	g_free(bed->folder);
	g_ptr_array_unref(bed->guest.modules);
	g_ptr_array_unref(bed->guest.forwards);
}

#define BED_TEST(name) static void name(struct bed *bed, const void *data)

/* --- jobs --- */

/* The end of the last job: an error, a tag, why there is none; NULL: none of them. */
static char *ended;

static void
end_with(struct warm_job *job, const char *text)
{
	g_free(ended);
	ended = g_strdup(text);
	warm_job_free(job);
	ev_break(place.loop, EVBREAK_ALL);
}

static void
on_done(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	end_with(job, error ? error->message : NULL);
}

static void
on_found(struct warm_job *job, const struct warm_record *record, const char *why, void *data)
{
	end_with(job, record ? record->tag : why);
}

static void
on_late(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	g_error("not within %d s", WAIT_LIMIT);
}

static const char *
run(void)
{
	ev_timer late;
	ev_timer_init(&late, on_late, WAIT_LIMIT, 0);
	ev_timer_start(place.loop, &late);
	ev_run(place.loop, 0);
	ev_timer_stop(place.loop, &late);
	return ended;
}

static const char *
find(struct bed *bed)
{
	warm_find(&place, &bed->spec, on_found, NULL);
	return run();
}

/* A process' start is known to some ms: one that begins that soon after its files seems older. */
static const char *
save(struct bed *bed)
{
	for (;;) {
		warm_save(&place, &bed->spec, &bed->qemu, FALSE, on_done, NULL);
		if (!g_strcmp0(run(), NULL) || !strstr(ended, "has changed since"))
			return ended;
		process_end(bed);
		process_begin(bed);
	}
}

static void
assert_commands(const char *expected)
{
	g_mutex_lock(&lock);
	g_assert_cmpstr(commands->str, ==, expected);
	g_string_truncate(commands, 0);
	g_mutex_unlock(&lock);
}

BED_TEST(test_steps)
{
	g_assert_cmpstr(find(bed), ==, NULL);
	g_assert_cmpstr(save(bed), ==, NULL);
	assert_commands("info version;savevm childhurd-a;delvm childhurd-b;");
	g_assert_cmpstr(find(bed), ==, "childhurd-a");
	g_assert_cmpstr(save(bed), ==, NULL); /* never under the name of the one that is there */
	assert_commands("info version;savevm childhurd-b;delvm childhurd-a;");
	g_assert_cmpstr(find(bed), ==, "childhurd-b");
	warm_consume(&place, bed->overlay, FALSE, on_done, NULL);
	g_assert_cmpstr(run(), ==, NULL);
	g_assert_cmpstr(find(bed), ==, NULL);
}

BED_TEST(test_failures)
{
	g_assert_cmpstr(save(bed), ==, NULL);
	refused = "savevm";
	g_assert_cmpstr(save(bed), ==, "QEMU's savevm: broken");
	g_assert_cmpstr(find(bed), ==, "childhurd-a");
	refused = "delvm"; /* the next save replaces what it leaves */
	g_assert_cmpstr(save(bed), ==, NULL);
	g_assert_cmpstr(find(bed), ==, "childhurd-b");
	refused = NULL;
	g_string_truncate(commands, 0);
	bed->guest.memory_size = G_MAXINT64;
	bed->qemu.pid = 0;
	warm_save(&place, &bed->spec, &bed->qemu, FALSE, on_done, NULL);
	g_assert_nonnull(strstr(run(), "no room for a warm state"));
	assert_commands(""); /* nothing was begun */
}

/* The guest runs from the file that is no longer there. */
BED_TEST(test_changed_since)
{
	g_assert_cmpstr(save(bed), ==, NULL);
	g_string_truncate(commands, 0);
	g_assert_true(g_file_set_contents(bed->emulator, "a newer one", -1, NULL));
	warm_save(&place, &bed->spec, &bed->qemu, FALSE, on_done, NULL);
	g_assert_cmpstr(run(), ==,
			"its image, kernel or emulator has changed since its QEMU started; after "
			"the next boot it is saved");
	assert_commands("");
}

BED_TEST(test_misfit)
{
	g_assert_cmpstr(save(bed), ==, NULL);
	bed->spec.secrets = "other secrets";
	g_assert_cmpstr(find(bed), ==,
			"what is put into the guest is another than when it was saved");
	bed->spec.secrets = "secrets";
	g_assert_cmpstr(find(bed), ==, NULL); /* it was thrown away */
	g_assert_cmpstr(save(bed), ==, NULL);
	g_remove(bed->overlay);
	g_assert_cmpstr(find(bed), ==, "its disk is gone");
	g_assert_true(g_file_set_contents(bed->record, "tag childhurd-a\n", -1, NULL));
	g_assert_cmpstr(find(bed), ==, "its record is damaged");
	g_assert_cmpstr(find(bed), ==, NULL);
}

BED_TEST(test_load)
{
	struct warm_record record = {.tag = (char *)"childhurd-a"};
	record.facts[WARM_QEMU] = (char *)"7.2.21Debian";
	warm_load(&place, &bed->qemu, &record, on_done, NULL);
	g_assert_cmpstr(run(), ==, NULL);
	assert_commands("loadvm childhurd-a;");
	refused = "loadvm";
	warm_load(&place, &bed->qemu, &record, on_done, NULL);
	g_assert_cmpstr(run(), ==, "QEMU's loadvm: broken");
	warm_prove(&place, &bed->qemu, &record, on_done, NULL);
	g_assert_cmpstr(run(), ==,
			"QEMU's version is another: it was 7.2.21Debian, and is 7.2.22Debian");
}

static void
on_event(enum hypervisor_event event, const struct hypervisor_qemu *qemu, const char *detail,
	 void *data)
{
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_autofree char *folder = g_dir_make_tmp("warm-XXXXXX", NULL);
	g_autofree char *log = g_build_filename(folder, "libvirt.log", NULL);
	commands = g_string_new(NULL);
	place.loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(place.loop, 4), *files = tasks_new(place.loop, -1);
	place.lane = lane_new(files);
	place.hypervisor =
	    hypervisor_new(tasks, DRIVER, folder, folder, NULL, on_event, NULL, NULL);
	g_assert_nonnull(place.hypervisor);
	virConnectPtr connection = virConnectOpen(DRIVER);
	virDomainPtr domain = virDomainLookupByName(connection, "test");
	char uuid[VIR_UUID_STRING_BUFLEN];
	g_assert_cmpint(virDomainGetUUIDString(domain, uuid), ==, 0);
	running = (struct hypervisor_qemu){.uuid = uuid, .id = (int)virDomainGetID(domain)};
#define ADD(path, name) g_test_add(path, struct bed, NULL, bed_begin, name, bed_end)
	ADD("/warm/a-save-goes-by-its-steps", test_steps);
	ADD("/warm/a-save-that-fails-leaves-the-state-before-it", test_failures);
	ADD("/warm/a-guest-that-runs-from-older-files-is-not-saved", test_changed_since);
	ADD("/warm/what-does-not-fit-is-thrown-away-with-a-reason", test_misfit);
	ADD("/warm/a-load-and-a-proof-say-what-is-wrong", test_load);
	int status = g_test_run();
	lane_free(place.lane);
	tasks_finish(tasks);
	tasks_finish(files);
	virDomainFree(domain);
	virConnectClose(connection);
	ev_loop_destroy(place.loop);
	g_string_free(commands, TRUE);
	g_free(ended);
	remove(log);
	remove(folder);
	return status;
}
