/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The overlay that a guest writes to.
 *
 * image.c reads the headers itself, so that a start costs one run of qemu-img (20 ms) for a new
 * overlay and none for a kept one. The overlay names its image by the path without symbolic links:
 * were `image` a link (to a store item, or to "the current image"), turning it over would put
 * another disk below a persistent overlay, and the guest's file systems would be garbage. As it is,
 * the overlay still has the disk that it was made for, and we say so.
 *
 * All paths are absolute when qemu-img gets them: a name that begins with '/' is never taken for a
 * protocol or json:.
 */
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/base.h"
#include "childhurdd/system/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	  512
#define WORDS_MAX 400 /* characters of qemu-img's own words that go into a message */

struct disk_job {
	struct ev_loop *loop;
	char *image;   /* without symbolic links */
	char *overlay; /* absolute */
	char *temporary;
	const struct qemu_user *user;
	gint64 size; /* 0: the image's */
	gboolean keep;
	struct image base;
	struct image old; /* the overlay that is kept */
	struct look *look;
	struct child *child;
	struct ev_timer finish; /* done is always called from the loop */
	GError *error;
	disk_fn done;
	void *data;
};

static void
job_finish(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	struct disk_job *job = watcher->data;

	job->done(job, job->error ? NULL : job->base.format, job->error, job->data);
}

/* qemu-img's output as one line of a message: its name, and line ends, are left out. */
static char *
words(const char *output)
{
	g_autofree char *valid = g_utf8_make_valid(output, -1);
	g_auto(GStrv) lines = g_strsplit(g_strstrip(valid), "\n", -1);
	g_autofree char *joined = NULL;

	for (char **line = lines; *line; line++) {
		if (g_str_has_prefix(*line, "qemu-img: "))
			memmove(*line, *line + strlen("qemu-img: "),
				strlen(*line + strlen("qemu-img: ")) + 1);
	}
	joined = g_strjoinv("; ", lines);
	return g_utf8_substring(joined, 0, MIN(g_utf8_strlen(joined, -1), WORDS_MAX));
}

/* What a run of qemu-img that did not work means. */
static void
tool_failed(struct disk_job *job, const char *verb, int status, const char *output,
	    const GError *error)
{
	g_autofree char *ended = NULL, *text = NULL;

	if (g_error_matches(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT)) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_TOOL,
			    "%s: there is no qemu-img in PATH; install it (Debian: qemu-utils, "
			    "Fedora: qemu-img, Guix: qemu)",
			    job->overlay);
		return;
	}
	if (error) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IO, "%s: %s", job->overlay,
			    error->message);
		return;
	}
	ended = child_status_text(status);
	text = words(output);
	g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IO, "%s: qemu-img %s %s: %s", job->overlay,
		    verb, ended, *text ? text : "it said nothing");
}

/* The last thing that happens in the callback of a child: the job may be gone afterwards. */
static void
child_end(struct disk_job *job)
{
	child_free(g_steal_pointer(&job->child));
	job_finish(job->loop, &job->finish, 0);
}

/* A kept disk must not be torn by a power cut; a new overlay is small, so this may be done on the
 * loop. */
static gboolean
overlay_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return result == 0;
}

/* The folder is ours, so the path leads to no file of another's. */
static gboolean
give(const struct disk_job *job, const char *path)
{
	return !job->user || !job->user->other ||
	       lchown(path, job->user->identity.uid, job->user->identity.gid) == 0;
}

static void
create_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (error || status != 0) {
		tool_failed(job, "create", status, output, error);
	} else if (chmod(job->temporary, 0600) < 0 || !give(job, job->temporary) ||
		   (job->keep && !overlay_sync(job->temporary)) ||
		   rename(job->temporary, job->overlay) < 0) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot put the new overlay in place: %s", job->overlay,
			    g_strerror(errno));
	}
	if (job->error)
		unlink(job->temporary);
	child_end(job);
}

static void
resize_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (error || status != 0)
		tool_failed(job, "resize", status, output, error);
	child_end(job);
}

/*
 * A new overlay. The old one goes first: it has no value any more, and its space may be what is
 * missing. A persistent overlay never comes here, because it is kept or an error.
 */
static void
overlay_create(struct disk_job *job)
{
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, job->size);
	const char *const argv[] = {"qemu-img", "create",	"-q",
				    "-f",	"qcow2",	"-b",
				    job->image, "-F",		job->base.format,
				    "--",	job->temporary, job->size > 0 ? size : NULL,
				    NULL};

	unlink(job->temporary);
	if (!job->keep) {
		g_autofree char *record = base_record(job->overlay);
		unlink(record); /* of a persistent one that was there */
	}
	if (unlink(job->overlay) < 0 && errno != ENOENT) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IO,
			    "%s: cannot remove the old overlay: %s", job->overlay,
			    g_strerror(errno));
		return;
	}
	job->child = child_run(job->loop, argv, DISK_QEMU_IMG_LIMIT, create_done, job);
}

static void
overlay_grow(struct disk_job *job)
{
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, job->size);
	const char *const argv[] = {"qemu-img", "resize",     "-q", "-f", "qcow2",
				    "--",	job->overlay, size, NULL};

	job->child = child_run_as(job->loop, qemu_user_identity(job->user), argv,
				  DISK_QEMU_IMG_LIMIT, resize_done, job);
}

/* As the user whom QEMU runs as: he could have had an overlay name any file as its backing file. */
static gboolean
probe_overlay(const struct disk_job *job, struct image *image, GError **error)
{
	identity_enter(qemu_user_identity(job->user));
	gboolean good = image_probe_overlay(job->overlay, image, error);
	identity_leave(qemu_user_identity(job->user));
	return good;
}

/* Can QEMU read the image? */
static gboolean
image_is_open(struct disk_job *job, const struct disk_spec *spec)
{
	if (!job->user || !job->user->other)
		return TRUE;
	g_autoptr(GError) problem = NULL;
	qemu_user_let(job->user, spec->image, ACL_MAY_READ);
	if (qemu_user_check(job->user, "image", job->image, &problem))
		return TRUE;
	g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s", problem->message);
	return FALSE;
}

/* --- a persistent overlay, and the image that it was made from --- */

/* The image is read in a worker. */
struct look {
	struct disk_job *job;
	struct task *task;
	char *image, *record;
	gboolean there; /* the overlay */
	gboolean named; /* and its header has the image's path */
	struct base now;
	enum base_verdict verdict;
	GError *error;
};

static void
look_work(void *data)
{
	struct look *look = data;
	if (look->there)
		look->verdict = base_compare(look->record, look->image, &look->now, &look->error);
	else if (!base_look(look->image, &look->now, &look->error))
		look->verdict = BASE_FAILED;
	/* One of an earlier version has no record: it is believed that its header is right. */
	gboolean right = !look->there || look->verdict == BASE_SAME ||
			 (look->verdict == BASE_UNKNOWN && look->named);
	if (look->verdict != BASE_FAILED && right &&
	    !base_keep(look->record, &look->now, &look->error))
		look->verdict = BASE_FAILED;
}

static void
look_free(void *data)
{
	struct look *look = data;
	g_free(look->image);
	g_free(look->record);
	g_clear_error(&look->error);
	g_free(look);
}

/* Is this the overlay's image? FALSE and what to do when it is not, or nobody knows. */
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

/* Sizes and formats; grows it. */
static void
overlay_fit(struct disk_job *job)
{
	const struct image *overlay = &job->old;
	if (g_strcmp0(overlay->backing_format, job->base.format) != 0) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: the persistent disk takes %s for %s, but it is %s; `childhurdctl "
			    "reset` makes a new disk, with all on it lost",
			    job->overlay, job->image,
			    overlay->backing_format ? overlay->backing_format : "any format",
			    job->base.format);
	} else if (job->size > 0 && job->size < overlay->size) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: the persistent disk has %" G_GINT64_FORMAT
			    " bytes, disk-size says %" G_GINT64_FORMAT
			    ", and a disk is never made smaller; raise disk-size, or leave it out",
			    job->overlay, overlay->size, job->size);
	} else if (job->size > overlay->size) {
		overlay_grow(job);
	}
}

static void
rebase_done(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct disk_job *job = data;

	if (error || status != 0)
		tool_failed(job, "rebase", status, output, error);
	child_free(g_steal_pointer(&job->child));
	if (!job->error)
		overlay_fit(job);
	if (!job->child)
		job_finish(job->loop, &job->finish, 0);
}

/* The same image has another place: only the name in the header changes. */
static void
overlay_rebase(struct disk_job *job)
{
	const char *const argv[] = {"qemu-img",	      "rebase", "-u",	      "-f",
				    "qcow2",	      "-b",	job->image,   "-F",
				    job->base.format, "--",	job->overlay, NULL};

	g_message("%s: its image is now %s, and was %s: the same content", job->overlay, job->image,
		  job->old.backing);
	job->child = child_run_as(job->loop, qemu_user_identity(job->user), argv,
				  DISK_QEMU_IMG_LIMIT, rebase_done, job);
}

static void
look_done(void *data)
{
	struct look *look = data;
	struct disk_job *job = look->job;

	job->look = NULL;
	if (look->error)
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s", look->error->message);
	else if (!look->there)
		overlay_create(job);
	else if (!judge(job->overlay, &job->old, job->image, job->base.format, look->verdict,
			&job->error))
		;
	else if (!look->named)
		overlay_rebase(job);
	else
		overlay_fit(job);
	if (!job->child)
		ev_timer_start(job->loop, &job->finish);
}

static void
look_start(struct disk_job *job, const struct disk_spec *spec, gboolean there)
{
	struct look *look = g_new0(struct look, 1);
	look->job = job;
	look->image = g_strdup(job->image);
	look->record = base_record(job->overlay);
	look->there = there;
	look->named = there && !g_strcmp0(job->old.backing, job->image);
	look->verdict = BASE_UNKNOWN;
	job->look = look;
	look->task = task_run(spec->tasks, look_work, look_done, look_free, look);
}

/* The overlay that is there must be a whole one of this image; else a person has to decide what
 * becomes of it. One of an earlier daemon is still root's. */
static void
overlay_keep(struct disk_job *job, const struct disk_spec *spec)
{
	if (!give(job, job->overlay))
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IO, "%s: cannot give it to %s: %s",
			    job->overlay, job->user->name, g_strerror(errno));
	else if (!probe_overlay(job, &job->old, &job->error))
		g_prefix_error(&job->error,
			       "the persistent disk cannot be used; `childhurdctl reset` "
			       "makes a new one, with all on it lost: ");
	else
		look_start(job, spec, TRUE);
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
			*note =
			    g_strdup_printf("%s: was made for %s, and is told at the next start "
					    "that its image is %s now",
					    spec->overlay, old.backing, image);
	}
	image_clear(&old);
	image_clear(&base);
	return good;
}

static void
job_start(struct disk_job *job, const struct disk_spec *spec)
{
	struct stat status;

	if (!image_probe(spec->image, spec->format, &job->base, &job->error))
		return;
	job->image = realpath(spec->image, NULL);
	if (!job->image) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE, "%s: %s", spec->image,
			    g_strerror(errno));
	} else if (job->size > 0 && job->size < job->base.size) {
		g_set_error(&job->error, DISK_ERROR, DISK_ERROR_IMAGE,
			    "%s: holds a disk of %" G_GINT64_FORMAT
			    " bytes, disk-size says only %" G_GINT64_FORMAT
			    "; raise disk-size, or leave it out",
			    spec->image, job->base.size, job->size);
	} else if (!image_is_open(job, spec)) {
		return;
	} else if (!job->keep) {
		overlay_create(job);
	} else if (lstat(job->overlay, &status) == 0) {
		overlay_keep(job, spec);
	} else {
		look_start(job, spec, FALSE);
	}
}

struct disk_job *
disk_prepare(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done, void *data)
{
	struct disk_job *job = g_new0(struct disk_job, 1);

	job->loop = loop;
	job->overlay = g_canonicalize_filename(spec->overlay, NULL);
	job->temporary = g_strconcat(job->overlay, ".new", NULL);
	job->size = (spec->size + SECTOR - 1) / SECTOR * SECTOR;
	job->keep = spec->keep;
	job->user = spec->user;
	job->done = done;
	job->data = data;
	job->finish.data = job;
	ev_timer_init(&job->finish, job_finish, 0., 0.);
	job_start(job, spec);
	if (!job->child && !job->look) /* nothing runs: it is an error, or all is there */
		ev_timer_start(loop, &job->finish);
	return job;
}

void
disk_job_free(struct disk_job *job)
{
	if (!job)
		return;
	if (job->child) {
		child_free(job->child);
		unlink(job->temporary);
	}
	if (job->look)
		task_forget(job->look->task);
	ev_timer_stop(job->loop, &job->finish);
	image_clear(&job->base);
	image_clear(&job->old);
	g_clear_error(&job->error);
	free(job->image);
	g_free(job->overlay);
	g_free(job->temporary);
	g_free(job);
}
