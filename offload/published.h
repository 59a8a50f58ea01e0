/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What coordinators read: machines.scm, ssh_config and known_hosts, made from the list of published
 * guests.
 *
 * machines.scm is Guile code that Guix' offload hook loads for every request and every 5 s while
 * one waits (guix/scripts/offload.scm, build-machines), in a module where `build-machine` is bound:
 * one `(list (build-machine ...) ...)` expression, readable by `primitive-load`. A half-written
 * file fails every build of every system, so each file is replaced as a whole, by rename, and only
 * when its content changes.
 */
#ifndef OFFLOAD_PUBLISHED_H
#define OFFLOAD_PUBLISHED_H

#include <glib.h>

/*
 * What a guest is to Guix. With none ready but some coming up, machines.scm is not empty, or Guix
 * would fail every request at once ("a `i586-gnu' is required"): those are then listed at
 * PUBLISHED_NOWHERE, where nobody listens, so that requests are postponed and tried again every 5
 * s. ssh_config and known_hosts list every guest given.
 */
enum published_as { PUBLISHED_NOT, PUBLISHED_COMING, PUBLISHED_READY };
#define PUBLISHED_NOWHERE 1 /* the port tcpmux: refused at once */

struct published_guest {
	const char *name;
	const char *host_name; /* what is written as the machine's name: 127.0.0.1 */
	int port;
	const char *user;	     /* the coordinator's account */
	const char *private_key;     /* path; OpenSSH takes it as its owner's alone */
	const char *coordinator_key; /* the same key for Guix; NULL: the one above */
	const char *const
	    *host_keys; /* "TYPE BASE64", NULL-terminated; Guix gets the first (ed25519) */
	const char *const *systems;
	const char *const *features;
	int parallel_builds;
	double speed;
	double overload_threshold;
	enum published_as as;
};

/* The path of the key that Guix is told. */
const char *published_key(const struct published_guest *guest);

/* The three texts; caller frees. Numbers are written with a point in every locale; strings as
 * Scheme strings. */
char *published_machines(const struct published_guest *guests, gsize n);
char *published_ssh_config(const struct published_guest *guests, gsize n,
			   const char *known_hosts_file);
char *published_known_hosts(const struct published_guest *guests, gsize n);

/* Are all files there that published_write makes? */
gboolean published_is_there(const char *directory);

/*
 * Write machines.scm, ssh_config and known_hosts into directory, each by temporary file, fsync and
 * rename, 0644, and only where the content differs from what is there. known_hosts is written
 * before ssh_config and machines.scm. Left-over temporary files of an earlier, killed process are
 * removed. On error the others are still written; the message names the file. While known_hosts
 * cannot be written, a guest that is ready and whose key is not in it is listed as coming.
 */
gboolean published_write(const char *directory, const struct published_guest *guests, gsize n,
			 GError **error);

#endif
