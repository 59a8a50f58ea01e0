/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The socket at a guest's serial line: QEMU listens there, and who connects types into the guest's
 * console and reads what it says, while all of it goes to the log as well.
 */
#ifndef CHILDHURDD_QEMU_SERIAL_H
#define CHILDHURDD_QEMU_SERIAL_H

#include <glib.h>

#define SERIAL_PATH_MAX 107 /* bytes of a socket's path: unix(7), sun_path */

/* The socket's path in a guest's folder. NULL: it would be too long; nobody can type into this
 * guest then. Caller frees. */
char *serial_path(const char *directory);

/*
 * Connect to a QEMU that runs. Returns a descriptor, non-blocking, which the caller closes; -1 and
 * a G_IO_ERROR that says why nobody can type. path NULL: see serial_path.
 */
int serial_connect(const char *path, GError **error);

#endif
