/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest's image is: looked up in it before its first start, and again when the file is
 * another one (path, size, times, inode). Between starts and over restarts of the daemon a note
 * keeps it, so that a guest that does not run is known for what it is, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "childhurdd/inject/injector.h"
#include "childhurdd/qemu/image.h"
#include "childhurdd/system/child.h"
#include "childhurdd/world/world_internal.h"

#define NOTE	  "image-kind"
#define NOTE_TEXT "%d %d %s\n%s\n" /* architecture, distribution, the file's marks, its path */

struct kind_job {
	struct world *world;
	void (*then)(struct world *r);
	char *image, *format, *directory;
	char *marks;	/* of the file as it is; NULL: it cannot be looked at */
	char *path;	/* without symbolic links */
	gboolean known; /* these are the noted marks */
	struct image_kind kind;
	const char *found; /* format */
	struct injector injector;
	struct child *child; /* the loop's */
	struct lane_job *work;
};

static void
job_clear(void *data)
{
	struct kind_job *job = data;
	injector_close(&job->injector);
	g_free(job->image);
	g_free(job->format);
	g_free(job->directory);
	g_free(job->marks);
	free(job->path);
}

static void
job_unref(void *data)
{
	g_rc_box_release_full(data, job_clear);
}

void
world_kind_abandon(struct world *r)
{
	struct kind_job *job = g_steal_pointer(&r->kind_job);
	if (!job)
		return;
	child_free(job->child);
	lane_forget(job->work);
	job_unref(job);
}

/* --- the note --- */

static char *
note_path(const char *directory)
{
	return g_build_filename(directory, NOTE, NULL);
}

/* FALSE: there is none. The caller frees marks and image. */
static gboolean
note_read(const char *directory, struct image_kind *kind, char **marks, char **image)
{
	g_autofree char *path = note_path(directory), *text = NULL;
	int architecture, distribution;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	g_auto(GStrv) lines = g_strsplit(text, "\n", 2);
	g_auto(GStrv) words = g_strsplit(lines[0], " ", 3);
	if (g_strv_length(lines) != 2 || g_strv_length(words) != 3)
		return FALSE;
	architecture = (int)g_ascii_strtoll(words[0], NULL, 10);
	distribution = (int)g_ascii_strtoll(words[1], NULL, 10);
	if (architecture < 0 || architecture > CONFIG_ARCHITECTURE_X86_64 || distribution < 0 ||
	    distribution > CONFIG_DISTRIBUTION_OTHER)
		return FALSE;
	*kind = (struct image_kind){(enum config_architecture)architecture,
				    (enum config_distribution)distribution};
	*marks = g_strdup(words[2]);
	*image = g_strdup(g_strchomp(lines[1]));
	return TRUE;
}

void
world_kind_recall(struct world *r)
{
	g_autofree char *marks = NULL;
	note_read(r->directory, &r->kind, &marks, &r->kind_image);
}

const struct config_guest *
world_settle(const struct world *r, const struct config_guest *guest)
{
	if (!guest->image || !r->kind_image || strcmp(guest->image, r->kind_image))
		return config_guest_ref(guest);
	return config_guest_settle(guest, r->kind.architecture, r->kind.distribution);
}

/* --- the look --- */

static void
apply(struct world *r, const char *image, struct image_kind kind)
{
	g_free(r->kind_image);
	r->kind_image = g_strdup(image);
	r->kind = kind;
	const struct config_guest *guest = guest_of(r), *settled = world_settle(r, guest);
	g_auto(GStrv) keys = config_guest_differences(guest, settled);
	g_autofree char *list = g_strjoinv(", ", keys);
	if (*keys)
		g_message("%s: these keys follow from what its image is: %s", guest->name, list);
	childhurd_configure(r->c, settled);
	config_guest_unref(settled);
}

/* The world goes on. job: the world's, and gone afterwards. */
static void
go_on(struct kind_job *job, gboolean found)
{
	struct world *r = job->world;
	void (*then)(struct world *) = job->then;
	if (found) {
		g_autofree char *path = note_path(r->directory);
		apply(r, job->image, job->kind);
		writer_put(r->host->writer, path,
			   g_strdup_printf(NOTE_TEXT, (int)job->kind.architecture,
					   (int)job->kind.distribution, job->marks, job->image));
	}
	world_kind_abandon(r);
	then(r);
}

static void
on_child(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct kind_job *job = data;
	gboolean found = !error && injector_answer(status, output, &job->kind);
	g_autofree char *said = injector_problem(status, output, error);
	g_autofree char *note = image_kind_note(job->kind);
	if (!found || status != 0)
		g_info("%s: what its image is cannot be seen: %s", guest_of(job->world)->name,
		       said);
	else if (note && !guest_of(job->world)->architecture)
		g_info("%s: %s", guest_of(job->world)->name, note);
	go_on(job, found);
}

static void
look(struct kind_job *job)
{
	struct world *r = job->world;
	const char *const argv[] = INJECTOR_LOOK_ARGV(job->path, job->found);
	job->child = injector_run(&job->injector, r->host->loop,
				  qemu_user_identity(r->host->qemu_user), argv, on_child, job);
}

/* Problems of the image are no matter of this: whoever makes the disk reports them. */
static void
look_work(void *data)
{
	struct kind_job *job = data;
	g_autofree char *marks = NULL, *image = NULL;
	struct image shown;
	struct stat status;
	lane_touch("image", job->image);
	job->path = realpath(job->image, NULL);
	if (!job->path || stat(job->path, &status) < 0)
		return;
	job->marks = g_strdup_printf("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT
				     ".%09ld:%" G_GINT64_FORMAT ".%09ld:%" G_GUINT64_FORMAT,
				     (gint64)status.st_size, (gint64)status.st_mtim.tv_sec,
				     status.st_mtim.tv_nsec, (gint64)status.st_ctim.tv_sec,
				     status.st_ctim.tv_nsec, (guint64)status.st_ino);
	job->known = note_read(job->directory, &job->kind, &marks, &image) &&
		     !strcmp(marks, job->marks) && !strcmp(image, job->image);
	if (job->known || !image_probe(job->path, job->format, &shown, NULL))
		return;
	job->found = shown.format;
	image_clear(&shown);
	injector_open(&job->injector, job->directory, NULL, NULL);
}

static void
on_looked(void *data, const GError *late)
{
	struct kind_job *job = data;
	struct world *r = job->world;
	job->work = NULL;
	if (late) {
		g_autofree char *text = g_strdup(late->message);
		r->kind_job = NULL; /* its work has it still */
		job_unref(job);
		start_late(r, text);
	} else if (job->known || !job->found || job->injector.input < 0) {
		go_on(job, job->known);
	} else {
		look(job);
	}
}

void
world_kind_find(struct world *r, void (*then)(struct world *r))
{
	const struct config_guest *guest = guest_of(r);
	world_kind_abandon(r);
	if (!guest->image || (guest->architecture && guest->distribution)) {
		then(r);
		return;
	}
	struct kind_job *job = g_rc_box_new0(struct kind_job);
	job->world = r;
	job->then = then;
	job->image = g_strdup(guest->image);
	job->format = g_strdup(guest->image_format);
	job->directory = g_strdup(r->directory);
	job->injector = (struct injector){-1, -1, -1};
	r->kind_job = job;
	job->work =
	    lane_run(r->files, FILES_LIMIT, look_work, on_looked, job_unref, g_rc_box_acquire(job));
}

void
world_kind_forget(const struct world *r)
{
	g_autofree char *path = note_path(r->directory);
	writer_forget(r->host->writer, path);
}

void
world_kind_clear(struct world *r)
{
	world_kind_abandon(r);
	g_free(r->kind_image);
}
