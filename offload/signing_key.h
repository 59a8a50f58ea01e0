/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading files with signing keys, and lists of them, that anybody may have written. libgcrypt ends
 * the process for some of them; what gets to it has passed the limits here. All errors are
 * SIGNING_ERROR and name the file. Thread-safe.
 */
#ifndef OFFLOAD_SIGNING_KEY_H
#define OFFLOAD_SIGNING_KEY_H

#include <gcrypt.h>
#include <glib.h>
#include <sys/stat.h>

#define SIGNING_ERROR (signing_error_quark())
GQuark signing_error_quark(void);
enum signing_error {
	SIGNING_ERROR_SYNTAX, /* a file is not what Guix writes; nothing was changed */
	SIGNING_ERROR_WRITE,  /* the acl cannot be changed by us */
	SIGNING_ERROR_IO,
};

#define SIGNING_KEY_MAX	  16384	  /* bytes of a key's file, and of a word in an acl */
#define SIGNING_ACL_MAX	  1048576 /* bytes of an acl */
#define SIGNING_DEPTH_MAX 16	  /* lists within one another */

/*
 * The text of a guest's key file; *text NULL: it is not there. Caller frees. The error names the
 * file and, where it has more than SIGNING_KEY_MAX bytes, the limit. Blocks on disk; thread-safe.
 */
gboolean signing_read_key(const char *path, char **text, GError **error);

/* Is what path has a public key as Guix makes it, Ed25519 or RSA? The error says what it would be.
 * Thread-safe. */
gboolean signing_check_key(const char *path, const char *public_key, GError **error);

/* --- for signing.c --- */

/* Make libgcrypt ready; again: nothing happens. */
void signing_init(void);

/* The text of the plain file name, of at most max bytes, in an open folder (openat(2)), with
 * further flags for open(2); caller frees. *st, which may be NULL: the file's. NULL and errno, of
 * which signing_fail_read makes an error. Blocks on disk. */
char *signing_read_at(int folder, const char *name, int flags, int max, struct stat *st);
void signing_fail_read(const char *path, int max, GError **error);

/* What the text is, which path has: a list whose first word is kind. NULL on error; else release
 * it with gcry_sexp_release. */
gcry_sexp_t signing_parse(const char *path, const char *text, const char *kind, GError **error);

/*
 * The same for a guest's public key. It may come from a user whom nobody trusts, and goes into the
 * host's acl: only what Guix can have made is one.
 */
gcry_sexp_t signing_parse_key(const char *path, const char *text, GError **error);

/* Its text, in libgcrypt's advanced form; caller frees. */
char *signing_print(gcry_sexp_t expression);

/* Is this the list (name ...)? NULL is none. */
gboolean signing_is_list(gcry_sexp_t expression, const char *name);

#endif
