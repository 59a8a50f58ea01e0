/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's processes, as proc(5) has them. */
#ifndef CHILDHURDD_SYSTEM_PROCESS_H
#define CHILDHURDD_SYSTEM_PROCESS_H

#include <glib.h>
#include <sys/types.h>

struct process_look {
	char state; /* R, S, T: stopped by a signal, Z: ended, and nobody has waited for it ... */
	pid_t session;
	gint64 cpu;   /* ms, user's and system's */
	gint64 start; /* clock ticks from the boot to its start: with its pid, a name for it */
};

/* FALSE: there is no such process. */
gboolean process_look(pid_t pid, struct process_look *look);
/* A descriptor for process_memory; -1: there is no such process. */
int process_statm(pid_t pid);
/* Bytes of the host's memory that the process has; 0: it has ended. */
gint64 process_memory(int statm);

/* words: the command line, NULL-terminated, valid during the call. TRUE: that was the one. */
typedef gboolean (*process_fn)(pid_t pid, char **words, void *data);

/* Does fn say so of this process? FALSE, too, when there is none. */
gboolean process_is(pid_t pid, process_fn fn, void *data);

#define PROCESS_ANYBODY ((uid_t)-1)

/* Is it one of user's, ours or root's? With PROCESS_ANYBODY: yes. */
gboolean process_is_of(pid_t pid, uid_t user);

/*
 * The first process of which fn says so; 0: none. Everybody can give a process the words that he
 * likes, so only user's, ours and root's are looked at, unless user is PROCESS_ANYBODY. Threads of
 * the kernel have no words and are left out, as have processes that have ended.
 */
pid_t process_find(uid_t user, process_fn fn, void *data);
/* The word behind option, NULL: it is not there. */
const char *process_option(char **words, const char *option);

/* A process_fn: does QEMU's -uuid say uuid (a string)? */
gboolean process_has_uuid(pid_t pid, char **words, void *uuid);

/*
 * SIGKILL to the process that has this number, if fn says that it is the one, and not to another
 * that gets the number meanwhile. limit: ms that it may take to be gone; 0: that is not waited for.
 * FALSE: it is still there.
 */
gboolean process_end(pid_t pid, process_fn fn, void *data, int limit);

/* The identity of the host's boot (random(4)); "" where there is none. Caller frees. */
char *process_boot(void);

#endif
