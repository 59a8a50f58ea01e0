/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk image as a device: qemu-nbd has the image, whatever its format. */
#ifndef CHILDHURDD_INJECT_NBD_H
#define CHILDHURDD_INJECT_NBD_H

#include "childhurdd/inject/device.h"

struct nbd_disk;

struct nbd_spec {
	const char *file;   /* absolute */
	const char *format; /* "qcow2", "raw" */
	gboolean writable;
	gboolean durable; /* a flush is an fsync of the file */
	int listener;	  /* a UNIX socket; closed */
	int connection;	  /* to it, already in its queue; closed */
};

/* Start qemu-nbd and connect to it. It ends with this process. */
struct nbd_disk *nbd_disk_open(const struct nbd_spec *spec, GError **error);
struct device *nbd_disk_device(struct nbd_disk *disk); /* borrowed */
/* End the connection and wait for qemu-nbd to have closed the image. FALSE: it had a problem. Frees
 * in any case; NULL is allowed. */
gboolean nbd_disk_close(struct nbd_disk *disk, GError **error);

#endif
