/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests take their memory and disk bit by bit, so a lack would show only in the middle of a build.
 * This adds up what all guests together may take. A lack does not prevent a start: a guest waits
 * for memory, and may never fill its disk.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "childhurdd/hird/starts.h"
#include "childhurdd/host/check_parts.h"
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/image.h"
#include "childhurdd/system/descriptors.h"
#include "childhurdd/system/process.h"

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

/* Bytes that the guest's overlay may still grow by. */
static gint64
growth(const struct config *config, const struct config_guest *guest)
{
	struct image image;
	struct stat st;
	g_autofree char *overlay =
	    g_build_filename(config->state_directory, guest->name, "disk.qcow2", NULL);
	if (!guest->image || !image_probe(guest->image, guest->image_format, &image, NULL))
		return 0;
	gint64 size = MAX(guest->disk_size, image.size);
	image_clear(&image);
	gint64 has = stat(overlay, &st) == 0 ? (gint64)st.st_blocks * 512 : 0;
	return MAX(0, size - has);
}

static void
check_disk(const struct config *config, const struct findings *findings)
{
	struct statvfs fs;
	gint64 wanted = 0;
	g_autofree char *folder = g_strdup(config->state_directory);
	while (statvfs(folder, &fs) < 0) { /* one that does not exist yet is made in this one */
		if (!strcmp(folder, "/") || !strcmp(folder, "."))
			return;
		char *parent = g_path_get_dirname(folder);
		g_free(folder);
		folder = parent;
	}
	for (guint i = 0; i < config->guests->len; i++)
		wanted += growth(config, g_ptr_array_index(config->guests, i));
	if (!wanted) /* a missing image is reported by itself */
		return;
	gint64 free = (gint64)fs.f_bavail * (gint64)fs.f_frsize;
	findings_add(findings, free >= wanted ? "ok" : "note",
		     "disk: the guests' disks may grow by %" G_GINT64_FORMAT
		     " MiB, and %" G_GINT64_FORMAT " MiB are free in %s%s",
		     wanted >> 20, free >> 20, config->state_directory,
		     free >= wanted ? ""
				    : ": a guest is paused when nothing is left; free some, or "
				      "put state-directory on a larger file system");
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
	check_descriptors(config, findings);
}
