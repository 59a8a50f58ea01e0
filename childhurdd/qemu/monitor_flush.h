/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers that QEMU owes to an earlier daemon. If a daemon dies while its QEMU saves or loads a
 * state, QEMU sends the answer to whoever is connected to its monitor when it has finished.
 * libvirt (9.0, src/qemu/qemu_monitor_json.c) takes it for the answer to its own first command, all
 * later ones for answers to the command before, and ends QEMU because one of them makes no sense.
 */
#ifndef CHILDHURDD_QEMU_MONITOR_FLUSH_H
#define CHILDHURDD_QEMU_MONITOR_FLUSH_H

#include <glib.h>

#define MONITOR_FLUSH_LIMIT 20000 /* ms for all QEMUs; a save takes seconds */

/*
 * Wait until every QEMU has sent what it owes, but at most limit ms. paths: char *, the sockets of
 * their monitors. A QEMU that does not answer is left as it is. Call only while libvirt is not
 * connected to them: a monitor talks to one at a time. Blocks.
 */
void monitors_flush(const GPtrArray *paths, int limit);

#endif
