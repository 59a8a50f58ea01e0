/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The root of libvirt's embedded driver: all its files. */
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

#define EMBED_END_LIMIT 2000 /* ms for a QEMU to end after SIGKILL */
/* Bytes reserved for libvirt's own small files: without them, on a full disk, it ends the QEMUs
 * that it finds. */
#define EMBED_RESERVE 4194304

/* In the root: a link to libvirt's log in the state directory, at a path that libvirt accepts. */
#define EMBED_LOG "libvirt.log"

/* The driver makes sockets below the path that it gets: a path of this many bytes leaves space for
 * them (sockaddr_un; libvirt, src/qemu/qemu_domain.c, qemuDomainSetPrivatePaths). */
#define EMBED_PATH_MAX 50

/*
 * The path of its root, state_directory/libvirt, for the driver: that path itself, if it is short
 * and has no character with a meaning for libvirt or QEMU (a space, a comma, an equals sign, a
 * colon); else that of a link to it in runtime_directory; if that is no better, in a folder of our
 * own: /run/childhurd-UID-HASH for root, /tmp/childhurd-UID-HASH for others. Caller frees.
 */
char *embed_path(const char *state_directory, const char *runtime_directory);

/* Make root with its qemu.conf, which runs QEMU as user. FALSE and an error that names the path. */
gboolean embed_make(const char *root, const struct qemu_user *user, GError **error);
/* Make the link at path, if it is missing, and its folder. FALSE and an error if that fails, or if
 * others can write to the folder. */
gboolean embed_link(const char *root, const char *path, GError **error);

/*
 * Call once, before libvirt is initialized. A user without a writable home (a service's) gets
 * libvirt's few files beside the root, in root/user, by XDG_RUNTIME_DIR.
 */
void embed_find_home(const char *root);

/*
 * Remove files that earlier daemons left in root before the driver sees them: if it finds no QEMU,
 * it ends whatever process has the number in a domain's file. A domain stays if its QEMU still
 * runs: the process has that number and, according to embed_note, that start time in this boot of
 * the host. If a daemon was killed before it could note that, the process must have the domain's
 * UUID on its command line and belong to user, us or root. The UUID derives from this state
 * directory, so in a copy of one no process is taken for ours.
 *
 * A domain whose start a daemon's death interrupted is removed too: libvirt would list it as
 * starting for ever. Its QEMU, which was not reported to anybody yet, is ended, and so are QEMUs
 * that libvirt started only to learn what they can do. The folders of QEMUs that are gone are
 * removed, so that deaths of daemons do not fill the disk. Domains started by another path to the
 * root are moved to path. If the disk is full, the reserve is released. What a QEMU owes to an
 * earlier daemon is waited for (see monitor_flush.h). user: the one that QEMU runs as; other users'
 * processes are left alone. Call only while the driver is not open. Blocks for at most
 * EMBED_END_LIMIT for each QEMU that is ended, and MONITOR_FLUSH_LIMIT.
 *
 * FALSE and an error: it is not known which QEMUs run, for a lack of descriptors for instance. The
 * driver must not be opened then, and no QEMU of which nothing is known was ended.
 */
gboolean embed_tidy(const char *root, const char *path, uid_t user, GError **error);
/*
 * Once the driver has listed its domains: a QEMU of ours that is not among pids (name => pid) has
 * no master, and would keep its guest's ports for ever. libvirt leaves out a domain whose file it
 * cannot read, for a lack of descriptors for instance, and the next daemon may find it. FALSE and
 * an error: there is such a QEMU. The second time it is ended, and TRUE returned.
 */
gboolean embed_all_found(const char *root, const char *path, uid_t user, GHashTable *pids,
			 GError **error);
/* Note which process is the domain's QEMU; 0: none yet, it is about to be started. */
void embed_note(const char *root, const char *name, pid_t pid);
/* Allocate the reserve, or as much of it as fits, once the driver has found its QEMUs. */
void embed_take_reserve(const char *root);
/* At the daemon's end: end the QEMUs that libvirt started only to learn what they can do. Does not
 * block. The link stays, because libvirt's threads still use it. */
void embed_leave(const char *root, const char *path, uid_t user);

#endif
