/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The overlay that a guest writes to.
 *
 * image.c reads the headers itself, so a start costs one run of qemu-img (20 ms) for a new overlay,
 * and none for a kept one. The overlay names its image by the path without symbolic links. `image`
 * may be a link (to a store item, or to "the current image"). If the overlay named the link,
 * another target would put another disk below a persistent overlay, and destroy the guest's file
 * systems. So the overlay keeps the image that it was made from, and a start with another one is an
 * error.
 *
 * qemu-img gets only absolute paths: it never takes a name that begins with '/' for a protocol or
 * json:.
 */
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/base.h"
#include "childhurdd/system/child.h"
#include "config/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	   512
#define DISK_LIMIT 30000 /* ms that a file may take to answer */
#define WORDS_MAX  400	 /* characters of qemu-img's output that go into a message */

/* What remains to be done after a look at image and overlay. */
enum step { STEP_NONE, STEP_CREATE, STEP_REBASE, STEP_GROW };

/* Image and overlay. While work in the lane has it, it belongs to the worker. */
struct disk {
	struct disk_job *job;
	char *named, *format; /* the image and its format as configured */
	char *image;	      /* without symbolic links */
	char *overlay;	      /* absolute */
	char *temporary;
	const struct qemu_user *user;
	gint64 size; /* 0: the image's size */
	gboolean keep;
	struct image base;
	struct image old; /* the kept overlay */
	enum step step;
	GError *error;
};

struct disk_job {
	struct ev_loop *loop;
	struct lane *lane;
	struct disk *disk; /* shared with the lane; the loop counts the references */
	struct lane_job *work;
	struct child *child;
	disk_fn done;
	void *data;
};

static void
disk_clear(void *data)
{
	struct disk *disk = data;
	g_free(disk->named);
	g_free(disk->format);
	free(disk->image);
	g_free(disk->overlay);
	g_free(disk->temporary);
	image_clear(&disk->base);
	image_clear(&disk->old);
	g_clear_error(&disk->error);
}

static void
disk_unref(void *data)
{
	g_rc_box_release_full(data, disk_clear);
}

/* This may free the job. */
static void
job_finish(struct disk_job *job)
{
	const GError *error = job->disk->error;
	job->done(job, error ? NULL : job->disk->base.format, error, job->data);
}

static void
work_run(struct disk_job *job, task_fn work, lane_done_fn done)
{
	job->work =
	    lane_run(job->lane, DISK_LIMIT, work, done, disk_unref, g_rc_box_acquire(job->disk));
}

/* The job whose work has ended. late: the work has not ended, and keeps the disk. The job goes on
 * with another one, which has nothing but the error. */
static struct disk_job *
work_ended(struct disk *disk, const GError *late)
{
	struct disk_job *job = disk->job;
	job->work = NULL;
	if (late) {
		disk_unref(job->disk);
		job->disk = g_rc_box_new0(struct disk);
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

/* --- a new overlay --- */

/* A power cut must not leave half of a persistent disk. */
static gboolean
overlay_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return result == 0;
}

/* Give the file to QEMU's user. The folder is the daemon's, so no other user can have put a link
 * there. */
static gboolean
give(const struct disk *disk, const char *path)
{
	return !disk->user || !disk->user->other ||
	       lchown(path, disk->user->identity.uid, disk->user->identity.gid) == 0;
}

static void
place_work(void *data)
{
	struct disk *disk = data;

	lane_touch("disk", disk->overlay);
	if (!disk->error && (chmod(disk->temporary, 0600) < 0 || !give(disk, disk->temporary) ||
			     (disk->keep && !overlay_sync(disk->temporary)) ||
			     rename(disk->temporary, disk->overlay) < 0)) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot put the new overlay in place: %s", disk->overlay,
			    g_strerror(errno));
	}
	if (disk->error)
		unlink(disk->temporary);
}

static void
place_done(void *data, const GError *late)
{
	job_finish(work_ended(data, late));
}

static void
create_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (error || status != 0)
		tool_failed(job->disk, "create", status, output, error);
	child_free(g_steal_pointer(&job->child));
	work_run(job, place_work, place_done);
}

static void
overlay_create(struct disk_job *job)
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

	job->child = child_run(job->loop, argv, DISK_QEMU_IMG_LIMIT, create_done, job);
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
	if (unlink(disk->overlay) < 0 && errno != ENOENT)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot remove the old overlay: %s", disk->overlay,
			    g_strerror(errno));
	else
		disk->step = STEP_CREATE;
}

/* --- a persistent overlay, and the image that it was made from --- */

/* Read it as QEMU's user, which can write any file's name into an overlay as its backing file. */
static gboolean
probe_overlay(const struct disk *disk, struct image *image, GError **error)
{
	identity_enter(qemu_user_identity(disk->user));
	gboolean good = image_probe_overlay(disk->overlay, image, error);
	identity_leave(qemu_user_identity(disk->user));
	return good;
}

/* Was the overlay made from this image? FALSE: no, or it is unknown; the error has the cure. */
static gboolean
judge(const char *overlay, const struct image *old, const char *image, const char *format,
      enum base_verdict verdict, GError **error)
{
	const char *backing = old->backing ? old->backing : "no image";
	gboolean named = !g_strcmp0(old->backing, image);
	g_autofree char *quoted = g_shell_quote(overlay), *to = g_shell_quote(image);
	if (verdict == BASE_SAME || (verdict == BASE_UNKNOWN && named))
		return TRUE;
	if (verdict == BASE_UNKNOWN)
		g_set_error(
		    error, DISK_ERROR, DISK_ERROR_IMAGE,
		    "%s: the persistent disk was made for %s, not for %s; if that is the same "
		    "image in another place: qemu-img rebase -u -b %s -F %s %s; else state the "
		    "image again that it was made for, or make a new disk with `childhurdctl "
		    "reset`, with all on it lost",
		    overlay, backing, image, to, format, quoted);
	else if (named)
		g_set_error(
		    error, DISK_ERROR, DISK_ERROR_IMAGE,
		    "%s: the persistent disk was made for %s, which has another content now; "
		    "put the image back as it was, or make a new disk with `childhurdctl "
		    "reset`, with all on it lost",
		    overlay, image);
	else
		g_set_error(
		    error, DISK_ERROR, DISK_ERROR_IMAGE,
		    "%s: the persistent disk was made for %s, not for %s, which has another "
		    "content; state that image again, or make a new disk with `childhurdctl "
		    "reset`, with all on it lost",
		    overlay, backing, image);
	return FALSE;
}

/* Compare sizes and formats. */
static void
overlay_fit(struct disk *disk)
{
	const struct image *overlay = &disk->old;
	if (g_strcmp0(overlay->backing_format, disk->base.format) != 0)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: the persistent disk takes %s for %s, but it is %s; `childhurdctl "
			    "reset` makes a new disk, with all on it lost",
			    disk->overlay, disk->image,
			    overlay->backing_format ? overlay->backing_format : "any format",
			    disk->base.format);
	else if (disk->size > 0 && disk->size < overlay->size)
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: the persistent disk has %" G_GINT64_FORMAT
			    " bytes, but disk-size is %" G_GINT64_FORMAT
			    ", and a disk is never made smaller; raise disk-size, or leave it out",
			    disk->overlay, overlay->size, disk->size);
	else if (disk->size > overlay->size)
		disk->step = STEP_GROW;
}

/* The overlay must be whole and made from this image; otherwise a person has to decide what becomes
 * of it. An overlay of an older version may still belong to root. */
static void
overlay_keep(struct disk *disk)
{
	struct base now;
	g_autofree char *record = base_record(disk->overlay);

	if (!give(disk, disk->overlay)) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IO, "%s: cannot give it to %s: %s",
			    disk->overlay, disk->user->name, g_strerror(errno));
		return;
	}
	if (!probe_overlay(disk, &disk->old, &disk->error)) {
		g_prefix_error(&disk->error,
			       "the persistent disk cannot be used; `childhurdctl reset` "
			       "makes a new one, with all on it lost: ");
		return;
	}
	gboolean named = !g_strcmp0(disk->old.backing, disk->image);
	lane_touch("image", disk->image);
	enum base_verdict verdict = base_compare(record, disk->image, &now, &disk->error);
	/* An overlay of an earlier version has no record. Then its header is trusted. */
	gboolean right = verdict == BASE_SAME || (verdict == BASE_UNKNOWN && named);
	lane_touch("disk", disk->overlay);
	if (verdict == BASE_FAILED || (right && !base_keep(record, &now, &disk->error)) ||
	    !judge(disk->overlay, &disk->old, disk->image, disk->base.format, verdict,
		   &disk->error))
		return;
	overlay_fit(disk);
	if (!disk->error && !named)
		disk->step = STEP_REBASE;
}

/* Record the image of a persistent overlay that does not exist yet. */
static void
overlay_begin(struct disk *disk)
{
	struct base now;
	g_autofree char *record = base_record(disk->overlay);

	lane_touch("image", disk->image);
	if (!base_look(disk->image, &now, &disk->error))
		return;
	lane_touch("disk", disk->overlay);
	if (base_keep(record, &now, &disk->error))
		make_room(disk);
}

static void
grow_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (error || status != 0)
		tool_failed(job->disk, "resize", status, output, error);
	child_free(g_steal_pointer(&job->child));
	job_finish(job);
}

static void
overlay_grow(struct disk_job *job)
{
	const struct disk *disk = job->disk;
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, disk->size);
	const char *const argv[] = {"qemu-img", "resize",      "-q", "-f", "qcow2",
				    "--",	disk->overlay, size, NULL};

	job->child = child_run_as(job->loop, qemu_user_identity(disk->user), argv,
				  DISK_QEMU_IMG_LIMIT, grow_done, job);
}

static void
rebase_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;
	struct disk *disk = job->disk;

	if (error || status != 0)
		tool_failed(disk, "rebase", status, output, error);
	child_free(g_steal_pointer(&job->child));
	if (!disk->error && disk->size > disk->old.size)
		overlay_grow(job);
	else
		job_finish(job);
}

/* The same image is in another place: only the name in the header changes. */
static void
overlay_rebase(struct disk_job *job)
{
	const struct disk *disk = job->disk;
	const char *const argv[] = {"qemu-img",	       "rebase", "-u",		"-f",
				    "qcow2",	       "-b",	 disk->image,	"-F",
				    disk->base.format, "--",	 disk->overlay, NULL};

	g_message("%s: its image is now %s, and was %s: the same content", disk->overlay,
		  disk->image, disk->old.backing);
	job->child = child_run_as(job->loop, qemu_user_identity(disk->user), argv,
				  DISK_QEMU_IMG_LIMIT, rebase_done, job);
}

gboolean
disk_check(const struct disk_spec *spec, char **note, GError **error)
{
	struct image old = {0}, base = {0};
	struct base now;
	g_autofree char *record = base_record(spec->overlay);
	g_autofree char *image = NULL;
	char *real = realpath(spec->image, NULL);
	image = g_strdup(real ? real : spec->image);
	free(real);
	*note = NULL;
	if (access(spec->overlay, F_OK) < 0)
		return TRUE;
	identity_enter(qemu_user_identity(spec->user));
	gboolean good = image_probe_overlay(spec->overlay, &old, error);
	identity_leave(qemu_user_identity(spec->user));
	good = good && image_probe(image, spec->format, &base, error);
	if (good) {
		enum base_verdict verdict = base_compare(record, image, &now, error);
		good = verdict != BASE_FAILED &&
		       judge(spec->overlay, &old, image, base.format, verdict, error);
		if (good && g_strcmp0(old.backing, image))
			*note = g_strdup_printf("%s: was made for %s, and the next start "
						"changes that to %s",
						spec->overlay, old.backing, image);
	}
	image_clear(&old);
	image_clear(&base);
	return good;
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

static void
look_work(void *data)
{
	struct disk *disk = data;
	struct stat status;

	lane_touch("image", disk->named);
	if (!image_probe(disk->named, disk->format, &disk->base, &disk->error))
		return;
	disk->image = realpath(disk->named, NULL);
	if (!disk->image) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s: %s", disk->named,
			    g_strerror(errno));
		return;
	}
	if (disk->size > 0 && disk->size < disk->base.size) {
		g_set_error(&disk->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: holds a disk of %" G_GINT64_FORMAT
			    " bytes, but disk-size is only %" G_GINT64_FORMAT
			    "; raise disk-size, or leave it out",
			    disk->named, disk->base.size, disk->size);
		return;
	}
	if (!image_is_open(disk))
		return;
	lane_touch("disk", disk->overlay);
	if (!disk->keep)
		make_room(disk);
	else if (lstat(disk->overlay, &status) == 0)
		overlay_keep(disk);
	else
		overlay_begin(disk);
}

static void
look_done(void *data, const GError *late)
{
	struct disk_job *job = work_ended(data, late);
	switch (job->disk->step) {
	case STEP_CREATE:
		overlay_create(job);
		break;
	case STEP_REBASE:
		overlay_rebase(job);
		break;
	case STEP_GROW:
		overlay_grow(job);
		break;
	case STEP_NONE:
		job_finish(job);
	}
}

struct disk_job *
disk_prepare(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done, void *data)
{
	struct disk_job *job = g_new0(struct disk_job, 1);
	struct disk *disk = g_rc_box_new0(struct disk);

	disk->job = job;
	disk->named = g_strdup(spec->image);
	disk->format = g_strdup(spec->format);
	disk->overlay = g_canonicalize_filename(spec->overlay, NULL);
	disk->temporary = g_strconcat(disk->overlay, ".new", NULL);
	disk->size = (spec->size + SECTOR - 1) / SECTOR * SECTOR;
	disk->keep = spec->keep;
	disk->user = spec->user;
	job->loop = loop;
	job->lane = spec->lane;
	job->disk = disk;
	job->done = done;
	job->data = data;
	work_run(job, look_work, look_done);
	return job;
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
