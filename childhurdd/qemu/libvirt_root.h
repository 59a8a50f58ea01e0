/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The root of libvirt's embedded driver: everything that it has on disk. */
#ifndef CHILDHURDD_QEMU_LIBVIRT_ROOT_H
#define CHILDHURDD_QEMU_LIBVIRT_ROOT_H

#include <glib.h>

#include "childhurdd/qemu/user.h"

#define HYPERVISOR_ERROR (hypervisor_error_quark())
GQuark hypervisor_error_quark(void);
enum hypervisor_error {
	HYPERVISOR_ERROR_LIBVIRT,
	HYPERVISOR_ERROR_MONITOR,
	HYPERVISOR_ERROR_GONE, /* the QEMU that was meant has ended */
};

#define EMBED_END_LIMIT 2000 /* ms that a QEMU may take to be gone after SIGKILL */
/* Bytes that are kept for libvirt's own small files: without them it ends the QEMUs that it finds,
 * on a full disk. */
#define EMBED_RESERVE 4194304

/* In the root: a link to the log of libvirt in the state directory, by a path that libvirt can
 * take. */
#define EMBED_LOG "libvirt.log"

/* The driver makes sockets below the path that it is given: this many bytes leave room for them
 * (sockaddr_un; libvirt, src/qemu/qemu_domain.c, qemuDomainSetPrivatePaths). */
#define EMBED_PATH_MAX 50

/*
 * The path by which the driver is given its root, state_directory/libvirt: that one, when it is
 * short and has nothing in it that libvirt or QEMU take for something else (a blank, a comma, an
 * equals sign, a colon); else a link to it in runtime_directory; where that is not fit either, in a
 * folder of our own: /run/childhurd-UID-HASH for root, /tmp/childhurd-UID-HASH for others. Caller
 * frees.
 */
char *embed_path(const char *state_directory, const char *runtime_directory);

/* Make root with its qemu.conf, by which QEMU runs as user. FALSE and an error that names the path
 * when that cannot be done. */
gboolean embed_make(const char *root, const struct qemu_user *user, GError **error);
/* Make the link at path, where it is not there, and its folder. FALSE and an error when that cannot
 * be done, or the folder is not ours alone. */
gboolean embed_link(const char *root, const char *path, GError **error);

/*
 * Once, before libvirt is initialized: a user who has no home that can be written to (one of a
 * service) has libvirt's few files beside the root, in root/user, by XDG_RUNTIME_DIR.
 */
void embed_find_home(const char *root);

/*
 * Clear what earlier daemons have left in root, before the driver sees it: it ends whatever process
 * has the number in a domain's file when it finds no QEMU there. A domain stays whose QEMU still
 * runs: the process has the number and, by embed_note, the start time, in this boot of the host.
 * Where a daemon was killed before it could note that, the process has to have the domain's UUID on
 * its command line and be one of user's, ours or root's. The UUID is that of this state directory:
 * in a copy of one, nothing is taken for ours.
 *
 * A domain whose start was cut off by a daemon's death goes, too: libvirt would list it as starting
 * for ever. Its QEMU, if there is one, is ended; nobody was told of it yet. So are QEMUs that
 * libvirt only asks what they can. Domains that were started by another path to the root are moved
 * to path. Where the disk is full, the reserve is given up. user: whom QEMU runs as; what others
 * run is theirs. Only while the driver is not open. Blocks for EMBED_END_LIMIT at most for each
 * QEMU that is ended.
 */
void embed_tidy(const char *root, const char *path, uid_t user);
/* Note which process is the domain's QEMU; 0: it is about to be started, none is. */
void embed_note(const char *root, const char *name, pid_t pid);
/* Take the reserve, or as much of it as there is room for, once the driver has found its QEMUs. */
void embed_take_reserve(const char *root);
/* The daemon ends: only the QEMUs that libvirt asks what they can. Does not block. The link stays:
 * libvirt's threads still use it. */
void embed_leave(const char *root, const char *path, uid_t user);

#endif
