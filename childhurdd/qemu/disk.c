/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The overlay that a guest writes to.
 *
 * image.c reads the headers itself, so a start costs no run of qemu-img for a kept overlay, and
 * none for a new one that was made ahead (disk_spare.c); otherwise one (20 ms). The overlay names
 * its image by the path without symbolic links. `image` may be a link (to a store item, or to "the
 * current image"). If the overlay named the link, another target would put another disk below a
 * persistent overlay, and destroy the guest's file systems. So the overlay keeps the image that it
 * was made from, and a start with another one is an error.
 *
 * qemu-img gets only absolute paths: it never takes a name that begins with '/' for a protocol or
 * json:.
 */
#include "childhurdd/qemu/disk_internal.h"

#include "childhurdd/qemu/base.h"
#include "childhurdd/qemu/injected.h"
#include "childhurdd/qemu/warm_record.h"
#include "childhurdd/system/child.h"
#include "config/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	  512
#define WORDS_MAX 400 /* characters of qemu-img's output that go into a message */

static struct disk *
disk_new(void)
{
	struct disk *disk = g_rc_box_new0(struct disk);
	disk->injector = (struct injector){-1, -1, -1};
	return disk;
}

static void
disk_clear(void *data)
{
	struct disk *disk = data;
	injector_close(&disk->injector);
	g_clear_pointer(&disk->edits, g_bytes_unref);
	g_strfreev(disk->host_keys);
	g_strfreev(disk->earlier_keys);
	g_free(disk->waits);
	g_free(disk->named);
	g_free(disk->format);
	free(disk->image);
	g_free(disk->overlay);
	g_free(disk->temporary);
	g_free(disk->layer);
	image_clear(&disk->base);
	image_clear(&disk->old);
	g_clear_error(&disk->error);
}

static void
disk_unref(void *data)
{
	g_rc_box_release_full(data, disk_clear);
}

void
disk_finish(struct disk_job *job)
{
	const GError *error = job->disk->error;
	job->done(job, error ? NULL : job->disk->base.format, error, job->data);
}

void
disk_work(struct disk_job *job, task_fn work, lane_done_fn done)
{
	job->work =
	    lane_run(job->lane, DISK_LIMIT, work, done, disk_unref, g_rc_box_acquire(job->disk));
}

struct disk_job *
disk_work_ended(struct disk *disk, const GError *late)
{
	struct disk_job *job = disk->job;
	job->work = NULL;
	if (late) {
		disk_unref(job->disk);
		job->disk = disk_new();
		job->disk->error = g_error_copy(late);
	}
	return job;
}

/* Set the error of a failed run of qemu-img. */
static void
tool_failed(struct disk *disk, const char *verb, int status, const char *output,
	    const GError *error)
{
	g_autofree char *ended = NULL, *text = NULL;

	if (g_error_matches(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT)) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_TOOL,
			    "%s: there is no qemu-img in PATH; install it (Debian: qemu-utils, "
			    "Fedora: qemu-img, Guix: qemu)",
			    disk->overlay);
		return;
	}
	if (error) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s: %s", disk->overlay,
			    error->message);
		return;
	}
	ended = child_status_text(status);
	text = text_said(output, "qemu-img: ", "; ", WORDS_MAX);
	g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s: qemu-img %s %s: %s",
		    disk->overlay, verb, ended, text);
}

gboolean
disk_tool_ended(struct disk_job *job, const char *verb, int status, const char *output,
		const GError *error)
{
	struct disk *disk = job->disk;

	if (error || status != 0)
		tool_failed(disk, verb, status, output, error);
	child_free(g_steal_pointer(&job->child));
	return !disk->error;
}

/* --- a new overlay --- */

/* The folder is the daemon's, so no other user can have put a link there. */
gboolean
disk_give(const struct disk *disk, const char *path)
{
	return !disk->user || !disk->user->other ||
	       lchown(path, disk->user->identity.uid, disk->user->identity.gid) == 0;
}

static void
create_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	disk_tool_ended(job, "create", status, output, error);
	disk_made(job);
}

void
disk_create(struct disk_job *job, child_fn done)
{
	const struct disk *disk = job->disk;
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, disk->size);
	const char *const argv[] = {"qemu-img",
				    "create",
				    "-q",
				    "-f",
				    "qcow2",
				    "-b",
				    disk->image,
				    "-F",
				    disk->base.format,
				    "--",
				    disk->temporary,
				    disk->size > 0 ? size : NULL,
				    NULL};

	job->child = child_run(job->loop, argv, DISK_QEMU_IMG_LIMIT, done, job);
}

/*
 * Delete the old overlay before the new one is made: it has no value any more, and the new one may
 * need its space. A persistent overlay is never deleted here: it is kept, or it is an error.
 */
static void
make_room(struct disk *disk)
{
	if (lane_given_up())
		return;
	unlink(disk->temporary);
	if (!disk->keep) {
		g_autofree char *record = base_record(disk->overlay);
		unlink(record); /* of an earlier persistent overlay */
	}
	injected_forget(disk->overlay);
	if (!disk_layer_remove(disk) || (unlink(disk->overlay) < 0 && errno != ENOENT))
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot remove the old overlay: %s", disk->overlay,
			    g_strerror(errno));
	else
		disk->step = STEP_CREATE;
	disk->inject = disk->edits != NULL;
	disk->created = !disk->error && disk_spare_take(disk);
}

/* --- the job --- */

/* Can QEMU read the image? */
static gboolean
image_is_open(struct disk *disk)
{
	if (!disk->user || !disk->user->other)
		return TRUE;
	g_autoptr(GError) problem = NULL;
	qemu_user_let(disk->user, disk->named, ACL_MAY_READ);
	if (qemu_user_check(disk->user, "image", disk->image, &problem))
		return TRUE;
	g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s", problem->message);
	return FALSE;
}

/* A guest that boots leaves its warm state behind: the overlay goes, or is written to. */
static gboolean
forget_warm(struct disk *disk)
{
	g_autofree char *record = warm_record_path(disk->overlay);
	g_autoptr(GError) problem = NULL;
	if (warm_record_remove(record, &problem))
		return TRUE;
	g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s", problem->message);
	return FALSE;
}

gboolean
disk_look(struct disk *disk)
{
	lane_touch("image", disk->named);
	if (!image_probe_for(disk->named, disk->format, disk->size, &disk->base, &disk->error))
		return FALSE;
	disk->image = realpath(disk->named, NULL);
	if (!disk->image)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s: %s", disk->named,
			    g_strerror(errno));
	return disk->image != NULL;
}

static void
look_work(void *data)
{
	struct disk *disk = data;
	struct stat status;

	if (!disk_look(disk) || !image_is_open(disk))
		return;
	lane_touch("disk", disk->overlay);
	if (!forget_warm(disk))
		return;
	if (!disk->keep)
		make_room(disk);
	else if (lstat(disk->overlay, &status) == 0)
		disk_keep(disk);
	else if (disk_keep_base(disk))
		make_room(disk);
}

static void
look_done(void *data, const GError *late)
{
	struct disk_job *job = disk_work_ended(data, late);
	switch (job->disk->step) {
	case STEP_CREATE:
		if (job->disk->created)
			disk_made(job);
		else
			disk_create(job, create_done);
		break;
	case STEP_REBASE:
		disk_rebase(job);
		break;
	case STEP_GROW:
		disk_grow(job);
		break;
	case STEP_NONE:
		disk_made(job);
	}
}

struct disk_job *
disk_job_new(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done, void *data)
{
	struct disk_job *job = g_new0(struct disk_job, 1);
	struct disk *disk = disk_new();

	disk->job = job;
	disk->named = g_strdup(spec->image);
	disk->format = g_strdup(spec->format);
	disk->overlay = g_canonicalize_filename(spec->overlay, NULL);
	disk->temporary = g_strconcat(disk->overlay, ".new", NULL);
	disk->layer = g_strconcat(disk->overlay, ".keys", NULL);
	disk->size = (spec->size + SECTOR - 1) / SECTOR * SECTOR;
	disk->keep = spec->keep;
	disk->user = spec->user;
	disk->edits = spec->edits ? g_bytes_ref(spec->edits) : NULL;
	disk->host_keys = g_strdupv(spec->host_keys);
	job->loop = loop;
	job->lane = spec->lane;
	job->disk = disk;
	job->done = done;
	job->data = data;
	return job;
}

struct disk_job *
disk_prepare(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done, void *data)
{
	struct disk_job *job = disk_job_new(loop, spec, done, data);

	disk_work(job, look_work, look_done);
	return job;
}

const char *
disk_job_waits(const struct disk_job *job, char ***host_keys)
{
	*host_keys = job->disk->earlier_keys;
	return job->disk->waits;
}

static void
drop_work(void *data)
{
	struct disk *disk = data;

	lane_touch("disk", disk->overlay);
	unlink(disk->temporary);
}

void
disk_job_free(struct disk_job *job)
{
	if (!job)
		return;
	if (job->child) {
		child_free(job->child);
		lane_run(job->lane, DISK_LIMIT, drop_work, NULL, disk_unref,
			 g_rc_box_acquire(job->disk));
	}
	lane_forget(job->work);
	disk_unref(job->disk);
	g_free(job);
}
