/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is written into an overlay, and how it comes to its place.
 *
 * A kept overlay is not written to by halves, whatever is killed: what is to be in it is written
 * into a layer on top of it, under the temporary name. A layer that is whole gets a name, and is
 * then committed into the overlay by qemu-img. That can be done any number of times, so the next
 * start does it again if it finds a layer.
 */
#include "childhurdd/qemu/disk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/injected.h"
#include "childhurdd/system/child.h"

gboolean
disk_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return result == 0;
}

static gboolean
make_private(struct disk *disk)
{
	if (chmod(disk->temporary, 0600) == 0 && disk_give(disk, disk->temporary))
		return TRUE;
	g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
		    "%s: cannot give the new overlay to QEMU's user: %s", disk->overlay,
		    g_strerror(errno));
	return FALSE;
}

gboolean
disk_layer_remove(const struct disk *disk)
{
	g_autofree char *folder = g_path_get_dirname(disk->layer);

	if (unlink(disk->layer) < 0)
		return errno == ENOENT;
	return disk_sync(folder);
}

/* FALSE: errno says why. */
static gboolean
place(const struct disk *disk, const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path);

	return (!disk->keep || disk_sync(disk->temporary)) && rename(disk->temporary, path) == 0 &&
	       (!disk->keep || disk_sync(folder));
}

static void
place_work(void *data)
{
	struct disk *disk = data;
	gboolean create = disk->step == STEP_CREATE;

	lane_touch("disk", disk->overlay);
	if (disk->error || disk->waits || (create && !make_private(disk))) {
		unlink(disk->temporary);
		return;
	}
	if (!place(disk, create ? disk->overlay : disk->layer)) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot put the new overlay in place: %s", disk->overlay,
			    g_strerror(errno));
		unlink(disk->temporary);
	} else if (!create) {
		disk->has_layer = TRUE;
	} else if (disk->keep && disk->edits) {
		injected_keep(disk->overlay, disk->edits, disk->host_keys, &disk->error);
	}
}

/* --- keys --- */

/* What was in the layer is in the overlay. */
static void
record_work(void *data)
{
	struct disk *disk = data;

	lane_touch("disk", disk->overlay);
	if (!disk_layer_remove(disk)) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s: cannot remove it: %s",
			    disk->layer, g_strerror(errno));
		return;
	}
	disk->has_layer = FALSE;
	if (!disk->written) /* it was an earlier start's */
		return;
	disk->inject = FALSE;
	injected_keep(disk->overlay, disk->edits, disk->host_keys, &disk->error);
}

static void
record_done(void *data, const GError *late)
{
	disk_made(disk_work_ended(data, late));
}

static void
commit_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (disk_tool_ended(job, "commit", status, output, error))
		disk_work(job, record_work, record_done);
	else
		disk_finish(job);
}

/* Not emptied: it has to stay whole until all of it is in the overlay. */
static void
layer_commit(struct disk_job *job)
{
	const struct disk *disk = job->disk;
	const char *const argv[] = {"qemu-img", "commit", "-q",	       "-d", "-f",
				    "qcow2",	"--",	  disk->layer, NULL};

	job->child = child_run_as(job->loop, qemu_user_identity(disk->user), argv,
				  DISK_QEMU_IMG_LIMIT, commit_done, job);
}

static void
place_done(void *data, const GError *late)
{
	struct disk_job *job = disk_work_ended(data, late);

	if (job->disk->has_layer && !job->disk->error)
		layer_commit(job);
	else
		disk_finish(job);
}

/* It is the disk's fault: an image is refused, and a guest's own disk stays as it is. */
static void
inject_refused(struct disk *disk, const char *why)
{
	if (disk->step == STEP_CREATE)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: its keys cannot be written into a disk made of this image: %s",
			    disk->image, why);
	else
		disk->waits = g_strdup_printf("%s: %s", disk->overlay, why);
}

static void
inject_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;
	struct disk *disk = job->disk;
	g_autofree char *said = injector_problem(status, output, error);

	if (!error && injector_refused(status))
		inject_refused(disk, said);
	else if (error || status != 0)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: the guest's keys cannot be written into it: %s", disk->overlay,
			    said);
	else
		g_info("%s: %s", disk->overlay, said);
	disk->written = !disk->error && !disk->waits;
	child_free(g_steal_pointer(&job->child));
	disk_work(job, place_work, place_done);
}

static void
inject_run(struct disk_job *job)
{
	struct disk *disk = job->disk;
	const char *how = disk->step != STEP_CREATE ? INJECTOR_USED
			  : disk->keep		    ? INJECTOR_DURABLE
						    : INJECTOR_FLEETING;
	const char *const argv[] = INJECTOR_ARGV(disk->temporary, how);

	job->child = injector_run(&disk->injector, job->loop, qemu_user_identity(disk->user), argv,
				  inject_done, job);
}

static void
ready_work(void *data)
{
	struct disk *disk = data;
	g_autofree char *folder = g_path_get_dirname(disk->overlay);

	lane_touch("disk", disk->overlay);
	if (make_private(disk))
		injector_open(&disk->injector, folder, disk->edits, &disk->error);
}

static void
ready_done(void *data, const GError *late)
{
	struct disk_job *job = disk_work_ended(data, late);

	if (!job->disk->error)
		inject_run(job);
	else
		disk_work(job, place_work, place_done);
}

static void
layer_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (disk_tool_ended(job, "create", status, output, error))
		disk_work(job, ready_work, ready_done);
	else
		disk_work(job, place_work, place_done);
}

/* Its size is given, and -u: the overlay, which QEMU can have changed, is not looked at. */
static void
layer_create(struct disk_job *job)
{
	const struct disk *disk = job->disk;
	g_autofree char *size =
	    g_strdup_printf("%" G_GINT64_FORMAT, MAX(disk->size, disk->old.size));
	const char *const argv[] = {"qemu-img", "create",      "-q", "-u",    "-f", "qcow2",
				    "-b",	disk->overlay, "-F", "qcow2", "--", disk->temporary,
				    size,	NULL};

	job->child = child_run(job->loop, argv, DISK_QEMU_IMG_LIMIT, layer_done, job);
}

void
disk_made(struct disk_job *job)
{
	const struct disk *disk = job->disk;
	gboolean create = disk->step == STEP_CREATE;

	if (!disk->error && disk->has_layer)
		layer_commit(job);
	else if (!disk->error && disk->inject && create)
		disk_work(job, ready_work, ready_done);
	else if (!disk->error && disk->inject)
		layer_create(job);
	else if (create)
		disk_work(job, place_work, place_done);
	else
		disk_finish(job);
}
