/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What QEMUs that ended while no daemon ran have left in the root of libvirt's embedded driver. */
#ifndef CHILDHURDD_QEMU_LIBVIRT_LEFTOVERS_H
#define CHILDHURDD_QEMU_LIBVIRT_LEFTOVERS_H

#include <glib.h>

/*
 * Remove the folders below root that libvirt has made for domains, but not those that are in kept
 * (a set of names, "domain-ID-NAME"). They have a key of libvirt's and sockets. A link in them
 * leads nowhere. What cannot be removed stays. Call only while the driver is not open.
 */
void leftovers_remove(const char *root, GHashTable *kept);

#endif
