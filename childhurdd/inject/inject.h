/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the root file system of a Hurd on a disk, says what it is, and writes into it. */
#ifndef CHILDHURDD_INJECT_INJECT_H
#define CHILDHURDD_INJECT_INJECT_H

#include "childhurdd/inject/device.h"
#include "config/config.h"

/* What an image is. AUTO: that cannot be seen. */
struct image_kind {
	enum config_architecture architecture;
	enum config_distribution distribution;
};

/* For the log: what of it could not be seen, and what it is taken for. NULL: nothing. The caller
 * frees. */
char *image_kind_note(struct image_kind kind);

/*
 * The root is the one partition with an ext2 file system that has /etc, and /hurd, /servers or
 * /gnu/store; it is found by that alone. No such partition, or two of them, is an error.
 *
 * Write the edits (edits.h) into it, and read all of it back from the disk. FALSE: the disk is to
 * be thrown away, unless the error is INJECT_ERROR_UNFIT, which comes before anything is written.
 */
gboolean inject(struct device *device, const GPtrArray *edits, GError **error);

/* Without writing anything. */
gboolean inject_look(struct device *device, struct image_kind *kind, GError **error);

#endif
