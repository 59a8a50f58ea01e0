/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host keys that a user has accepted with ssh(1). */
#ifndef SSH_KNOWN_HOSTS_H
#define SSH_KNOWN_HOSTS_H

#include <glib.h>

/*
 * The keys of a host in the known_hosts of this user (sshd(8)), hashed names among them, as lines
 * "TYPE BASE64"; NULL-terminated, caller frees with g_strfreev. NULL: there is none, or it cannot
 * be read; the error says what would help. Blocks on disk; thread-safe.
 */
char **known_hosts_find(const char *host, int port, GError **error);

#endif
