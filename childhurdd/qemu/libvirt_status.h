/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libvirt's driver writes about a running domain. */
#ifndef CHILDHURDD_QEMU_LIBVIRT_STATUS_H
#define CHILDHURDD_QEMU_LIBVIRT_STATUS_H

#include <glib.h>
#include <sys/types.h>

/* The text of a file of the driver's; NULL: there is no such file, or, with an error, it is not
 * known what is in it. Caller frees. */
char *libvirt_file_text(const char *file, GError **error);

/* A running domain's status file. */
struct libvirt_status {
	char *file, *name, *uuid;
	pid_t pid;     /* 0: it was never complete */
	char *path;    /* the root's path for the driver when the domain was started */
	char *monitor; /* its socket's path below that */
};

/* The file folder/entry, whose name ends in ".xml". What cannot be understood is NULL or 0. With an
 * error, it cannot be read. To be cleared in both cases. */
struct libvirt_status libvirt_status_read(const char *folder, const char *entry, GError **error);
void libvirt_status_clear(struct libvirt_status *status);
/* If the domain was started by another path to the same root, write this one into its file. QEMU
 * listens on the same sockets. */
void libvirt_status_move(const struct libvirt_status *status, const char *path);

#endif
