/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libgcrypt reads, makes and writes all keys and lists here, as it does in Guix, so that what one
 * of them takes for a key is one for the other.
 */
#include "offload/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/atomic_file.h"
#include "offload/signing_key.h"

/* guix/scripts/archive.scm, %key-generation-parameters */
#define KEY_PARAMETERS "(genkey (ecdsa (curve Ed25519) (flags rfc6979)))"
#define ACL_MODE       0644
#define LOCK_TRIES     50 /* 100 ms each */

G_DEFINE_QUARK(signing - error - quark, signing_error)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gcry_sexp_t, gcry_sexp_release, NULL)

/* Its text on one line. */
static char *
print_line(gcry_sexp_t expression)
{
	g_autofree char *text = signing_print(expression);
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
	g_autoptr(GString) line = g_string_new(NULL);

	for (char **word = words; *word; word++)
		if (**word)
			g_string_append_printf(line, "%s%s", line->len && **word != ')' ? " " : "",
					       *word);
	return g_string_free(g_steal_pointer(&line), FALSE);
}

static gcry_sexp_t
host_key(const char *directory, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "signing-key.pub", NULL);
	g_autofree char *text = signing_read_file(path, SIGNING_KEY_MAX);

	if (text)
		return signing_parse(path, text, "public-key", error);
	signing_fail_read(path, SIGNING_KEY_MAX, error);
	return NULL;
}

/* --- lists of authorized keys --- */

/* The key of (entry KEY (tag (guix import))), the only form that Guix takes; NULL: it is none. */
static gcry_sexp_t
entry_key(gcry_sexp_t entry)
{
	g_auto(gcry_sexp_t) tag = NULL, purpose = NULL;
	g_auto(gcry_sexp_t) key = NULL;
	gsize length = 0;

	if (!signing_is_list(entry, "entry") || gcry_sexp_length(entry) != 3)
		return NULL;
	key = gcry_sexp_nth(entry, 1);
	tag = gcry_sexp_nth(entry, 2);
	purpose = signing_is_list(tag, "tag") && gcry_sexp_length(tag) == 2 ? gcry_sexp_nth(tag, 1)
									    : NULL;
	if (!signing_is_list(key, "public-key") || !signing_is_list(purpose, "guix"))
		return NULL;
	const char *what = gcry_sexp_nth_data(purpose, 1, &length);
	if (!what || length != strlen("import") || memcmp(what, "import", length) != 0)
		return NULL;
	return g_steal_pointer(&key);
}

static gcry_sexp_t
acl_parse(const char *path, const char *text, GError **error)
{
	g_auto(gcry_sexp_t) acl = signing_parse(path, text, "acl", error);

	for (int i = 1; acl && i < gcry_sexp_length(acl); i++) {
		g_auto(gcry_sexp_t) entry = gcry_sexp_nth(acl, i);
		g_auto(gcry_sexp_t) key = entry_key(entry);
		if (key)
			continue;
		g_autofree char *shown = entry ? print_line(entry) : g_strdup("a word");
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX,
			    "%s: entry %d is not one that Guix takes, which is (entry (public-key "
			    "...) (tag (guix import))); it is %.200s; take it out",
			    path, i, shown);
		return NULL;
	}
	return g_steal_pointer(&acl);
}

static gboolean
acl_has(gcry_sexp_t acl, gcry_sexp_t wanted)
{
	g_autofree char *text = signing_print(wanted);

	for (int i = 1; i < gcry_sexp_length(acl); i++) {
		g_auto(gcry_sexp_t) entry = gcry_sexp_nth(acl, i);
		g_auto(gcry_sexp_t) key = entry_key(entry);
		g_autofree char *other = signing_print(key);
		if (strcmp(text, other) == 0)
			return TRUE;
	}
	return FALSE;
}

/* The list with one more entry at its end; the same list when it has the key already. */
static gcry_sexp_t
acl_with(gcry_sexp_t acl, gcry_sexp_t key)
{
	g_autofree char *list = signing_print(acl), *added = signing_print(key);
	g_autoptr(GString) text = g_string_new(list);
	gcry_sexp_t result = NULL;

	if (!acl_has(acl, key)) {
		g_string_truncate(text, (gsize)(strrchr(text->str, ')') - text->str));
		g_string_append_printf(text, "(entry %s (tag (guix import))))", added);
	}
	gcry_sexp_new(&result, text->str, text->len, 1);
	return result;
}

/* The host's; one with the host's own key alone when there is none, as Guix makes it. */
static gcry_sexp_t
host_acl(const char *directory, gboolean *missing, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "acl", NULL);
	g_autofree char *text = signing_read_file(path, SIGNING_ACL_MAX);

	*missing = FALSE;
	if (text)
		return acl_parse(path, text, error);
	if (errno != ENOENT) {
		signing_fail_read(path, SIGNING_ACL_MAX, error);
		return NULL;
	}
	*missing = TRUE;
	g_auto(gcry_sexp_t) empty = signing_parse(path, "(acl)", "acl", error);
	g_auto(gcry_sexp_t) key = host_key(directory, error);
	return key ? acl_with(empty, key) : NULL;
}

GError *
signing_check(const char *directory)
{
	GError *error = NULL;
	gboolean missing;
	g_auto(gcry_sexp_t) key = host_key(directory, &error);

	if (key)
		gcry_sexp_release(host_acl(directory, &missing, &error));
	return error;
}

/* --- a guest's files --- */

gboolean
signing_possible(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "signing-key.pub", NULL);

	return access(path, F_OK) == 0;
}

void
signing_clear(struct signing *signing)
{
	g_clear_pointer(&signing->public_key, g_free);
	g_clear_pointer(&signing->secret_key, g_free);
	g_clear_pointer(&signing->acl, g_free);
}

static gboolean
make_pair(struct signing *signing, GError **error)
{
	g_auto(gcry_sexp_t) parameters = NULL, pair = NULL;
	g_auto(gcry_sexp_t) public = NULL, secret = NULL;
	signing_init();
	gcry_error_t problem = gcry_sexp_new(&parameters, KEY_PARAMETERS, 0, 1);

	if (!problem)
		problem = gcry_pk_genkey(&pair, parameters);
	if (problem) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_IO,
			    "the guest's signing key cannot be made: %s", gcry_strerror(problem));
		return FALSE;
	}
	public = gcry_sexp_find_token(pair, "public-key", 0);
	secret = gcry_sexp_find_token(pair, "private-key", 0);
	signing->public_key = signing_print(public);
	signing->secret_key = signing_print(secret);
	return TRUE;
}

gboolean
signing_make(const char *directory, struct signing *signing, GError **error)
{
	gboolean missing;
	g_auto(gcry_sexp_t) key = host_key(directory, error);
	g_auto(gcry_sexp_t) acl = key ? host_acl(directory, &missing, error) : NULL;
	g_auto(gcry_sexp_t) guests_acl = acl ? acl_with(acl, key) : NULL;

	if (!guests_acl)
		return FALSE;
	if (!signing->public_key || !signing->secret_key) {
		signing_clear(signing);
		if (!make_pair(signing, error))
			return FALSE;
	}
	g_free(signing->acl);
	signing->acl = signing_print(guests_acl);
	return TRUE;
}

/* --- the host's list --- */

static gboolean
acl_write(const char *directory, const char *text, gboolean missing, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "acl", NULL);
	g_autoptr(GError) problem = NULL;
	struct stat old;

	if (strlen(text) > SIGNING_ACL_MAX) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE,
			    "%s: would have more than %d bytes with one more key, the most that is "
			    "read; take out entries of guests that there are no more",
			    path, SIGNING_ACL_MAX);
		return FALSE;
	}
	if (stat(missing ? directory : path, &old) == -1) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_IO, "%s: %s", path,
			    g_strerror(errno));
		return FALSE;
	}
	mode_t mode = missing ? ACL_MODE : old.st_mode & 07777;
	if (!atomic_file_write(path, text, -1, mode, &problem)) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE, "%s", problem->message);
		return FALSE;
	}
	if (geteuid() == 0 && chown(path, old.st_uid, old.st_gid) == -1)
		g_warning("%s: it belongs to root now: %s", path, g_strerror(errno));
	return TRUE;
}

/* A lock on the folder, for two daemons on one host; -1: it cannot be had. */
static int
lock_folder(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == -1; i++) {
		if (i == LOCK_TRIES) {
			close(fd);
			return -1;
		}
		g_usleep(100000);
	}
	return fd;
}

static gboolean
authorize(const char *directory, gcry_sexp_t key, gboolean *added, GError **error)
{
	gboolean missing;
	g_auto(gcry_sexp_t) acl = host_acl(directory, &missing, error);

	if (!acl)
		return FALSE;
	if (acl_has(acl, key))
		return TRUE;
	g_auto(gcry_sexp_t) more = acl_with(acl, key);
	g_autofree char *text = signing_print(more);
	*added = acl_write(directory, text, missing, error);
	return *added;
}

gboolean
signing_authorize(const char *directory, const char *public_key, gboolean *added, GError **error)
{
	g_auto(gcry_sexp_t) key = signing_parse_key("the guest's signing key", public_key, error);

	*added = FALSE;
	if (!key)
		return FALSE;
	int lock = lock_folder(directory);
	if (lock < 0) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_IO,
			    "%s: somebody else has it locked, or it cannot be opened", directory);
		return FALSE;
	}
	gboolean good = authorize(directory, key, added, error);
	close(lock);
	return good;
}
