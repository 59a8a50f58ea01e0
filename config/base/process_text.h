/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names a process in a message. */
#ifndef CONFIG_BASE_PROCESS_TEXT_H
#define CONFIG_BASE_PROCESS_TEXT_H

#include <sys/types.h>

/* "process 4711 (sshd)", by /proc; "process 4711 (?)" if it has ended. pid 0 (unknown): "another
 * process". Caller frees. */
char *process_text(pid_t pid);

#endif
