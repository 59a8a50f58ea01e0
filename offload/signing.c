/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libgcrypt reads, makes and writes all keys and lists here, as in Guix, so both accept the same
 * keys.
 *
 * /etc/guix may belong to the user of an unprivileged guix-daemon, as after Guix' own installer,
 * and that user can put a link into it at any moment. So root opens the folder once, and works in
 * it by that descriptor and as the folder's owner: no link leads root to a file that the owner
 * could not reach.
 */
#include "offload/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/atomic_file.h"
#include "config/base/guarded.h"
#include "config/base/process_text.h"
#include "config/base/text.h"
#include "offload/signing_key.h"

/* guix/scripts/archive.scm, %key-generation-parameters */
#define KEY_PARAMETERS "(genkey (ecdsa (curve Ed25519) (flags rfc6979)))"
#define ACL_MODE       0644
#define LOCK_NAME      "acl.lock"
#define LOCK_TRIES     50  /* 100 ms each */
#define SHOWN_MAX      200 /* characters of a wrong entry in a message */
#define MERGE_TRIES    5   /* to write an acl that others write at the same time */

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gcry_sexp_t, gcry_sexp_release, NULL)

/* The list's text on one line. */
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

/* --- the host's folder --- */

/* NULL and errno, as signing_read_at. */
static char *
folder_read(const struct guarded *folder, const char *name, int max, struct stat *st)
{
	guarded_enter(folder);
	char *text = signing_read_at(folder->fd, name, folder->flags, max, st);
	guarded_leave(folder);
	return text;
}

/* guarded_open, with a SIGNING_ERROR. */
static gboolean
folder_open(const char *path, struct guarded *folder, GError **error)
{
	g_autoptr(GError) problem = NULL;
	if (guarded_open(path, folder, &problem))
		return TRUE;
	g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_IO, "%s", problem->message);
	return FALSE;
}

static gcry_sexp_t
host_key(const char *directory, const struct guarded *folder, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "signing-key.pub", NULL);
	g_autofree char *text = folder_read(folder, "signing-key.pub", SIGNING_KEY_MAX, NULL);

	if (text)
		return signing_parse(path, text, "public-key", error);
	signing_fail_read(path, SIGNING_KEY_MAX, error);
	return NULL;
}

char *
signing_host_key(const char *directory, GError **error)
{
	g_auto(guarded) folder = {.fd = -1};

	if (!signing_possible(directory))
		return NULL;
	g_auto(gcry_sexp_t) key =
	    folder_open(directory, &folder, error) ? host_key(directory, &folder, error) : NULL;
	return key ? print_line(key) : NULL;
}

/* --- lists of authorized keys --- */

/* The key of (entry KEY (tag (guix import))), the only form that Guix accepts; NULL: it has another
 * form. */
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
		g_autofree char *line = entry ? print_line(entry) : g_strdup("a word");
		g_autofree char *shown = text_said(line, NULL, " ", SHOWN_MAX);
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX,
			    "%s: entry %d is not one that Guix takes, which is (entry (public-key "
			    "...) (tag (guix import))); it is %s; take it out",
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

/* A list whose text was put together. NULL: error. libgcrypt does not read all that it writes: a
 * number of NULs and letters becomes a string. */
static gcry_sexp_t
acl_reread(const GString *text, GError **error)
{
	gcry_sexp_t list = NULL;
	gcry_error_t problem = gcry_sexp_new(&list, text->str, text->len, 1);

	if (problem)
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX,
			    "libgcrypt cannot read the acl again that it has written with a key "
			    "more: %s; another pair of keys helps",
			    gcry_strerror(problem));
	return list;
}

/* The list with entries of n more keys (text) at its end. NULL: error. */
static gcry_sexp_t
acl_with_all(gcry_sexp_t acl, void *const *keys, guint n, GError **error)
{
	g_autofree char *list = signing_print(acl);
	g_autoptr(GString) text = g_string_new(list);

	g_string_truncate(text, (gsize)(strrchr(text->str, ')') - text->str));
	for (guint i = 0; i < n; i++)
		g_string_append_printf(text, "(entry %s (tag (guix import)))",
				       (const char *)keys[i]);
	g_string_append_c(text, ')');
	return acl_reread(text, error);
}

/* The list with one more; the same list if it has the key already. NULL: error. */
static gcry_sexp_t
acl_with(gcry_sexp_t acl, gcry_sexp_t key, GError **error)
{
	g_autofree void *text = signing_print(key);

	return acl_with_all(acl, &text, acl_has(acl, key) ? 0 : 1, error);
}

/* The host's acl; if there is none, one with only the host's own key, as in Guix. *st: the file's;
 * nlink 0: it is missing. */
static gcry_sexp_t
host_acl(const char *directory, const struct guarded *folder, struct stat *st, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "acl", NULL);
	g_autofree char *text = folder_read(folder, "acl", SIGNING_ACL_MAX, st);

	if (text)
		return acl_parse(path, text, error);
	if (errno != ENOENT) {
		signing_fail_read(path, SIGNING_ACL_MAX, error);
		return NULL;
	}
	*st = (struct stat){0};
	g_auto(gcry_sexp_t) empty = signing_parse(path, "(acl)", "acl", error);
	g_auto(gcry_sexp_t) key = host_key(directory, folder, error);
	return key ? acl_with(empty, key, error) : NULL;
}

GError *
signing_check(const char *directory)
{
	GError *error = NULL;
	struct stat st;
	g_auto(guarded) folder = {.fd = -1};
	g_auto(gcry_sexp_t) key =
	    folder_open(directory, &folder, &error) ? host_key(directory, &folder, &error) : NULL;

	if (key)
		gcry_sexp_release(host_acl(directory, &folder, &st, &error));
	return error;
}

/* --- a guest's files --- */

gboolean
signing_possible(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "signing-key.pub", NULL);

	return access(path, F_OK) == 0; /* whatever it is, it is not opened */
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

/* The host's acl with the host's key. A host without Guix has an empty one. */
static gcry_sexp_t
full_acl(const char *directory, GError **error)
{
	struct stat st;
	g_auto(guarded) folder = {.fd = -1};

	if (!signing_possible(directory))
		return signing_parse("an empty list", "(acl)", "acl", error);
	g_auto(gcry_sexp_t) key =
	    folder_open(directory, &folder, error) ? host_key(directory, &folder, error) : NULL;
	g_auto(gcry_sexp_t) acl = key ? host_acl(directory, &folder, &st, error) : NULL;
	return acl ? acl_with(acl, key, error) : NULL;
}

/* The list with one more key, that of another host. Takes ownership of acl. NULL on error. */
static gcry_sexp_t
acl_with_other(gcry_sexp_t acl, const char *text, GError **error)
{
	g_auto(gcry_sexp_t) list = acl;
	g_auto(gcry_sexp_t) key = signing_parse_key("a coordinator's signing key", text, error);

	return key ? acl_with(list, key, error) : NULL;
}

gboolean
signing_make(const char *directory, const char *const *others, struct signing *signing,
	     GError **error)
{
	gcry_sexp_t all = full_acl(directory, error);

	for (; all && others && *others; others++)
		all = acl_with_other(all, *others, error);
	g_auto(gcry_sexp_t) guests_acl = all;
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

/* The owner stays the same; if the folder's owner is not root, it is that user. */
static gboolean
acl_write(const char *directory, const struct guarded *folder, const char *text,
	  const struct stat *old, GError **error)
{
	g_autofree char *path = g_build_filename(directory, "acl", NULL);
	gboolean missing = old->st_nlink == 0, keep = geteuid() == 0 && !folder->owner && !missing;
	const struct atomic_file_place place = {.folder = folder->fd,
						.uid = keep ? old->st_uid : (uid_t)-1,
						.gid = keep ? old->st_gid : (gid_t)-1,
						.old = missing ? NULL : old};

	if (strlen(text) > SIGNING_ACL_MAX) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE,
			    "%s: would have more than %d bytes with one more key, the most that is "
			    "read; take out entries of guests that there are no more",
			    path, SIGNING_ACL_MAX);
		return FALSE;
	}
	guarded_enter(folder);
	gboolean good = atomic_file_write_at(&place, path, text, -1,
					     missing ? ACL_MODE : old->st_mode & 0777, error);
	guarded_leave(folder);
	return good;
}

/* "process 4711 (sleep)": the one that has this file locked, if /proc/locks names it (proc(5)). */
static char *
lock_holder(int fd)
{
	g_autofree char *text = NULL, *inode = NULL;
	struct stat st;
	int pid = 0;

	if (fstat(fd, &st) == 0)
		inode = g_strdup_printf(":%" G_GUINT64_FORMAT " ", (guint64)st.st_ino);
	g_file_get_contents("/proc/locks", &text, NULL, NULL);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; inode && !pid && *line; line++)
		if (!strstr(*line, "->") && strstr(*line, inode) &&
		    sscanf(*line, "%*s FLOCK %*s %*s %d", &pid) != 1)
			pid = 0;
	return process_text(pid);
}

/*
 * Excludes a second daemon on this host. Only the folder's owner and root can open this file. The
 * folder itself, or the acl, could be locked by every user that can read it, and we would wait.
 */
static int
lock_open(const struct guarded *folder)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;

	int fd = openat(folder->fd, LOCK_NAME, flags, 0600);
	/* left from a time when the folder had another owner */
	if (fd < 0 && errno == EACCES && unlinkat(folder->fd, LOCK_NAME, 0) == 0)
		fd = openat(folder->fd, LOCK_NAME, flags, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    (st.st_mode & 077))
		fchmod(fd, 0600);
	return fd;
}

/* -1: it cannot be locked. */
static int
acl_lock(const char *directory, const struct guarded *folder, GError **error)
{
	g_autofree char *path = g_build_filename(directory, LOCK_NAME, NULL);
	guarded_enter(folder);
	int fd = lock_open(folder);
	guarded_leave(folder);
	if (fd < 0) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE,
			    "%s/acl: cannot be written: %s: %s", directory, path,
			    g_strerror(errno));
		return -1;
	}
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == LOCK_TRIES) {
			g_autofree char *who = lock_holder(fd);
			g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE,
				    "%s/acl: cannot be written: %s has had %s locked for 5 s",
				    directory, who, path);
			close(fd);
			return -1;
		}
		g_usleep(100000);
	}
	return fd;
}

/* The keys' texts that the list does not have, without doubles; borrowed from keys. */
static GPtrArray *
acl_lacks(gcry_sexp_t acl, const GPtrArray *keys)
{
	g_autoptr(GHashTable) present =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	GPtrArray *missing = g_ptr_array_new();

	for (int i = 1; i < gcry_sexp_length(acl); i++) {
		g_auto(gcry_sexp_t) entry = gcry_sexp_nth(acl, i);
		g_auto(gcry_sexp_t) key = entry_key(entry);
		g_hash_table_add(present, signing_print(key));
	}
	for (guint i = 0; i < keys->len; i++)
		if (g_hash_table_add(present, g_strdup(keys->pdata[i])))
			g_ptr_array_add(missing, keys->pdata[i]);
	return missing;
}

/* One attempt; *busy: another process wrote it meanwhile (guix archive takes no lock). */
static gboolean
try_authorize(const char *directory, const struct guarded *folder, const GPtrArray *keys,
	      guint *added, gboolean *busy, GError **error)
{
	struct stat st;
	g_autoptr(GError) problem = NULL;
	g_auto(gcry_sexp_t) acl = host_acl(directory, folder, &st, error);

	*busy = FALSE;
	*added = 0;
	if (!acl)
		return FALSE;
	g_autoptr(GPtrArray) missing = acl_lacks(acl, keys);
	if (!missing->len)
		return TRUE;
	g_auto(gcry_sexp_t) longer = acl_with_all(acl, missing->pdata, missing->len, error);
	if (!longer)
		return FALSE;
	g_autofree char *text = signing_print(longer);
	if (acl_write(directory, folder, text, &st, &problem)) {
		*added = missing->len;
		return TRUE;
	}
	*busy = g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_BUSY);
	g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE, "%s", problem->message);
	return FALSE;
}

static gboolean
authorize(const char *directory, const struct guarded *folder, const GPtrArray *keys, guint *added,
	  GError **error)
{
	g_autoptr(GError) problem = NULL;
	gboolean busy = TRUE, good = FALSE;

	for (int i = 0; busy && !good && i < MERGE_TRIES; i++) {
		g_clear_error(&problem);
		good = try_authorize(directory, folder, keys, added, &busy, &problem);
	}
	if (!good)
		g_propagate_error(error, g_steal_pointer(&problem));
	return good;
}

/* The keys as libgcrypt prints them. NULL: one is none. */
static GPtrArray *
keys_parse(const char *const *public_keys, GError **error)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);

	for (; *public_keys; public_keys++) {
		g_auto(gcry_sexp_t) key =
		    signing_parse_key("the guest's signing key", *public_keys, error);
		if (!key)
			return NULL;
		g_ptr_array_add(keys, signing_print(key));
	}
	return g_steal_pointer(&keys);
}

gboolean
signing_authorize_all(const char *directory, const char *const *public_keys, guint *added,
		      GError **error)
{
	struct stat st;
	g_auto(guarded) folder = {.fd = -1};
	g_autoptr(GPtrArray) keys = keys_parse(public_keys, error);

	*added = 0;
	if (!keys || !folder_open(directory, &folder, error))
		return FALSE;
	g_auto(gcry_sexp_t) acl = host_acl(directory, &folder, &st, error);
	if (!acl)
		return FALSE;
	g_autoptr(GPtrArray) missing = acl_lacks(acl, keys);
	if (!missing->len)
		return TRUE;
	int lock = acl_lock(directory, &folder, error);
	gboolean good = lock >= 0 && authorize(directory, &folder, keys, added, error);
	if (lock >= 0)
		close(lock);
	return good;
}

gboolean
signing_authorize(const char *directory, const char *public_key, gboolean *added, GError **error)
{
	const char *const keys[] = {public_key, NULL};
	guint n = 0;
	gboolean good = signing_authorize_all(directory, keys, &n, error);

	*added = n > 0;
	return good;
}
