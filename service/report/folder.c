/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The list names more than is there rather than less: before the first file is written it has the
 * old and the new ones, and after the last is removed the new ones only. So whatever a process that
 * is killed leaves, the next report knows it as a report's.
 *
 * The list is a file that somebody may have changed. A name in it is taken only if it could be a
 * report's, so nothing outside the folder is ever removed.
 */
#include "service/report/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/atomic_file.h"
#include "config/base/guarded.h"
#include "config/base/io_error.h"

#define LIST_HEAD                                                                                  \
	"# The files that `childhurdctl report` has written here, and may replace and remove.\n"

struct folder {
	char *path;
	GHashTable *names; /* of this report, borrowed */
	GHashTable *old;   /* of earlier ones, of char * */
	mode_t mode;	   /* of new files */
};

/* Is this a name that a report gives? */
static gboolean
is_ours(const char *name)
{
	gboolean page = g_str_has_prefix(name, "guest-") && g_str_has_suffix(name, ".html");
	gboolean picture = g_str_has_prefix(name, "failure-") && g_str_has_suffix(name, ".png");
	return (page || picture || !strcmp(name, "index.html")) && !strchr(name, '/');
}

static char *
path_of(const struct folder *folder, const char *name)
{
	return g_build_filename(folder->path, name, NULL);
}

/* The text of the file, FOLDER_LIST_MAX bytes and one more at most; "": it is no file, but a
 * link, a folder, a device or a FIFO, of which nothing is read. NULL and errno. Caller frees. */
static char *
read_bounded(int fd)
{
	struct stat status;
	if (fd < 0)
		return errno == ELOOP ? g_strdup("") : NULL;
	if (fstat(fd, &status) < 0)
		return NULL;
	if (!S_ISREG(status.st_mode))
		return g_strdup("");
	g_autofree char *text = g_malloc(FOLDER_LIST_MAX + 2);
	gsize length = 0;
	ssize_t n;
	while ((n = read(fd, text + length, FOLDER_LIST_MAX + 1 - length)) > 0)
		length += (gsize)n;
	text[length] = '\0';
	return n < 0 ? NULL : g_steal_pointer(&text);
}

/* The list's text. NULL without error: there is none. Root reads it as the folder's owner, who may
 * have put anything in its place. */
static char *
read_text(const struct folder *folder, const char *path, GError **error)
{
	g_auto(guarded) place = {.fd = -1};
	if (!guarded_open(folder->path, &place, error))
		return NULL;
	guarded_enter(&place);
	int fd = openat(place.fd, FOLDER_LIST,
			O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	char *text = read_bounded(fd);
	int why = errno;
	guarded_leave(&place);
	if (fd >= 0)
		close(fd);
	errno = why;
	if (!text && why != ENOENT)
		io_error(error, path, "cannot be read");
	return text;
}

/* The list of the report before this one; empty if there was none. */
static gboolean
read_list(struct folder *folder, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autofree char *path = path_of(folder, FOLDER_LIST);
	g_autofree char *text = read_text(folder, path, &why);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return FALSE;
	}
	if (!text)
		return TRUE;
	if (strlen(text) > FOLDER_LIST_MAX || !g_str_has_prefix(text, LIST_HEAD)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "%s: not the list of a report; remove it, or name another directory",
			    path);
		return FALSE;
	}
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (is_ours(*line))
			g_hash_table_add(folder->old, g_strdup(*line));
	return TRUE;
}

static gboolean
check_foreign(const struct folder *folder, GError **error)
{
	GHashTableIter iter;
	gpointer name;
	g_hash_table_iter_init(&iter, folder->names);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		g_autofree char *path = path_of(folder, name);
		struct stat status;
		if (g_hash_table_contains(folder->old, name) || lstat(path, &status) < 0)
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
			    "%s: was not written by childhurdctl report, and stays; remove it, or "
			    "name another directory",
			    path);
		return FALSE;
	}
	return TRUE;
}

static gboolean
write_list(const struct folder *folder, gboolean old, GError **error)
{
	g_autoptr(GString) text = g_string_new(LIST_HEAD);
	g_autofree char *path = path_of(folder, FOLDER_LIST);
	g_autoptr(GList) names = g_hash_table_get_keys(folder->names);
	g_autoptr(GList) olds = old ? g_hash_table_get_keys(folder->old) : NULL;
	names = g_list_sort(names, (GCompareFunc)strcmp);
	for (GList *i = names; i; i = i->next)
		g_string_append_printf(text, "%s\n", (const char *)i->data);
	for (GList *i = olds; i; i = i->next)
		if (!g_hash_table_contains(folder->names, i->data))
			g_string_append_printf(text, "%s\n", (const char *)i->data);
	return atomic_file_write(path, text->str, (gssize)text->len, folder->mode, error);
}

/* What open(2) would give a new file. */
static mode_t
usual_mode(void)
{
	mode_t mask = umask(077);
	umask(mask);
	return 0666 & ~mask;
}

/* Make path's last part, as the owner of the folder above it. What is above must be there: a name
 * that is mistyped is no reason to make folders. */
static gboolean
make_folder(const char *path, GError **error)
{
	struct stat status;
	if (stat(path, &status) == 0)
		return TRUE;
	g_autofree char *whole = g_canonicalize_filename(path, NULL);
	g_autofree char *above = g_path_get_dirname(whole), *name = g_path_get_basename(whole);
	g_auto(guarded) place = {.fd = -1};
	if (!guarded_open(above, &place, error)) {
		g_prefix_error(error, "%s: cannot be made: ", path);
		return FALSE;
	}
	guarded_enter(&place);
	int result = mkdirat(place.fd, name, 0777);
	guarded_leave(&place);
	return result == 0 || io_error(error, path, "cannot be made");
}

/* The directory that a report is to be in: there, or made. */
static gboolean
take_folder(const char *path, GError **error)
{
	struct stat status;
	if (!make_folder(path, error))
		return FALSE;
	if (stat(path, &status) < 0)
		return io_error(error, path, NULL);
	if (S_ISDIR(status.st_mode))
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY, "%s: is not a directory", path);
	return FALSE;
}

struct folder *
folder_begin(const char *path, GHashTable *names, GError **error)
{
	struct folder *folder = g_new0(struct folder, 1);
	folder->path = g_strdup(path);
	folder->names = names;
	folder->old = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	folder->mode = usual_mode();
	if (take_folder(path, error) && read_list(folder, error) && check_foreign(folder, error) &&
	    write_list(folder, TRUE, error))
		return folder;
	folder_free(folder);
	return NULL;
}

void
folder_free(struct folder *folder)
{
	if (!folder)
		return;
	g_hash_table_unref(folder->old);
	g_free(folder->path);
	g_free(folder);
}

gboolean
folder_has(const struct folder *folder, const char *name)
{
	g_autofree char *path = path_of(folder, name);
	return g_hash_table_contains(folder->old, name) && g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean
folder_write(const struct folder *folder, const char *name, const char *bytes, gsize n,
	     GError **error)
{
	g_autofree char *path = path_of(folder, name);
	g_assert(g_hash_table_contains(folder->names, name));
	return atomic_file_write(path, bytes, (gssize)n, folder->mode, error);
}

static gboolean
remove_old(const struct folder *folder, const char *name, GError **error)
{
	g_autofree char *path = path_of(folder, name);
	atomic_file_tidy(path);
	return guarded_unlink(path) == 0 || errno == ENOENT ||
	       io_error(error, path, "cannot be removed");
}

gboolean
folder_end(const struct folder *folder, GError **error)
{
	GHashTableIter iter;
	gpointer name;
	g_hash_table_iter_init(&iter, folder->old);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		if (!g_hash_table_contains(folder->names, name) && !remove_old(folder, name, error))
			return FALSE;
	return write_list(folder, FALSE, error);
}
