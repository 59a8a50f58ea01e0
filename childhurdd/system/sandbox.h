/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes from this process, for good, what its work does not need. */
#ifndef CHILDHURDD_SYSTEM_SANDBOX_H
#define CHILDHURDD_SYSTEM_SANDBOX_H

#include <glib.h>

#include "config/base/identity.h"

#define SANDBOX_FILES_MAX 256	       /* descriptors of one process */
#define SANDBOX_FILE_SIZE 274877906944 /* bytes of a file that it writes: 256 GiB */
#define SANDBOX_MEMORY	  2147483648   /* bytes of address space of a parser: xz -9 takes 65 MiB */
#define SANDBOX_NOBODY	  65534	       /* the group of a process that is another user's */

enum sandbox {
	SANDBOX_NETWORK, /* may connect, and read files that everybody may read; no program */
	SANDBOX_PARSER,	 /* may use the descriptors that it has, memory, and nothing else */
	/* may run a program, read files and write to those of writable; no socket; what it writes
	 * is not synced, as its caller may do that */
	SANDBOX_TOOL,
};

/* No core files, no new rights by programs that it runs, and its parent's end is its own. For what
 * is done before the sandbox is entered, which does the same. */
gboolean sandbox_prepare(GError **error);
/* Lower a limit (setrlimit(2)) to this, for good. */
gboolean sandbox_limit(int resource, guint64 most, GError **error);

/*
 * Become the user (NULL: stay), without its groups, and enter the sandbox. The process gets no new
 * rights by programs that it runs, and ends with its parent. writable: n descriptors of files that
 * a tool may open for writing. What this kernel does not have (Landlock, seccomp) is left out.
 */
gboolean sandbox_enter(enum sandbox kind, const struct identity *user, const int *writable, guint n,
		       GError **error);

#endif
