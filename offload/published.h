/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files for coordinators: machines.scm, ssh_config and known_hosts, made from the list of
 * published guests.
 *
 * machines.scm is Guile code. Guix' offload hook loads it for every request, and every 5 s while
 * one waits (guix/scripts/offload.scm, build-machines), in a module where `build-machine` is bound:
 * one `(list (build-machine ...) ...)` expression, readable by `primitive-load`. A half-written
 * file makes every build of every system fail, so each file is replaced as a whole, by rename, and
 * only if its content changes.
 */
#ifndef OFFLOAD_PUBLISHED_H
#define OFFLOAD_PUBLISHED_H

#include <glib.h>

/*
 * A guest's state for Guix. If none is ready but some are coming up, those are listed at
 * PUBLISHED_NOWHERE, where nothing listens, so that Guix postpones requests and tries again every 5
 * s. With an empty list it would fail every request at once ("a `i586-gnu' is required").
 * ssh_config and known_hosts list every guest given.
 */
enum published_as { PUBLISHED_NOT, PUBLISHED_COMING, PUBLISHED_READY };
#define PUBLISHED_NOWHERE 1 /* the port tcpmux: refused at once */

struct published_guest {
	const char *name;      /* of another host's guest: NODE/NAME */
	const char *host_name; /* the machine's name in the files: 127.0.0.1 */
	int port;
	const char *user;	     /* the coordinator's account */
	const char *private_key;     /* path; for OpenSSH only its owner may read it */
	const char *coordinator_key; /* the same key for Guix; NULL: the one above */
	const char *const
	    *host_keys; /* "TYPE BASE64", NULL-terminated; the first (ed25519) is for Guix */
	const char *const *systems;
	const char *const *features;
	int parallel_builds;
	double speed;
	double overload_threshold;
	const char *signing_key; /* the text of its Guix's public key; NULL: unknown */
	enum published_as as;
	gboolean foreign; /* of another host; not passed on to others */
};

/* The path of the key for Guix. */
const char *published_key(const struct published_guest *guest);

/* The three texts; caller frees. Numbers have a decimal point in every locale; strings are Scheme
 * strings. */
char *published_machines(const struct published_guest *guests, gsize n);
char *published_ssh_config(const struct published_guest *guests, gsize n,
			   const char *known_hosts_file);
char *published_known_hosts(const struct published_guest *guests, gsize n);

/* Do all files of published_write exist? */
gboolean published_is_there(const char *directory);

/*
 * Write machines.scm, ssh_config and known_hosts into directory, each by temporary file, fsync and
 * rename, 0644, and only if the content changed. known_hosts is written before ssh_config and
 * machines.scm. Temporary files of a killed process are removed. After an error the others are
 * still written; the message names the file. While known_hosts cannot be written, a ready guest
 * whose key is not in it is listed as coming.
 */
gboolean published_write(const char *directory, const struct published_guest *guests, gsize n,
			 GError **error);

#endif
