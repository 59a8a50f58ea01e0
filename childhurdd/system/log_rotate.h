/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs that another program holds open and appends to: how they are kept from growing. */
#ifndef CHILDHURDD_SYSTEM_LOG_ROTATE_H
#define CHILDHURDD_SYSTEM_LOG_ROTATE_H

#include <glib.h>

#define LOG_LIMIT  1048576 /* bytes of libvirt.log, and of each QEMU's own log; then .1 is made */
#define LOG_COPIES 1
#define LOG_LOOK   2.0 /* s between two looks at their sizes, and at the runtime directory */

/*
 * If path is larger than size: copy it to path.1 (and .1 to .2, ..., up to copies) and truncate it.
 * Of more than size and a quarter the copy has the last size bytes, behind a line that says so.
 * Safe while another process appends to it (O_APPEND); only what it writes between the copy's last
 * read and the truncation, microseconds, is lost. A missing file is fine. *ahead (NULL: not asked
 * for): how much further back a byte stands in the copy; minus the size, where the file was cut
 * without one.
 */
gboolean log_rotate(const char *path, gint64 size, int copies, gint64 *ahead, GError **error);

/* All logs (*.log) of a folder, by LOG_LIMIT and LOG_COPIES; what goes wrong is told at level
 * debug: a log that cannot be cut harms nobody at once, and is looked at again. */
void log_rotate_all(const char *folder);

#endif
