/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes and refreshes a guest's secret root.
 *
 * Both trees, ours and the administrator's, are read and checked as a whole before anything
 * changes. A file is written beside the root (DIRECTORY.new), synced, and renamed into its place,
 * so the tree that is sent never has a half-written one. The next call completes what a killed
 * daemon left unfinished. The list of copied extra files (DIRECTORY.extra, names ended by NUL) is
 * written before the first copy and again after the last removal: in between it may name files that
 * do not exist, but it never omits one.
 */
#include "ssh/secrets/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/atomic_file.h"
#include "config/base/streams.h"
#include "ssh/key_pair.h"
#include "ssh/secrets/tree.h"

#define KEY_FOLDER	  "/etc/ssh"
#define AUTHORIZED_FOLDER "/etc/ssh/authorized_keys.d"

static const struct {
	const char *name;
	enum key_pair_kind kind;
} host_keys[] = {
    {KEY_FOLDER "/ssh_host_ed25519_key", KEY_PAIR_ED25519},
    {KEY_FOLDER "/ssh_host_ecdsa_key", KEY_PAIR_ECDSA},
};

struct root {
	const struct secret_root_spec *spec;
	int fd;
	char *temporary;     /* DIRECTORY.new */
	char *list;	     /* DIRECTORY.extra */
	GPtrArray *current;  /* files in the root now, struct secret_file */
	GPtrArray *extra;    /* the administrator's files, ditto */
	GHashTable *present; /* name -> file of current, borrowed */
	GHashTable *wanted;  /* name -> file of extra, borrowed */
};

static gboolean
fail_io(const struct root *root, const char *name, GError **error)
{
	int problem = errno;

	g_set_error(error, SECRET_ERROR, SECRET_ERROR_IO, "%s%s: %s", root->spec->directory, name,
		    g_strerror(problem));
	return FALSE;
}

/* Open the folder name ("/etc/ssh"; "" is the root) for writing into it; it is made if missing. */
static int
folder_open(const struct root *root, const char *name, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(name, "/", -1);
	int fd = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);
	struct stat status;

	for (char **part = parts; fd != -1 && *part; part++) {
		if (!**part)
			continue;
		gboolean made = mkdirat(fd, *part, 0755) == 0;
		int next = openat(fd, *part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int problem = errno;

		close(fd);
		errno = problem;
		fd = next;
		/* The umask reduced its mode; and unlike root, an ordinary owner cannot write into
		 * 0555. */
		if (fd != -1 &&
		    (made || (fstat(fd, &status) == 0 && !(status.st_mode & S_IWUSR))) &&
		    fchmod(fd, 0755) == -1) {
			close(fd);
			fd = -1;
		}
	}
	if (fd == -1)
		fail_io(root, name, error);
	return fd;
}

/* Put a file into the root, unless the same file is there already. */
static gboolean
root_put(const struct root *root, const char *name, mode_t mode, GBytes *content, GError **error)
{
	const struct secret_file *old = g_hash_table_lookup(root->present, name);
	g_autofree char *folder = g_path_get_dirname(name);
	g_autofree char *leaf = g_path_get_basename(name);

	mode &= 07777;
	if (old && (old->mode & 07777) == mode && g_bytes_equal(old->content, content))
		return TRUE;
	int folder_fd = folder_open(root, folder, error);
	if (folder_fd == -1)
		return FALSE;
	unlink(root->temporary);
	int fd = open(root->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	gboolean good =
	    fd != -1 &&
	    streams_write(fd, g_bytes_get_data(content, NULL), g_bytes_get_size(content)) &&
	    fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
	    renameat(AT_FDCWD, root->temporary, folder_fd, leaf) == 0 && fsync(folder_fd) == 0;
	if (!good)
		fail_io(root, name, error);
	if (fd != -1)
		close(fd);
	if (!good)
		unlink(root->temporary);
	close(folder_fd);
	return good;
}

/* Remove a file from the root, and the folders that are empty then. */
static gboolean
root_remove(const struct root *root, const char *name, GError **error)
{
	g_autofree char *path = g_strdup(name);
	int flags = 0;

	for (char *slash; (slash = strrchr(path, '/')); flags = AT_REMOVEDIR) {
		*slash = '\0';
		int folder = folder_open(root, path, error);
		if (folder == -1)
			return FALSE;
		int result = unlinkat(folder, slash + 1, flags);
		int problem = errno;
		close(folder);
		if (result == -1 && flags == AT_REMOVEDIR)
			return TRUE; /* not empty */
		if (result == -1 && problem != ENOENT) {
			errno = problem;
			return fail_io(root, name, error);
		}
	}
	return TRUE;
}

/* Is the name from the list one that a tree can have? */
static gboolean
name_is_clean(const char *name)
{
	g_auto(GStrv) parts = g_strsplit(name, "/", -1);

	if (name[0] != '/' || !name[1])
		return FALSE;
	for (char **part = parts + 1; *part; part++)
		if (!**part || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
			return FALSE;
	return TRUE;
}

/* The set of names copied before. NULL: it cannot be read, and what is not wanted any more is not
 * known. */
static GHashTable *
list_read(const struct root *root, GError **error)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *content = NULL;
	g_autoptr(GError) problem = NULL;
	gsize length = 0;

	if (!g_file_get_contents(root->list, &content, &length, &problem) &&
	    !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		g_hash_table_unref(names);
		return NULL;
	}
	for (gsize at = 0; at < length; at += strlen(content + at) + 1)
		if (name_is_clean(content + at))
			g_hash_table_add(names, g_strdup(content + at));
	return names;
}

static gboolean
list_write(const struct root *root, GHashTable *also, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *old = NULL;
	gsize old_length = 0;
	GHashTableIter iter;
	gpointer name;

	for (guint i = 0; i < root->extra->len; i++) {
		const struct secret_file *file = root->extra->pdata[i];

		g_string_append_len(text, file->name, (gssize)strlen(file->name) + 1);
	}
	if (also) {
		g_hash_table_iter_init(&iter, also);
		while (g_hash_table_iter_next(&iter, &name, NULL))
			if (!g_hash_table_contains(root->wanted, name))
				g_string_append_len(text, name, (gssize)strlen(name) + 1);
	}
	gboolean is_there = g_file_get_contents(root->list, &old, &old_length, NULL);
	if (is_there ? old_length == text->len && memcmp(old, text->str, text->len) == 0
		     : text->len == 0)
		return TRUE;
	return atomic_file_write(root->list, text->str, (gssize)text->len, 0600, error);
}

/* Update the administrator's files. Removals come first, because a folder may now be where a file
 * was. */
static gboolean
root_refresh_extra(const struct root *root, GError **error)
{
	g_autoptr(GHashTable) before = list_read(root, error);
	GHashTableIter iter;
	gpointer name;

	if (!before || !list_write(root, before, error))
		return FALSE;
	g_hash_table_iter_init(&iter, before);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		if (g_hash_table_contains(root->wanted, name))
			continue;
		if (g_hash_table_contains(root->present, name) && !root_remove(root, name, error))
			return FALSE;
		g_hash_table_remove(root->present, name);
	}
	for (guint i = 0; i < root->extra->len; i++) {
		const struct secret_file *file = root->extra->pdata[i];

		if (!root_put(root, file->name, file->mode, file->content, error))
			return FALSE;
	}
	return list_write(root, NULL, error);
}

static gboolean
root_make_keys(const struct root *root, GError **error)
{
	g_autofree char *comment = g_strconcat("root@", root->spec->name, NULL);
	int folder = folder_open(root, KEY_FOLDER, error);

	if (folder == -1)
		return FALSE;
	close(folder);
	for (gsize i = 0; i < G_N_ELEMENTS(host_keys); i++) {
		g_autofree char *path = g_strconcat(root->spec->directory, host_keys[i].name, NULL);

		if (!key_pair_ensure(path, host_keys[i].kind, comment, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
root_put_files(const struct root *root, GError **error)
{
	for (guint i = 0; root->spec->files && i < root->spec->files->len; i++) {
		const struct secret_file *file = root->spec->files->pdata[i];

		if (!g_hash_table_contains(root->wanted, file->name) &&
		    !root_put(root, file->name, file->mode, file->content, error))
			return FALSE;
	}
	return TRUE;
}

/* Remove a temporary file of key_pair_ensure that a killed daemon left; it would be sent to the
 * guest. */
static gboolean
root_remove_leftovers(const struct root *root, GError **error)
{
	static const char *const suffixes[] = {".new", ".pub.new"};

	for (gsize i = 0; i < G_N_ELEMENTS(host_keys) * G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *name = g_strconcat(host_keys[i / 2].name, suffixes[i % 2], NULL);

		if (g_hash_table_contains(root->present, name) &&
		    !g_hash_table_contains(root->wanted, name) && !root_remove(root, name, error))
			return FALSE;
	}
	return TRUE;
}

/* Is it a file that root_authorize has written, with our line and perhaps others below it? */
static gboolean
is_ours(GBytes *content, GBytes *line)
{
	gsize length = g_bytes_get_size(line);
	return g_bytes_get_size(content) >= length &&
	       memcmp(g_bytes_get_data(content, NULL), g_bytes_get_data(line, NULL), length) == 0;
}

/* Remove a file that only had our key. Where other hosts' keys were, an empty one takes its place.
 */
static gboolean
root_withdraw(const struct root *root, const struct secret_file *file, GBytes *line, GError **error)
{
	g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);
	return g_bytes_equal(file->content, line)
		   ? root_remove(root, file->name, error)
		   : root_put(root, file->name, 0444, nothing, error);
}

/* Accounts that are no longer configured must not keep our key, nor those of other hosts. */
static gboolean
root_remove_users(const struct root *root, GBytes *line, GError **error)
{
	for (guint i = 0; i < root->current->len; i++) {
		const struct secret_file *file = root->current->pdata[i];

		if (!g_str_has_prefix(file->name, AUTHORIZED_FOLDER "/"))
			continue;
		if (is_ours(file->content, line) &&
		    !g_hash_table_contains(root->wanted, file->name) &&
		    !g_strv_contains(root->spec->users,
				     file->name + strlen(AUTHORIZED_FOLDER "/")) &&
		    !root_withdraw(root, file, line, error))
			return FALSE;
	}
	return TRUE;
}

/* The lines that let others in as user: ours, and those of other hosts. The caller unrefs. */
static GBytes *
lines_for(const struct secret_root_spec *spec, const char *user, GBytes *line)
{
	gsize length;
	const char *ours = g_bytes_get_data(line, &length);
	if (!spec->shared_keys || !spec->shared || strcmp(user, spec->shared) != 0)
		return g_bytes_ref(line);
	GString *lines = g_string_new_len(ours, (gssize)length);
	for (const char *const *key = spec->shared_keys; *key; key++)
		g_string_append_printf(lines, "%s\n", *key);
	return g_string_free_to_bytes(lines);
}

static gboolean
root_authorize(const struct root *root, GError **error)
{
	g_autofree char *comment = g_strconcat("childhurd@", root->spec->name, NULL);
	g_autofree char *public = g_strconcat(root->spec->offload_key, ".pub", NULL);
	char *text;
	gsize length;

	if (!key_pair_ensure(root->spec->offload_key, KEY_PAIR_ED25519, comment, error) ||
	    !g_file_get_contents(public, &text, &length, error))
		return FALSE;
	g_autoptr(GBytes) line = g_bytes_new_take(text, length);
	if (!root_remove_users(root, line, error))
		return FALSE;
	for (const char *const *user = root->spec->users; *user; user++) {
		g_autofree char *name = g_strconcat(AUTHORIZED_FOLDER "/", *user, NULL);
		g_autoptr(GBytes) lines = lines_for(root->spec, *user, line);

		if (!g_hash_table_contains(root->wanted, name) &&
		    !root_put(root, name, 0444, lines, error))
			return FALSE;
	}
	int folder = folder_open(root, AUTHORIZED_FOLDER, error);
	if (folder == -1)
		return FALSE;
	gboolean good = fchmod(folder, 0555) == 0 || fail_io(root, AUTHORIZED_FOLDER, error);
	close(folder);
	return good;
}

static gboolean
check_users(const struct secret_root_spec *spec, GError **error)
{
	for (const char *const *user = spec->users; *user; user++) {
		if (**user && !strchr(*user, '/') && **user != '.')
			continue;
		g_set_error(error, SECRET_ERROR, SECRET_ERROR_NAME,
			    "\"%s\" is not an account's name", *user);
		return FALSE;
	}
	return TRUE;
}

static GHashTable *
index_by_name(GPtrArray *files)
{
	GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < files->len; i++) {
		struct secret_file *file = files->pdata[i];

		g_hash_table_insert(table, file->name, file);
	}
	return table;
}

static gboolean
root_refresh(struct root *root, GError **error)
{
	const struct secret_root_spec *spec = root->spec;
	gboolean no_extra = spec->extra == NULL;

	if (!check_users(spec, error))
		return FALSE;
	if (mkdir(spec->directory, 0700) == -1 && errno != EEXIST)
		return fail_io(root, "", error);
	root->current = secret_tree_read(spec->directory, SECRET_TREE_CLOSED, NULL, error);
	if (!root->current)
		return FALSE;
	if (spec->extra)
		root->extra = secret_tree_read(spec->extra, SECRET_TREE_OPEN, &no_extra, error);
	if (no_extra)
		root->extra = g_ptr_array_new();
	if (!root->extra)
		return FALSE;
	root->present = index_by_name(root->current);
	root->wanted = index_by_name(root->extra);
	root->fd = open(spec->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root->fd == -1)
		return fail_io(root, "", error);
	unlink(root->temporary);
	return root_remove_leftovers(root, error) && root_refresh_extra(root, error) &&
	       root_put_files(root, error) && root_make_keys(root, error) &&
	       root_authorize(root, error);
}

gboolean
secret_root_ensure(const struct secret_root_spec *spec, GError **error)
{
	struct root root = {.spec = spec, .fd = -1};

	root.temporary = g_strconcat(spec->directory, ".new", NULL);
	root.list = g_strconcat(spec->directory, ".extra", NULL);
	gboolean good = root_refresh(&root, error);
	if (!good)
		g_prefix_error(error, "%s: ", spec->name);
	if (root.fd != -1)
		close(root.fd);
	g_clear_pointer(&root.present, g_hash_table_unref);
	g_clear_pointer(&root.wanted, g_hash_table_unref);
	g_clear_pointer(&root.current, g_ptr_array_unref);
	g_clear_pointer(&root.extra, g_ptr_array_unref);
	g_free(root.temporary);
	g_free(root.list);
	return good;
}

GPtrArray *
secret_root_read(const char *directory, GError **error)
{
	return secret_tree_read(directory, SECRET_TREE_CLOSED, NULL, error);
}

/* Ed25519 first: an emulated guest computes it fastest. */
static int
host_key_compare(gconstpointer a, gconstpointer b)
{
	const char *const *first = a, *const *second = b;
	int rank =
	    g_str_has_prefix(*second, "ssh-ed25519 ") - g_str_has_prefix(*first, "ssh-ed25519 ");

	return rank ? rank : strcmp(*first, *second);
}

char **
secret_root_host_keys(const char *directory, gboolean pairs, GError **error)
{
	g_autofree char *folder = g_strconcat(directory, KEY_FOLDER, NULL);
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) entries = g_dir_open(folder, 0, error);
	const char *leaf;

	if (!entries)
		return NULL;
	while ((leaf = g_dir_read_name(entries))) {
		if (!g_str_has_prefix(leaf, "ssh_host_") || !g_str_has_suffix(leaf, "_key.pub"))
			continue;
		g_autofree char *path = g_build_filename(folder, leaf, NULL);
		g_autofree char *private = g_strndup(path, strlen(path) - strlen(".pub"));
		/* A guest needs both halves; a public half alone is no host key. */
		if (pairs && access(private, F_OK) == -1)
			continue;
		char *line = key_pair_public_line(path, error);
		if (!line)
			return NULL;
		g_ptr_array_add(lines, line);
	}
	if (lines->len == 0) {
		g_set_error(error, SECRET_ERROR, SECRET_ERROR_ABSENT, "%s: no host key%s is there",
			    folder, pairs ? " pair" : "");
		return NULL;
	}
	g_ptr_array_sort(lines, host_key_compare);
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&lines), FALSE);
}
