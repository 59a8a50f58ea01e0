/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The root of libvirt's embedded driver: everything that it has on disk. */
#ifndef CHILDHURDD_EMBED_H
#define CHILDHURDD_EMBED_H

#include <glib.h>

#define EMBED_END_LIMIT 2000 /* ms that a QEMU may take to be gone after SIGKILL */

/* Make root with its qemu.conf. FALSE and an error that names the path when that cannot be done. */
gboolean embed_make(const char *root, GError **error);

/*
 * Clear what a daemon that was killed in the middle of a start has left in root: libvirt would list
 * such a domain as starting for ever, and end it never. Its QEMU, if there is one, is ended; nobody
 * was told of it yet. Only while the driver is not open. Blocks for EMBED_END_LIMIT at most for
 * each such QEMU.
 */
void embed_tidy(const char *root);

#endif
