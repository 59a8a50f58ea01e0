/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * warm FILE.ini GUEST SECRETS: the guest's QEMU and its warm state, with the daemon's own code and
 *no daemon. SECRETS stands for the digest of what is put into the guest. Reads commands from stdin,
 *one a line, and answers each with one line, "ok MS WORDS" or "error MS WHY":
 *
 *	boot             a new overlay, and a QEMU that boots from it
 *	find             is there a state? its snapshot's name, or why not
 *	start            a QEMU that starts from it
 *	adopt            the QEMU that an earlier run of this program has left, or the present one;
 *its process restored         clock and randomness after a load or a start, and the whole proof
 *	save, stay       save the state; stay: the guest stands still
 *	load             load it in the QEMU that runs
 *	look             how QEMU runs
 *	consume          there is no state any more
 *	end              end QEMU
 *	pauses           how many pauses were reported
 */
#include <stdio.h>
#include <string.h>

#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/folder.h"
#include "childhurdd/qemu/forwards.h"
#include "childhurdd/qemu/warm.h"
#include "childhurdd/system/own_folder.h"
#include "childhurdd/system/reaper.h"
#include "childhurdd/world/health.h"

static struct warm_place place;
static struct domain_spec domain;
static struct warm_spec spec;
static struct hypervisor_qemu qemu;
static struct warm_record known; /* what the last `find` found */
static gboolean closed;		 /* the guest has no port but the private one */
static struct qemu_user *user;
static int pauses;
static char *folder_of_keys;

/* The answer to the command that runs. */
static struct {
	gboolean failed;
	char *text;
} answer;

static void
answer_now(const GError *error, const char *text)
{
	answer.failed = error != NULL;
	g_free(answer.text);
	answer.text = g_strdup(error ? error->message : text);
	ev_break(place.loop, EVBREAK_ALL);
}

static void
on_event(enum hypervisor_event event, const struct hypervisor_qemu *which, const char *detail,
	 void *data)
{
	pauses += event == HYPERVISOR_PAUSED;
}

static void
on_call(const struct hypervisor_result *result, void *data)
{
	if (result->pid) {
		qemu.id = result->id;
		qemu.pid = result->pid;
	}
	answer_now(result->error, result->text ? result->text : "");
}

static void
on_disk(struct disk_job *job, const char *format, const GError *error, void *data)
{
	answer_now(error, "");
	disk_job_free(job);
}

static void
on_found(struct warm_job *job, const struct warm_record *record, const char *why, void *data)
{
	warm_record_clear(&known);
	if (record)
		warm_record_copy(&known, record);
	answer_now(NULL, record ? record->tag : why ? why : "none");
	warm_job_free(job);
}

static void
on_warm(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, took);
	answer_now(error, text);
	warm_job_free(job);
}

static void
on_list(const struct hypervisor_result *result, void *data)
{
	for (guint i = 0; result->domains && i < result->domains->len; i++) {
		const struct hypervisor_domain *found = g_ptr_array_index(result->domains, i);
		if (strcmp(found->qemu.uuid, qemu.uuid))
			continue;
		qemu.id = found->qemu.id;
		qemu.pid = found->qemu.pid;
	}
	g_autofree char *text = g_strdup_printf("%d", (int)qemu.pid);
	answer_now(result->error, text);
}

static void
on_open(struct forwards *forwards, const char *problem, void *data)
{
	forwards_free(forwards);
	closed = FALSE;
	if (problem)
		fprintf(stderr, "# %s\n", problem);
	health_ask(*(struct health **)data);
}

static void
on_health(enum event event, const char *text, gboolean impostor, void *data)
{
	if (event == EVENT_STIRRED && closed)
		forwards_open(place.hypervisor, domain.guest, &qemu, on_open, data);
	else if (event == EVENT_STIRRED)
		health_ask(*(struct health **)data);
	else if (event == EVENT_PROBE_OK)
		answer_now(NULL, "");
	else if (text)
		fprintf(stderr, "# %s\n", text);
}

/* Until the guest is proven to be ready. */
static void
prove(void)
{
	g_autofree char *key = g_build_filename(folder_of_keys, "key", NULL);
	g_autofree char *path = g_build_filename(folder_of_keys, "host_key.pub", NULL);
	g_autofree char *line = NULL;
	g_autoptr(GError) error = NULL;
	if (!g_file_get_contents(path, &line, NULL, &error)) {
		answer.failed = TRUE;
		answer.text = g_strdup(error->message);
		return;
	}
	char *host_keys[] = {g_strchomp(line), NULL};
	struct health *health = NULL;
	health = health_new(place.loop, domain.guest, qemu.pid, host_keys, key, on_health, &health);
	health_restored(health, closed ? domain.guest->secrets_port : domain.guest->ssh_port);
	ev_run(place.loop, 0);
	health_free(health);
}

static void
launch(const char *load)
{
	domain.load = load;
	g_autofree char *xml = domain_xml(&domain);
	hypervisor_start(place.hypervisor, domain.guest->name, domain.uuid, xml, on_call, NULL);
	domain.load = NULL;
}

static gboolean
command_run(const char *word)
{
	const struct config_guest *guest = domain.guest;
	const struct disk_spec disk = {.image = guest->image,
				       .format = guest->image_format,
				       .overlay = domain.disk,
				       .keep = guest->disk == CONFIG_DISK_PERSISTENT,
				       .user = user,
				       .lane = place.lane};
	if (!strcmp(word, "boot")) {
		disk_prepare(place.loop, &disk, on_disk, NULL);
		ev_run(place.loop, 0);
		if (answer.failed)
			return TRUE;
		launch(NULL);
	} else if (!strcmp(word, "find"))
		warm_find(&place, &spec, on_found, NULL);
	else if (!strcmp(word, "start")) {
		launch(known.tag);
		closed = TRUE;
		ev_run(place.loop, 0);
		if (answer.failed)
			return TRUE;
		warm_prove(&place, &qemu, &known, on_warm, NULL);
	} else if (!strcmp(word, "restored")) {
		prove();
		return TRUE;
	} else if (!strcmp(word, "adopt"))
		hypervisor_list(place.hypervisor, on_list, NULL);
	else if (!strcmp(word, "save") || !strcmp(word, "stay"))
		warm_save(&place, &spec, &qemu, !strcmp(word, "stay"), on_warm, NULL);
	else if (!strcmp(word, "load"))
		warm_load(&place, &qemu, &known, on_warm, NULL);
	else if (!strcmp(word, "consume"))
		warm_consume(&place, domain.disk, FALSE, on_warm, NULL);
	else if (!strcmp(word, "look"))
		hypervisor_look(place.hypervisor, &qemu, on_call, NULL);
	else if (!strcmp(word, "end"))
		hypervisor_destroy(place.hypervisor, &qemu, on_call, NULL);
	else
		return FALSE;
	ev_run(place.loop, 0);
	return TRUE;
}

int
main(int argc, char **argv)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	struct config *config = argc == 4 ? config_load(argv[1], errors) : NULL;
	const struct config_guest *guest = config ? config_find_guest(config, argv[2]) : NULL;
	if (!guest) {
		fprintf(stderr, "usage: warm FILE.ini GUEST SECRETS; %s\n",
			errors->len ? (char *)errors->pdata[0] : "no such guest");
		return 2;
	}
	folder_of_keys = g_path_get_dirname(argv[1]);
	place.loop = ev_loop_new(EVFLAG_AUTO);
	reaper_start(place.loop);
	g_autofree char *folder = g_build_filename(config->state_directory, guest->name, NULL);
	g_autofree char *overlay = g_build_filename(folder, "disk.qcow2", NULL);
	g_autofree char *console = g_build_filename(folder, "console.log", NULL);
	g_autofree char *emulator = g_find_program_in_path(guest->emulator);
	g_autofree char *uuid = domain_uuid(config->state_directory, guest->name);
	struct tasks *tasks = tasks_new(place.loop, -1);
	place.lane = lane_new(tasks_new(place.loop, -1));
	user = qemu_user_find(config->qemu_user, &error);
	if (user && folder_make(config->state_directory, NULL, &error) &&
	    folder_make(config->runtime_directory, NULL, &error) &&
	    guest_folder_make(folder, user, &error))
		place.hypervisor =
		    hypervisor_new(tasks, config->uri, config->state_directory,
				   config->runtime_directory, user, on_event, NULL, &error);
	if (!place.hypervisor || !guest_folder_lay_out(console, user)) {
		fprintf(stderr, "warm: %s\n", error ? error->message : "no console's log");
		return 1;
	}
	domain = (struct domain_spec){.guest = guest,
				      .uuid = uuid,
				      .emulator = emulator,
				      .disk = overlay,
				      .console_log = console};
	spec = (struct warm_spec){.domain = &domain, .secrets = argv[3]};
	qemu.uuid = uuid;

	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		gint64 began = g_get_monotonic_time();
		line[strcspn(line, "\n")] = '\0';
		answer.failed = FALSE;
		if (!strcmp(line, "pauses")) {
			g_free(answer.text);
			answer.text = g_strdup_printf("%d", pauses);
		} else if (!command_run(line)) {
			answer.failed = TRUE;
		}
		printf("%s %" G_GINT64_FORMAT " %s\n", answer.failed ? "error" : "ok",
		       (g_get_monotonic_time() - began) / 1000, answer.text);
		fflush(stdout);
	}
	hypervisor_leave(place.hypervisor);
	return 0;
}
