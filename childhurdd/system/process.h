/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's processes, from /proc (proc(5)). */
#ifndef CHILDHURDD_SYSTEM_PROCESS_H
#define CHILDHURDD_SYSTEM_PROCESS_H

#include <glib.h>
#include <sys/types.h>

struct process_look {
	char state; /* R, S, T: stopped by a signal, Z: ended and not yet waited for ... */
	pid_t session;
	gint64 cpu;   /* ms, user and system time */
	gint64 start; /* clock ticks from the boot to its start; with the pid it identifies the
			 process */
};

/* FALSE: there is no such process; or it cannot be looked at, with the reason in errno, which is
 * neither ENOENT nor ESRCH then. */
gboolean process_look(pid_t pid, struct process_look *look);
/* A descriptor for process_memory; -1: there is no such process. */
int process_statm(pid_t pid);
/* Bytes of the host's memory that the process uses; 0: it has ended. */
gint64 process_memory(int statm);

/* words: the command line, NULL-terminated, valid during the call. TRUE: this is the process. */
typedef gboolean (*process_fn)(pid_t pid, char **words, void *data);

/* Does fn return TRUE for this process? FALSE also if it does not exist, with errno 0; and if its
 * words cannot be read for a lack of descriptors or memory, with that in errno. */
gboolean process_is(pid_t pid, process_fn fn, void *data);

#define PROCESS_ANYBODY ((uid_t)-1)

/* Does it belong to user, to us or to root? With PROCESS_ANYBODY: always TRUE. errno as above. */
gboolean process_is_of(pid_t pid, uid_t user);

/*
 * The first process for which fn returns TRUE; 0: none, or, if errno is not 0, perhaps one of those
 * that could not be looked at. Any user can give a process any words, so
 * only processes of user, us and root are checked, unless user is PROCESS_ANYBODY. Threads of the
 * kernel and ended processes have no words and are left out.
 */
pid_t process_find(uid_t user, process_fn fn, void *data);
/* The word after option; NULL: option is missing. */
const char *process_option(char **words, const char *option);

/* A process_fn: has QEMU's -uuid the value uuid (a string)? */
gboolean process_has_uuid(pid_t pid, char **words, void *uuid);

/*
 * Send SIGKILL to the process with this number, if fn returns TRUE for it, but not to a later
 * process with the same number. limit: ms to wait for its end; 0: do not wait. FALSE: it is still
 * there, or could not be looked at, with the reason in errno (otherwise 0).
 */
gboolean process_end(pid_t pid, process_fn fn, void *data, int limit);

/* The host's boot id (random(4)); "": it cannot be read. Always the same. Caller frees. */
char *process_boot(void);

#endif
