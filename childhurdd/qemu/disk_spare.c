/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An overlay that is made while the guest runs, for its next start: qemu-img takes as long as all
 * else between the end of one QEMU and the start of the next.
 *
 * A new overlay has nothing of its image but the path, the format and the size, all in its header.
 * So one that was made ahead is as good as new if its header has what qemu-img would write now,
 * whatever has become of the image's content meanwhile. No QEMU has had it open, and it belongs to
 * the daemon. It gets its name when it is whole and on the disk, so that neither a killed daemon
 * nor a power cut leaves half of one under that name.
 */
#include "childhurdd/qemu/disk_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

static char *
spare_path(const char *overlay)
{
	return g_strconcat(overlay, ".spare", NULL);
}

/* Would qemu-img make the same now? */
static gboolean
fits(const struct disk *disk, const char *path)
{
	gint64 size = disk->size ? disk->size : disk->base.size;
	struct image spare = {0};
	g_autoptr(GError) problem = NULL; /* none there, most likely */
	gboolean good = image_probe_overlay(path, &spare, &problem) &&
			!g_strcmp0(spare.backing, disk->image) &&
			!g_strcmp0(spare.backing_format, disk->base.format) &&
			spare.size == (size + SECTOR - 1) / SECTOR * SECTOR;

	image_clear(&spare);
	return good;
}

gboolean
disk_spare_take(const struct disk *disk)
{
	g_autofree char *path = spare_path(disk->overlay);

	if (!disk->keep && fits(disk, path) && rename(path, disk->temporary) == 0)
		return TRUE;
	unlink(path);
	return FALSE;
}

/* --- making one --- */

/* The disk's overlay is the spare one. */
static void
look_work(void *data)
{
	struct disk *disk = data;

	if (!disk_look(disk))
		return;
	lane_touch("disk", disk->overlay);
	if (fits(disk, disk->overlay) || lane_given_up())
		return;
	unlink(disk->overlay);
	unlink(disk->temporary);
	disk->step = STEP_CREATE;
}

static void
place_work(void *data)
{
	struct disk *disk = data;

	lane_touch("disk", disk->overlay);
	if (!disk->error && (chmod(disk->temporary, 0600) < 0 || !disk_sync(disk->temporary) ||
			     rename(disk->temporary, disk->overlay) < 0))
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s: %s", disk->overlay,
			    g_strerror(errno));
	if (disk->error)
		unlink(disk->temporary);
}

static void
place_done(void *data, const GError *late)
{
	disk_finish(disk_work_ended(data, late));
}

static void
create_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	disk_tool_ended(job, "create", status, output, error);
	disk_work(job, place_work, place_done);
}

static void
look_done(void *data, const GError *late)
{
	struct disk_job *job = disk_work_ended(data, late);

	if (job->disk->step == STEP_CREATE)
		disk_create(job, create_done);
	else
		disk_finish(job);
}

struct disk_job *
disk_spare_make(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done, void *data)
{
	g_autofree char *path = spare_path(spec->overlay);
	struct disk_spec ahead = *spec;
	struct disk_job *job;

	ahead.overlay = path;
	job = disk_job_new(loop, &ahead, done, data);
	disk_work(job, look_work, look_done);
	return job;
}

/* --- what was left --- */

static void
tidy_work(void *data)
{
	lane_touch("disk", data);
	unlink(data);
}

void
disk_spare_tidy(struct lane *lane, const char *overlay)
{
	g_autofree char *path = spare_path(overlay);

	lane_run(lane, DISK_LIMIT, tidy_work, NULL, g_free, g_strconcat(path, ".new", NULL));
}
