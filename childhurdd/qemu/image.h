/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds out what a disk image is from its own bytes, without starting a program. Errors are
 * DISK_ERROR_IMAGE. */
#ifndef CHILDHURDD_QEMU_IMAGE_H
#define CHILDHURDD_QEMU_IMAGE_H

#include <glib.h>

#define DISK_ERROR (disk_error_quark())
GQuark disk_error_quark(void);
enum disk_error {
	DISK_ERROR_IMAGE, /* the image is missing, unreadable, truncated, or not of the stated
			     format */
	DISK_ERROR_TOOL,  /* no qemu-img */
	DISK_ERROR_IO,	  /* the overlay cannot be made: disk full, read-only, ... */
};

#define IMAGE_NAME_MAX 1023 /* bytes of a backing file's name; the format's own limit */
#define IMAGE_TABLES_MAX                                                                           \
	(8 * 1024 * 1024) /* bytes of L2 tables that are checked: 64 GiB of a usual image */

struct image {
	const char *format;   /* "qcow2" or "raw", a constant */
	gint64 size;	      /* bytes of the disk that a guest sees */
	char *backing;	      /* as the header names it; NULL: none */
	char *backing_format; /* NULL: not stated in the header */
};

/*
 * Check the image and fill *image (the caller frees with image_clear). format: "qcow2", "raw", or
 * NULL: probed, as in disk.h. An image that QEMU could not read to its end, or that makes QEMU open
 * another file (a backing file, an external data file), is an error that says what it is and what
 * to do. Otherwise the image's maker could choose a file of the host, and the guest would read it.
 * After an error *image is as after image_clear.
 */
gboolean image_probe(const char *path, const char *format, struct image *image, GError **error);

/* The same, for a disk of that many bytes; 0: of the image's own. A smaller one is an error. */
gboolean image_probe_for(const char *path, const char *format, gint64 size, struct image *image,
			 GError **error);
/* The same for a qcow2 overlay of ours, which has a backing file. The backing file is not checked.
 */
gboolean image_probe_overlay(const char *path, struct image *image, GError **error);
void image_clear(struct image *image);

#endif
