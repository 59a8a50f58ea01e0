/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk as a row of bytes: the seam between what reads and writes file systems, and where the disk
 * is. */
#ifndef CHILDHURDD_INJECT_DEVICE_H
#define CHILDHURDD_INJECT_DEVICE_H

#include <glib.h>

#define INJECT_ERROR (inject_error_quark())
GQuark inject_error_quark(void);
enum inject_error {
	INJECT_ERROR_UNFIT, /* the disk cannot be written to; the message says what to do */
	INJECT_ERROR_FULL,  /* no room in its file system */
	INJECT_ERROR_IO,
};

struct device {
	guint64 size;	 /* bytes */
	guint64 written; /* bytes, so far */
	gboolean used;	 /* a guest's own, and no image: what to do about it is another */
	/* Whole ranges within size, or FALSE and the error. */
	gboolean (*read)(struct device *device, void *buffer, gsize length, guint64 offset,
			 GError **error);
	gboolean (*write)(struct device *device, const void *buffer, gsize length, guint64 offset,
			  GError **error);
	/* What was written is on the disk. */
	gboolean (*flush)(struct device *device, GError **error);
};

#endif
