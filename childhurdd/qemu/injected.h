/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records what was written into a persistent overlay, so that it is written again only if it
 * changed. */
#ifndef CHILDHURDD_QEMU_INJECTED_H
#define CHILDHURDD_QEMU_INJECTED_H

#include <glib.h>

/* All of these block on disk; thread-safe. edits: see inject/edits.h. */
gboolean injected_has(const char *overlay, GBytes *edits);
void injected_forget(const char *overlay);
/* host_keys: what the edits have of them, "TYPE BASE64"; NULL: none. */
gboolean injected_keep(const char *overlay, GBytes *edits, char **host_keys, GError **error);
/* Those of the edits that were written last; NULL: unknown. The caller frees with g_strfreev. */
char **injected_host_keys(const char *overlay);

#endif
