/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits logs that another program holds open and appends to. */
#ifndef CHILDHURDD_SYSTEM_LOG_ROTATE_H
#define CHILDHURDD_SYSTEM_LOG_ROTATE_H

#include <glib.h>

#define LOG_LIMIT  1048576 /* bytes of libvirt.log and of each QEMU's own log, until .1 is made */
#define LOG_COPIES 1
#define LOG_LOOK   2.0 /* s between two checks of their sizes, and of the runtime directory */

/*
 * If path is larger than size: copy it to path.1 (and .1 to .2, ..., up to copies) and truncate it.
 * If it is larger by a quarter, the copy has only the last size bytes, after a line that states
 * this. Safe while another process appends to it (O_APPEND): only bytes written between the copy's
 * last read and the truncation, some microseconds, are lost. A missing file is no error. *ahead,
 * which may be NULL: how many bytes nearer to the start a byte is in the copy; minus the size, if
 * the file was truncated without a copy.
 */
gboolean log_rotate(const char *path, gint64 size, int copies, gint64 *ahead, GError **error);

/* Rotate all logs (*.log) of a folder, by LOG_LIMIT and LOG_COPIES. Errors are logged at level
 * debug: a log that cannot be truncated does no harm at once, and is tried again. */
void log_rotate_all(const char *folder);

#endif
