/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CONFIG_BASE_FREE_SPACE_H
#define CONFIG_BASE_FREE_SPACE_H

#include <glib.h>

/* Bytes that anybody may still write on the file system of path, which exists; -1 and errno: it is
 * not known. What is kept for root is not among them: no QEMU is root's. Reads the file system. */
gint64 free_space(const char *path);

#endif
