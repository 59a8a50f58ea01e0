/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's disk: the image that it starts from, and its own overlay on top. qemu-img makes the
 * overlay, in child processes. */
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
	const char *format;  /* "qcow2", "raw"; NULL: probe it */
	const char *overlay; /* path of the overlay, disk.qcow2 */
	gint64 size; /* bytes of the overlay; 0: as the image. Smaller than the image is an error */
	gboolean keep; /* persistent: keep an overlay that was made from this image */
	const struct qemu_user *user; /* owner of the overlay, borrowed; NULL: the daemon's user */
	struct lane *lane;	      /* in which files are touched; borrowed */
	GBytes *edits;	  /* written into it (inject/edits.h); NULL: nothing is. Borrowed */
	char **host_keys; /* those that edits has, remembered with them; NULL: none. Borrowed */
};

struct disk_job;
/* error NULL: the overlay is complete; G_IO_ERROR_TIMED_OUT: a file did not answer. format: the
 * image's, "qcow2" or "raw". May free the job. */
typedef void (*disk_fn)(struct disk_job *job, const char *format, const GError *error, void *data);

/*
 * Make the overlay ready. The image's first bytes decide about its format: qcow2 has a magic
 * number, all else is raw. A raw image must look like a disk (an MBR or GPT signature, or a file
 * system at its start), unless format is "raw". For another known format (VMDK, VDI, VHDX, qcow1,
 * compressed) the error names it and how to convert it. Of a qcow2 image the tables are read
 * (image.h): if refcount tables, L1 tables or clusters are beyond the end of the file, it is
 * truncated, and if it needs another file, it is refused; both are errors.
 *
 * The overlay is made under a temporary name and renamed, so a killed daemon leaves no half-made
 * disk. qemu-img always gets the image's format (-F), and QEMU never guesses it. Messages name the
 * image and the cure. If user is another user, that user must be able to read the image, and
 * becomes the overlay's owner. What it may have written to is read only with its identity. The
 * folder must be the daemon's.
 *
 * A persistent overlay is only used with the image that it was made from (base.h). If the image was
 * moved, its new path is written into the overlay.
 *
 * The edits are written before the overlay gets its name, so there is none without them; into a
 * kept overlay when they differ from those that were written before. A process of its own does that
 * (inject/injector.h), as user. A kept overlay has all of them or none, whatever is killed. It
 * counts as ready, too, if its file system is not clean or full, for instance: then they wait.
 */
struct disk_job *disk_prepare(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done,
			      void *data);

/*
 * Make ahead what disk_prepare would make anew of the same spec, which must not be persistent: an
 * empty overlay beside the guest's. The next disk_prepare takes it, if it is as a new one would be,
 * instead of running qemu-img. Whatever ends the daemon, it is either whole or not there. done's
 * error is why there is none.
 */
struct disk_job *disk_spare_make(struct ev_loop *loop, const struct disk_spec *spec, disk_fn done,
				 void *data);
/* Delete what a daemon that was killed may have left of that beside overlay, in the lane. */
void disk_spare_tidy(struct lane *lane, const char *overlay);

/* For done: NULL, or why the edits are not in the kept overlay yet; the guest finds the earlier
 * ones. *host_keys: those of them, NULL: unknown. Both are the job's. */
const char *disk_job_waits(const struct disk_job *job, char ***host_keys);

/*
 * For --check: would a start use the existing persistent overlay with this image? TRUE also if
 * there is none. The error has the reason and the cure. *note: a remark, or NULL; the caller frees.
 * Blocks on disk.
 */
gboolean disk_check(const struct disk_spec *spec, char **note, GError **error);
void disk_job_free(struct disk_job *job); /* NULL is allowed; a running qemu-img is ended */

#endif
