/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The image a guest starts from, and its own overlay on top, both by qemu-img in child processes.
 */
#ifndef CHILDHURDD_QEMU_DISK_H
#define CHILDHURDD_QEMU_DISK_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/qemu/image.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/system/lane.h"

#define DISK_QEMU_IMG_LIMIT 60000 /* ms for one run of qemu-img */

struct disk_spec {
	const char *image;
	const char *format;  /* "qcow2", "raw", or NULL: probed */
	const char *overlay; /* path of the overlay, disk.qcow2 */
	gint64 size; /* bytes the overlay is to have; 0: the image's; smaller than the image's is an
			error */
	gboolean keep; /* an overlay that is there and has this image below it is kept (persistent
			  disk) */
	const struct qemu_user *user; /* whom the overlay is for, borrowed; NULL: ourselves */
	struct lane *lane;	      /* where files are touched; borrowed */
};

struct disk_job;
/* error NULL: the overlay is there, whole; G_IO_ERROR_TIMED_OUT: a file did not answer. format: the
 * image's, "qcow2" or "raw". May free the job. */
typedef void (*disk_fn)(struct disk_job *job, const char *format, const GError *error, void *data);

/*
 * Make the overlay ready. The format is probed by the image's first bytes: qcow2 by its magic;
 * anything else is raw, and a raw image must look like a disk (an MBR or GPT signature, or a file
 * system at its start) unless format = raw was stated; an image in another known format (VMDK, VDI,
 * VHDX, qcow1, compressed) gets an error that says which and how to convert it. A qcow2 image's
 * tables are read (image.h); a file shorter than its header promises is truncated (refcount/L1
 * tables or clusters beyond the end of the file). One that needs another file is refused (image.h).
 * The overlay is made under a temporary name and renamed, so a killed daemon leaves no half-made
 * disk. The image's format is always given to qemu-img (-F), never guessed from its content by
 * QEMU. Messages name the image and what to do. When the overlay is for another user, he has to be
 * able to read the image, the overlay becomes his, and what he may have written to is only read as
 * him; the folder has to be ours.
 *
 * A persistent overlay is taken only on the image that it was made from (base.h), wherever that is
 * now: when it was moved, the overlay is told of its new place.
 */
struct disk_job *disk_prepare(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done,
			      void *data);

/*
 * For --check: would the persistent overlay that is there be taken for this image? The error says
 * why not, and what to do. *note: what is worth knowing all the same; the caller frees. None there:
 * TRUE. Blocks on disk.
 */
gboolean disk_check(const struct disk_spec *spec, char **note, GError **error);
void disk_job_free(struct disk_job *job); /* NULL is allowed; a running qemu-img is ended */

#endif
