/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A persistent overlay, and the image that it was made from. */
#include "childhurdd/qemu/disk_internal.h"

#include <stdlib.h>
#include <unistd.h>

#include "childhurdd/qemu/base.h"
#include "childhurdd/qemu/injected.h"
#include "childhurdd/system/child.h"
#include "config/base/text.h"

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

void
disk_keep(struct disk *disk)
{
	struct base now;
	g_autofree char *record = base_record(disk->overlay);

	if (!disk_give(disk, disk->overlay)) {
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
	disk->has_layer = access(disk->layer, F_OK) == 0;
	disk->inject = disk->edits && !injected_has(disk->overlay, disk->edits);
	if (disk->inject)
		disk->earlier_keys = injected_host_keys(disk->overlay);
	if (!lane_given_up())
		unlink(disk->temporary);
}

gboolean
disk_keep_base(struct disk *disk)
{
	struct base now;
	g_autofree char *record = base_record(disk->overlay);

	lane_touch("image", disk->image);
	if (!base_look(disk->image, &now, &disk->error))
		return FALSE;
	lane_touch("disk", disk->overlay);
	return base_keep(record, &now, &disk->error);
}

static void
grow_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	disk_tool_ended(job, "resize", status, output, error);
	disk_made(job);
}

void
disk_grow(struct disk_job *job)
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

	if (disk_tool_ended(job, "rebase", status, output, error) && disk->size > disk->old.size)
		disk_grow(job);
	else
		disk_made(job);
}

void
disk_rebase(struct disk_job *job)
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
