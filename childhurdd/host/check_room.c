/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests take their memory and disk bit by bit, so a lack would show only in the middle of a build.
 * This adds up what all guests together may take. A lack does not prevent a start: a guest waits
 * for memory, may never fill its disk, and boots where it has no warm state.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/hird/starts.h"
#include "childhurdd/host/check_parts.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/image.h"
#include "childhurdd/qemu/warm_record.h"
#include "childhurdd/system/descriptors.h"
#include "childhurdd/system/process.h"
#include "config/base/free_space.h"

void
findings_add(const struct findings *findings, const char *result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	findings->add(result, text, findings->data);
}

static gboolean
has_uuid(pid_t pid, char **words, void *uuid)
{
	return g_strcmp0(process_option(words, "-uuid"), uuid) == 0;
}

pid_t
hostcheck_qemu(const struct config *config, const struct config_guest *guest)
{
	g_autofree char *uuid = domain_uuid(config->state_directory, guest->name);
	return process_find(PROCESS_ANYBODY, has_uuid, uuid);
}

/* Memory that the guests' QEMUs use, found in one pass over all processes. */
struct taken {
	GHashTable *uuids; /* of the guests */
	gint64 bytes;
};

static gboolean
add_taken(pid_t pid, char **words, void *data)
{
	struct taken *taken = data;
	const char *uuid = process_option(words, "-uuid");
	if (!uuid || !g_hash_table_contains(taken->uuids, uuid))
		return FALSE;
	int statm = process_statm(pid);
	if (statm < 0)
		return FALSE;
	taken->bytes += process_memory(statm);
	close(statm);
	return FALSE;
}

static gint64
memory_taken(const struct config *config)
{
	struct taken taken = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), 0};
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		g_hash_table_add(taken.uuids, domain_uuid(config->state_directory, guest->name));
	}
	process_find(PROCESS_ANYBODY, add_taken, &taken);
	g_hash_table_unref(taken.uuids);
	return taken.bytes;
}

static void
check_memory(const struct config *config, const struct findings *findings)
{
	gint64 wanted = STARTS_MEMORY_RESERVE, free = starts_memory_host();
	gint64 all = (gint64)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		if (guest->memory_size + STARTS_MEMORY_RESERVE > all)
			findings_add(findings, "problem",
				     "%s: memory-size is %" G_GINT64_FORMAT
				     " MiB, more than the host has to give (%" G_GINT64_FORMAT
				     " MiB, of which 256 stay free): it is never started; make it "
				     "smaller",
				     guest->name, guest->memory_size >> 20, all >> 20);
		wanted += guest->memory_size;
	}
	if (free < 0)
		return;
	gint64 taken = memory_taken(config);
	const char *advice = wanted > all
				 ? "never all of them at a time; take fewer, or lower memory-size"
				 : "some wait until there is as much; end what else takes it";
	findings_add(findings, free + taken >= wanted ? "ok" : "note",
		     "memory: the guests may take %" G_GINT64_FORMAT
		     " MiB with what stays free for the host, and %" G_GINT64_FORMAT
		     " MiB are there for them%s%s",
		     wanted >> 20, (free + taken) >> 20, free + taken >= wanted ? "" : ": ",
		     free + taken >= wanted ? "" : advice);
}

/* Does the guest keep a warm state without an operator's help? A persistent one is saved only when
 * it falls asleep. */
static gboolean
keeps_state(const struct config_guest *guest)
{
	return guest->warm_start == CONFIG_WARM_START_AUTO && guest->image &&
	       (guest->disk == CONFIG_DISK_EPHEMERAL || guest->idle_timeout ||
		guest->autostart == CONFIG_AUTOSTART_ASLEEP);
}

static char *
overlay_of(const struct config *config, const struct config_guest *guest)
{
	return g_build_filename(config->state_directory, guest->name, "disk.qcow2", NULL);
}

static gboolean
has_state(const struct config *config, const struct config_guest *guest)
{
	g_autofree char *overlay = overlay_of(config, guest);
	g_autofree char *record = warm_record_path(overlay);
	return access(record, F_OK) == 0;
}

/* Bytes that the guest's overlay may still grow by, without warm states. One that it has counts as
 * large as it may be. */
static gint64
growth(const struct config *config, const struct config_guest *guest)
{
	struct image image;
	struct stat st;
	g_autofree char *overlay = overlay_of(config, guest);
	if (!guest->image || !image_probe(guest->image, guest->image_format, &image, NULL))
		return 0;
	gint64 size = MAX(guest->disk_size, image.size);
	image_clear(&image);
	gint64 has = stat(overlay, &st) == 0 ? (gint64)st.st_blocks * 512 : 0;
	if (has_state(config, guest))
		has = MAX(0, has - guest->memory_size);
	return MAX(0, size - has);
}

/* Bytes that are free for the state directory; -1: unknown. */
static gint64
disk_free(const struct config *config)
{
	g_autofree char *folder = g_strdup(config->state_directory);
	gint64 free;
	/* one that does not exist yet is made in the folder above it */
	while ((free = free_space(folder)) < 0 && strcmp(folder, "/") && strcmp(folder, ".")) {
		char *parent = g_path_get_dirname(folder);
		g_free(folder);
		folder = parent;
	}
	return free;
}

static void
check_disk(const struct config *config, const struct findings *findings)
{
	gint64 wanted = 0, free = disk_free(config);
	for (guint i = 0; i < config->guests->len; i++)
		wanted += growth(config, g_ptr_array_index(config->guests, i));
	if (!wanted || free < 0) /* a missing image is reported by itself */
		return;
	findings_add(findings, free >= wanted ? "ok" : "note",
		     "disk: the guests' disks may grow by %" G_GINT64_FORMAT
		     " MiB, and %" G_GINT64_FORMAT " MiB are free in %s%s",
		     wanted >> 20, free >> 20, config->state_directory,
		     free >= wanted ? ""
				    : ": a guest is paused when nothing is left; free some, or "
				      "put state-directory on a larger file system");
}

/* A state has the guest's memory at most, beside what the disk has. An old one is there until the
 * new one is whole. */
static void
check_states(const struct config *config, const struct findings *findings)
{
	gint64 wanted = 0, largest = 0, free = disk_free(config);
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		if (!keeps_state(guest))
			continue;
		largest = MAX(largest, guest->memory_size);
		if (!has_state(config, guest))
			wanted += guest->memory_size;
	}
	if (!largest || free < 0)
		return;
	wanted += largest;
	findings_add(findings, free >= wanted ? "ok" : "note",
		     "warm states: they may take %" G_GINT64_FORMAT
		     " MiB more in the guests' disks, one that is saved anew included, and "
		     "%" G_GINT64_FORMAT " MiB are free in %s%s",
		     wanted >> 20, free >> 20, config->state_directory,
		     free >= wanted ? ""
				    : ": where there is no room none is saved, and the guest boots "
				      "each time; put state-directory on a larger file system, "
				      "lower memory-size, or write warm-start = no");
}

/* Without a warm state the first connection to an asleep guest cannot wait for it. */
static void
check_sleep(const struct config *config, const struct findings *findings)
{
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		gboolean asleep = guest->autostart == CONFIG_AUTOSTART_ASLEEP;
		const char *why = guest->image ? "warm-start = no" : "it has no disk";
		if ((asleep || guest->idle_timeout) &&
		    (guest->warm_start == CONFIG_WARM_START_NO || !guest->image))
			findings_add(findings, "note",
				     "%s: %s puts it to sleep, and %s: what connects to it then is "
				     "refused, and has to try again until it has booted",
				     guest->name, asleep ? "autostart = asleep" : "idle-timeout",
				     why);
	}
}

static void
check_descriptors(const struct config *config, const struct findings *findings)
{
	gulong limit = descriptors_attainable(), guests = config->guests->len;
	gulong good_for =
	    limit > DESCRIPTORS_DAEMON ? (limit - DESCRIPTORS_DAEMON) / DESCRIPTORS_GUEST : 0;
	findings_add(findings, good_for >= guests ? "ok" : "note",
		     "open files: the hard limit of %lu is good for %lu guests, and %lu are "
		     "configured%s",
		     limit, good_for, guests,
		     good_for >= guests ? ""
					: "; raise it with ulimit -Hn, or LimitNOFILE= of the "
					  "service");
}

void
hostcheck_room(const struct config *config, const struct findings *findings)
{
	if (!config->guests->len)
		return;
	check_memory(config, findings);
	check_disk(config, findings);
	check_states(config, findings);
	check_sleep(config, findings);
	check_descriptors(config, findings);
}
