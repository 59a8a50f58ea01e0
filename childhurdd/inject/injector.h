/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that looks into an image, or writes into an overlay: this program once more, as
 * QEMU's user, with its orders on standard input and a socket to qemu-nbd. So main begins with if
 * (injector_wanted(argc, argv)) return injector_main(argv);
 */
#ifndef CHILDHURDD_INJECT_INJECTOR_H
#define CHILDHURDD_INJECT_INJECTOR_H

#include "childhurdd/inject/inject.h"
#include "childhurdd/system/child.h"

#define INJECTOR_LIMIT 30000 /* ms for one run */
#define INJECTOR_NAME  "childhurd-inject"
#define INJECTOR_CPU   30 /* s of processor time */

/* Its descriptors, beside standard output and error: standard input, and what comes after standard
 * error. */
struct injector {
	int input, listener, connection;
};

/*
 * Make them. folder: one in which only the daemon's user can create files; for a moment it has a
 * socket. edits: as bytes (edits.h), NULL for a look. Blocks on disk.
 */
gboolean injector_open(struct injector *injector, const char *folder, GBytes *edits,
		       GError **error);
void injector_close(struct injector *injector);
/* Start the process with them, which are closed then; the rest as in child_run_again. */
struct child *injector_run(struct injector *injector, struct ev_loop *loop,
			   const struct identity *identity, const char *const *argv, child_fn done,
			   void *data);

/* Its command line; the strings are the caller's. how, with edits: */
#define INJECTOR_FLEETING "fleeting" /* into a new overlay */
#define INJECTOR_DURABLE  "durable"  /* what it has written is on the disk when it ends */
#define INJECTOR_USED	  "used"     /* likewise, and a guest has written to it before */
#define INJECTOR_ARGV(file, how)                                                                   \
	{                                                                                          \
		INJECTOR_NAME, INJECTOR_WRITE, file, how, NULL                                     \
	}
#define INJECTOR_LOOK_ARGV(file, format)                                                           \
	{                                                                                          \
		INJECTOR_NAME, INJECTOR_LOOK, file, format, NULL                                   \
	}
#define INJECTOR_WRITE "--inject" /* FILE HOW; a qcow2 overlay */
#define INJECTOR_LOOK  "--look"	  /* FILE FORMAT */

/* What it has found, by its end and what it has printed. An image that is none of a Hurd is AUTO.
 * FALSE: it could not look. */
gboolean injector_answer(int status, const char *output, struct image_kind *kind);

/* It has ended so because the disk is not one that can be written to, or has no room. Nothing is
 * written then. */
gboolean injector_refused(int status);

/* Why it has not done what it should, by what child_fn gets. The caller frees. */
char *injector_problem(int status, const char *output, const GError *error);

gboolean injector_wanted(int argc, char **argv);
/* Returns the exit status: 0, or standard error has the message. */
int injector_main(char **argv);

#endif
