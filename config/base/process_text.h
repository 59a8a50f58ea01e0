/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process in a message. */
#ifndef CONFIG_BASE_PROCESS_TEXT_H
#define CONFIG_BASE_PROCESS_TEXT_H

#include <sys/types.h>

/* "process 4711 (sshd)", as far as /proc shows it; pid 0, which is unknown: "another process".
 * Caller frees. */
char *process_text(pid_t pid);

#endif
