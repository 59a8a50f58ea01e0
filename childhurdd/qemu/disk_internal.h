/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of a disk's preparation share: disk.c begins and ends it and makes a new overlay,
 * disk_spare.c has one that was made ahead, disk_kept.c one that is kept, disk_keys.c writes into
 * all of them. */
#ifndef CHILDHURDD_QEMU_DISK_INTERNAL_H
#define CHILDHURDD_QEMU_DISK_INTERNAL_H

#include "childhurdd/inject/injector.h"
#include "childhurdd/qemu/disk.h"
#include "childhurdd/system/child.h"

#define DISK_LIMIT 30000 /* ms that a file may take to answer */

/* What remains to be done after a look at image and overlay. */
enum step { STEP_NONE, STEP_CREATE, STEP_REBASE, STEP_GROW };

/* Image and overlay. While work in the lane has it, it belongs to the worker. */
struct disk {
	struct disk_job *job;
	char *named, *format; /* the image and its format as configured */
	char *image;	      /* without symbolic links */
	char *overlay;	      /* absolute */
	char *temporary;
	char *layer; /* what is to be committed into the kept overlay */
	const struct qemu_user *user;
	gint64 size; /* 0: the image's size */
	gboolean keep;
	struct image base;
	struct image old; /* the kept overlay */
	enum step step;
	gboolean created; /* STEP_CREATE: it is there already, under the temporary name */
	GBytes *edits;	  /* NULL: none */
	char **host_keys, **earlier_keys;
	gboolean inject;
	gboolean has_layer;
	gboolean written;	  /* the edits are in what the temporary name or the layer has */
	char *waits;		  /* why the kept overlay does not get the edits now */
	struct injector injector; /* what its process gets */
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

/* --- disk.c --- */

/* A job that has not begun. */
struct disk_job *disk_job_new(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done,
			      void *data);
/* In workers: what and where the image is. FALSE: an error. */
gboolean disk_look(struct disk *disk);
/* Run qemu-img for a new overlay under the temporary name. */
void disk_create(struct disk_job *job, child_fn done);
void disk_work(struct disk_job *job, task_fn work, lane_done_fn done);
/* The job whose work has ended. late: the work has not ended, and keeps the disk. The job goes on
 * with another one, which has nothing but the error. */
struct disk_job *disk_work_ended(struct disk *disk, const GError *late);
/* A run of qemu-img has ended. FALSE: it failed, and the disk's error says why. */
gboolean disk_tool_ended(struct disk_job *job, const char *verb, int status, const char *output,
			 const GError *error);
/* This may free the job. */
void disk_finish(struct disk_job *job);
/* In workers: give the file to QEMU's user. FALSE: errno says why. */
gboolean disk_give(const struct disk *disk, const char *path);

/* --- disk_spare.c --- */

/* In workers. TRUE: the overlay that was made ahead has the temporary name now. FALSE: there is
 * none, or it was not as a new one would be, and is gone. */
gboolean disk_spare_take(const struct disk *disk);

/* --- disk_kept.c --- */

/* In workers. The overlay must be whole and made from this image; otherwise a person has to decide
 * what becomes of it. An overlay of an older version may still belong to root. */
void disk_keep(struct disk *disk);
/* In workers. Record the image of a persistent overlay that does not exist yet. FALSE: an error. */
gboolean disk_keep_base(struct disk *disk);
/* STEP_REBASE: the same image is in another place; only the name in the header changes. */
void disk_rebase(struct disk_job *job);
/* STEP_GROW */
void disk_grow(struct disk_job *job);

/* --- disk_keys.c --- */

/* The overlay is made, or is as it should be, or there is an error: what remains is to write into
 * it, and to put it in its place. */
void disk_made(struct disk_job *job);
/* In workers. For good: a layer that comes back would be committed into what the guest has written
 * since. FALSE: errno says why. */
gboolean disk_layer_remove(const struct disk *disk);
/* In workers. A file or a folder: a power cut must not leave half of it. FALSE: errno says why. */
gboolean disk_sync(const char *path);

#endif
