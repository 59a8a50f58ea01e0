/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads files with signing keys, and lists of them, that any user may have written. Some would make
 * libgcrypt end the process; only text within the limits here reaches it. All errors are
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
	SIGNING_ERROR_SYNTAX, /* a file is not one of Guix'; nothing was changed */
	SIGNING_ERROR_WRITE,  /* we cannot change the acl */
	SIGNING_ERROR_IO,
};

#define SIGNING_KEY_MAX	  16384	  /* bytes of a key's file, and of a word in an acl */
#define SIGNING_ACL_MAX	  1048576 /* bytes of an acl */
#define SIGNING_DEPTH_MAX 16	  /* lists within one another */

/*
 * The text of a guest's key file; *text NULL: it does not exist. Caller frees. The error names the
 * file and, if it is larger than SIGNING_KEY_MAX, the limit. Blocks on disk; thread-safe.
 */
gboolean signing_read_key(const char *path, char **text, GError **error);

/* Is the file's text a public key in the form of Guix' own, Ed25519 or RSA? The error shows the
 * right form. Thread-safe. */
gboolean signing_check_key(const char *path, const char *public_key, GError **error);

/* Is this text, of any source, a public key in that form? Touches no file; thread-safe. */
gboolean signing_is_key(const char *text);

/* --- for signing.c --- */

/* Initialize libgcrypt, once. */
void signing_init(void);

/* The text of the regular file name, of at most max bytes, in an open folder (openat(2)), with
 * further flags for open(2); caller frees. *st, which may be NULL: its status. NULL and errno, for
 * signing_fail_read. Blocks on disk. */
char *signing_read_at(int folder, const char *name, int flags, int max, struct stat *st);
void signing_fail_read(const char *path, int max, GError **error);

/* Parse the text of the file path: a list whose first word is kind. NULL on error; else release it
 * with gcry_sexp_release. */
gcry_sexp_t signing_parse(const char *path, const char *text, const char *kind, GError **error);

/*
 * The same for a guest's public key. It may come from an untrusted user, and goes into the host's
 * acl, so only the forms of Guix' own keys are accepted.
 */
gcry_sexp_t signing_parse_key(const char *path, const char *text, GError **error);

/* The list's text, in libgcrypt's advanced form; caller frees. */
char *signing_print(gcry_sexp_t expression);

/* Is this the list (name ...)? NULL is not. */
gboolean signing_is_list(gcry_sexp_t expression, const char *name);

#endif
