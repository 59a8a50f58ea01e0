/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads a secret root, or an administrator's extra files, and refuses unsafe ones.
 *
 * Guix follows symbolic links here and checks no modes. But these files become a guest's identity,
 * so a file that another user could have put there, or can change, is not a secret. Each message
 * names the file, the problem, and the command that fixes it.
 */
#include "ssh/secrets/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
	GPtrArray *files;
	gint64 bytes;
};

/* closedir also closes the descriptor. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, closedir)

static gboolean
fail_io(const char *path, GError **error)
{
	int problem = errno;

	g_set_error(error, SECRET_ERROR, SECRET_ERROR_IO, "%s: %s", path, g_strerror(problem));
	return FALSE;
}

/* what: "is ..., but ..."; fix: a command; the quoted path is appended to it. */
static gboolean
fail_unsafe(const char *path, const char *what, const char *fix, GError **error)
{
	g_autofree char *quoted = g_shell_quote(path);

	g_set_error(error, SECRET_ERROR, SECRET_ERROR_UNSAFE, "%s: %s; fix it with: %s %s", path,
		    what, fix, quoted);
	return FALSE;
}

struct secret_bytes {
	char *content;
	gsize length;
};

static void
secret_bytes_wipe(gpointer data)
{
	struct secret_bytes *bytes = data;

	explicit_bzero(bytes->content, bytes->length);
	g_free(bytes->content);
	g_free(bytes);
}

/* Takes ownership of content, which is wiped with the last reference. */
static GBytes *
secret_bytes_new_take(char *content, gsize length)
{
	struct secret_bytes *bytes = g_new(struct secret_bytes, 1);

	bytes->content = content;
	bytes->length = length;
	return g_bytes_new_with_free_func(content, length, secret_bytes_wipe, bytes);
}

static gboolean
is_private(const char *path)
{
	return g_str_has_suffix(path, "_key") || g_str_has_suffix(path, ".sec");
}

/* Report what it is, if it is neither a file nor a folder. */
static gboolean
fail_kind(const char *path, mode_t mode, GError **error)
{
	const char *what = "is a device, but only files and folders can be secrets";

	if (S_ISLNK(mode))
		what =
		    "is a symbolic link, but only files and folders can be secrets (copy the file "
		    "it points to)";
	else if (S_ISFIFO(mode))
		what = "is a named pipe, but only files and folders can be secrets";
	else if (S_ISSOCK(mode))
		what = "is a socket, but only files and folders can be secrets";
	return fail_unsafe(path, what, "rm", error);
}

/* Owner and mode of an open file or folder. */
static gboolean
check_status(const char *path, const struct stat *status, GError **error)
{
	unsigned int mode = status->st_mode & 07777;

	if (status->st_uid != 0 && status->st_uid != geteuid()) {
		g_autofree char *what =
		    g_strdup_printf("belongs to user %u, but must belong to user %u, which runs "
				    "childhurdd, or root",
				    (unsigned)status->st_uid, (unsigned)geteuid());
		g_autofree char *fix = g_strdup_printf("chown %u", (unsigned)geteuid());

		return fail_unsafe(path, what, fix, error);
	}
	if (mode & 022) {
		g_autofree char *what =
		    g_strdup_printf("has mode %04o, so others can change it", mode);

		return fail_unsafe(path, what, "chmod go-w", error);
	}
	if (S_ISREG(status->st_mode) && is_private(path) && (mode & 077)) {
		g_autofree char *what =
		    g_strdup_printf("is a private key with mode %04o, so others can read it", mode);

		return fail_unsafe(path, what, "chmod go-rwx", error);
	}
	return TRUE;
}

static GBytes *
file_read(int fd, gsize size, const char *path, GError **error)
{
	char *content = g_malloc(size + 1);
	gsize length = 0;

	while (length <= size) {
		ssize_t count = read(fd, content + length, size + 1 - length);

		if (count == -1 && errno == EINTR)
			continue;
		if (count == -1) {
			fail_io(path, error);
			break;
		}
		if (count == 0 && length == size)
			return secret_bytes_new_take(content, size);
		if (count == 0 || length + (gsize)count > size) {
			g_set_error(error, SECRET_ERROR, SECRET_ERROR_IO,
				    "%s: was changed while it was read; try again", path);
			break;
		}
		length += (gsize)count;
	}
	explicit_bzero(content, size + 1);
	g_free(content);
	return NULL;
}

static gboolean
walk_file(struct walk *walk, int folder, const char *leaf, const char *path, const char *name,
	  GError **error)
{
	struct stat status;
	gboolean good = FALSE;
	/* Non-blocking: if it has become a pipe by now, the open must not wait for a writer. */
	int fd = openat(folder, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd == -1)
		return errno == ELOOP ? fail_kind(path, S_IFLNK, error) : fail_io(path, error);
	if (fstat(fd, &status) == -1)
		fail_io(path, error);
	else if (!S_ISREG(status.st_mode))
		fail_kind(path, status.st_mode, error);
	else if (!check_status(path, &status, error))
		;
	else if (walk->files->len >= SECRET_FILES_MAX ||
		 status.st_size > SECRET_BYTES_MAX - walk->bytes)
		g_set_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT,
			    "%s: one too many: at most %d files and %" G_GINT64_FORMAT
			    " MiB are sent to a guest",
			    path, SECRET_FILES_MAX, SECRET_BYTES_MAX >> 20);
	else {
		GBytes *content = file_read(fd, (gsize)status.st_size, path, error);

		if (content) {
			struct secret_file *file = g_new0(struct secret_file, 1);

			file->name = g_strdup(name);
			file->mode = status.st_mode;
			file->content = content;
			g_ptr_array_add(walk->files, file);
			walk->bytes += status.st_size;
			good = TRUE;
		}
	}
	close(fd);
	return good;
}

static gboolean walk_folder(struct walk *walk, int fd, const char *path, const char *name,
			    int depth, GError **error);

/* path is for messages, name is the one within the root; both without the leaf. */
static gboolean
walk_entry(struct walk *walk, int folder, const char *leaf, const char *path, const char *name,
	   int depth, GError **error)
{
	g_autofree char *leaf_path = g_build_filename(path, leaf, NULL);
	g_autofree char *leaf_name = g_strconcat(name, "/", leaf, NULL);
	struct stat status;

	if (fstatat(folder, leaf, &status, AT_SYMLINK_NOFOLLOW) == -1)
		return fail_io(leaf_path, error);
	if (S_ISREG(status.st_mode))
		return walk_file(walk, folder, leaf, leaf_path, leaf_name, error);
	if (!S_ISDIR(status.st_mode))
		return fail_kind(leaf_path, status.st_mode, error);
	int fd = openat(folder, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return fail_io(leaf_path, error);
	return walk_folder(walk, fd, leaf_path, leaf_name, depth + 1, error);
}

/* Takes ownership of fd. */
static gboolean
walk_folder(struct walk *walk, int fd, const char *path, const char *name, int depth,
	    GError **error)
{
	struct stat status;
	g_autoptr(DIR) folder = fdopendir(fd);

	if (!folder) {
		fail_io(path, error);
		close(fd);
		return FALSE;
	}
	if (depth > SECRET_TREE_DEPTH_MAX) {
		g_set_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT,
			    "%s: is nested too deeply: at most %d folders", path,
			    SECRET_TREE_DEPTH_MAX);
		return FALSE;
	}
	if (fstat(fd, &status) == -1)
		return fail_io(path, error);
	if (!check_status(path, &status, error))
		return FALSE;
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(folder);

		if (!entry)
			return errno == 0 || fail_io(path, error);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!walk_entry(walk, fd, entry->d_name, path, name, depth, error))
			return FALSE;
	}
}

/* Open the top folder itself: not a link, and with the right mode. */
static int
open_top(const char *directory, enum secret_tree_folder folder, GError **error)
{
	struct stat status;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1) {
		int problem = errno;

		if (lstat(directory, &status) == 0 && !S_ISDIR(status.st_mode))
			fail_unsafe(directory,
				    S_ISLNK(status.st_mode)
					? "is a symbolic link, but must be the folder itself"
					: "is not a folder, but must be one",
				    "rm", error);
		else {
			errno = problem;
			fail_io(directory, error);
		}
		return -1;
	}
	if (fstat(fd, &status) == -1) {
		fail_io(directory, error);
	} else if (check_status(directory, &status, error)) {
		if (folder == SECRET_TREE_OPEN || !(status.st_mode & 077))
			return fd;
		g_autofree char *what = g_strdup_printf("has mode %04o, so others can look into it",
							(unsigned)status.st_mode & 07777);

		fail_unsafe(directory, what, "chmod 0700", error);
	}
	close(fd);
	return -1;
}

static int
file_compare(gconstpointer a, gconstpointer b)
{
	const struct secret_file *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

GPtrArray *
secret_tree_read(const char *directory, enum secret_tree_folder folder, gboolean *is_missing,
		 GError **error)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	struct walk walk = {.files = files};
	struct stat status;

	if (is_missing) {
		*is_missing = lstat(directory, &status) == -1 && errno == ENOENT;
		if (*is_missing)
			return NULL;
	}
	int fd = open_top(directory, folder, error);
	if (fd == -1 || !walk_folder(&walk, fd, directory, "", 0, error))
		return NULL;
	g_ptr_array_sort(files, file_compare);
	return g_steal_pointer(&files);
}
