/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The socket of a guest's serial line. QEMU listens there; a client types into the guest's console
 * and reads its output, which also goes to the log.
 */
#ifndef CHILDHURDD_QEMU_SERIAL_H
#define CHILDHURDD_QEMU_SERIAL_H

#include <glib.h>

#define SERIAL_PATH_MAX 107 /* bytes of a socket's path: unix(7), sun_path */

/* The socket's path in a guest's folder. NULL: it would be too long, and nobody can type into this
 * guest. Caller frees. */
char *serial_path(const char *directory);

/*
 * Connect to a running QEMU. Returns a non-blocking descriptor, which the caller closes; -1 and a
 * G_IO_ERROR with the reason why nobody can type. path NULL: see serial_path.
 */
int serial_connect(const char *path, GError **error);

#endif
