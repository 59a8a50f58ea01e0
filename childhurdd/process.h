/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's processes, by their command lines (proc(5), /proc/PID/cmdline). */
#ifndef CHILDHURDD_PROCESS_H
#define CHILDHURDD_PROCESS_H

#include <glib.h>
#include <sys/types.h>

/* words: the command line, NULL-terminated, valid during the call. TRUE: that was the one. */
typedef gboolean (*process_fn)(pid_t pid, char **words, void *data);

/* The first process of which fn says so; 0: none. Threads of the kernel have no words and are left
 * out, as have processes that have ended. */
pid_t process_find(process_fn fn, void *data);
/* The word behind option, NULL: it is not there. */
const char *process_option(char **words, const char *option);

#endif
