/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The root of libvirt's embedded driver: everything that it has on disk. */
#ifndef CHILDHURDD_EMBED_H
#define CHILDHURDD_EMBED_H

#include <glib.h>

#include "childhurdd/qemu_user.h"

#define EMBED_END_LIMIT 2000 /* ms that a QEMU may take to be gone after SIGKILL */
/* Bytes that are kept for libvirt's own small files: without them it ends the QEMUs that it finds,
 * on a full disk. */
#define EMBED_RESERVE 4194304

/* Make root with its qemu.conf, by which QEMU runs as user. FALSE and an error that names the path
 * when that cannot be done. */
gboolean embed_make(const char *root, const struct qemu_user *user, GError **error);

/*
 * Once, before libvirt is initialized: a user who has no home that can be written to (one of a
 * service) has libvirt's few files beside the root, in root/user, by XDG_RUNTIME_DIR.
 */
void embed_find_home(const char *root);

/*
 * Clear what a daemon that was killed in the middle of a start has left in root: libvirt would list
 * such a domain as starting for ever, and end it never. Its QEMU, if there is one, is ended; nobody
 * was told of it yet. So are QEMUs that libvirt only asks what they can. Where the disk is full,
 * the reserve is given up. user: whom QEMU runs as; what others run is theirs. Only while the
 * driver is not open. Blocks for EMBED_END_LIMIT at most for each such QEMU.
 */
void embed_tidy(const char *root, uid_t user);
/* Take the reserve, or as much of it as there is room for, once the driver has found its QEMUs. */
void embed_take_reserve(const char *root);
/* The daemon ends: only the QEMUs that libvirt asks what they can. Does not block. */
void embed_leave(const char *root, uid_t user);

#endif
