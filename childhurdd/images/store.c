/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All is done by open folders, so it does not matter what others do to the paths meanwhile. An
 * image gets its name when it is whole; what is not, is in a folder that nobody else can enter.
 */
#include "childhurdd/images/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/stage.h"
#include "childhurdd/system/own_folder.h"
#include "config/base/atomic_file.h"
#include "config/base/io_error.h"

#define PART_SUFFIX ".part"
#define MODE	    0644 /* of an image: no guest's secret is in it */

/* --- the folders --- */

/* Root acts as the user that owns the images, for good. */
static gboolean
become_owner(uid_t uid, const char *path, GError **error)
{
	struct identity *owner = geteuid() == 0 && uid != 0 ? identity_of(uid) : NULL;
	gboolean good = !owner || (setgroups((size_t)owner->n_groups, owner->groups) == 0 &&
				   setresgid(owner->gid, owner->gid, owner->gid) == 0 &&
				   setresuid(uid, uid, uid) == 0);
	identity_free(owner);
	return good || io_error(error, path, "its owner's place cannot be taken");
}

static gboolean
check_owner(const struct store *store, GError **error)
{
	struct stat st;
	if (fstat(store->folder, &st) < 0)
		return io_error(error, store->path, NULL);
	if (!become_owner(st.st_uid, store->path, error))
		return FALSE;
	if (st.st_uid == geteuid() && !(st.st_mode & 022))
		return TRUE;
	g_set_error(
	    error, STAGE_ERROR, STAGE_ERROR_FAILED,
	    "%s: %s; it must belong to the user that runs childhurdd, with mode 0755 or less%s",
	    store->path,
	    st.st_uid == geteuid() ? "other users may write there" : "it is another user's",
	    geteuid() && st.st_uid != geteuid() ? ": run this as that user, or as root" : "");
	return FALSE;
}

/* Without following a link that the state directory's owner has made. */
static gboolean
open_folder(struct store *store, gboolean *absent, GError **error)
{
	store->folder = open(store->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*absent = store->folder < 0 && errno == ENOENT;
	return store->folder >= 0 || *absent || io_error(error, store->path, NULL);
}

/* The state directory may be another user's: that user makes the folder. */
static gboolean
make_folder(struct store *store, GError **error)
{
	struct stat st;
	const char *state = store->config->state_directory;
	if (stat(state, &st) == 0 && !become_owner(st.st_uid, state, error))
		return FALSE;
	if (folder_make(store->path, NULL, error))
		return TRUE;
	if (geteuid() && !g_getenv("XDG_STATE_HOME"))
		g_prefix_error(error, "images are kept as the user that runs childhurdd; ");
	return FALSE;
}

static gboolean
open_unfinished(struct store *store, GError **error)
{
	g_autofree char *path = g_build_filename(store->path, STORE_UNFINISHED, NULL);
	if (mkdirat(store->folder, STORE_UNFINISHED, 0700) < 0 && errno != EEXIST)
		return io_error(error, path, "cannot be made");
	store->unfinished = openat(store->folder, STORE_UNFINISHED,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->unfinished < 0)
		return io_error(error, path, NULL);
	return fchmod(store->unfinished, 0700) == 0 || io_error(error, path, NULL);
}

gboolean
store_open(struct store *store, const struct config *config, gboolean writing, GError **error)
{
	gboolean absent;
	*store = (struct store){.config = config, .folder = -1, .unfinished = -1};
	store->path = g_build_filename(config->state_directory, IMAGE_FOLDER, NULL);
	if (!open_folder(store, &absent, error))
		return FALSE;
	if (writing &&
	    ((absent && (!make_folder(store, error) || !open_folder(store, &absent, error))) ||
	     !check_owner(store, error) || !open_unfinished(store, error)))
		return FALSE;
	/* Without one, images can still be listed. */
	if (geteuid() == 0)
		store->user = qemu_user_find(config->qemu_user, writing ? error : NULL);
	return !writing || geteuid() || store->user;
}

void
store_close(struct store *store)
{
	if (store->folder >= 0)
		close(store->folder);
	if (store->unfinished >= 0)
		close(store->unfinished);
	g_free(store->path);
	qemu_user_free(store->user);
}

/* --- whole images --- */

char *
store_image(const struct store *store, const char *name)
{
	return image_file(store->config->state_directory, name);
}

gboolean
store_has(const struct store *store, const char *name)
{
	g_autofree char *file = g_strconcat(name, IMAGE_SUFFIX, NULL);
	return store->folder >= 0 && faccessat(store->folder, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all files NAME + suffix of a folder; the caller frees. Takes over the descriptor. */
static char **
names_in(int folder, const char *suffix)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		gsize length = strlen(entry->d_name);
		if (!g_str_has_suffix(entry->d_name, suffix))
			continue;
		g_autofree char *name = g_strndup(entry->d_name, length - strlen(suffix));
		if (image_name_is_good(name))
			g_strv_builder_add(names, name);
	}
	if (dir)
		closedir(dir);
	char **all = g_strv_builder_end(names);
	qsort(all, g_strv_length(all), sizeof *all, by_name);
	return all;
}

static int
open_again(const struct store *store, const char *below)
{
	return store->folder < 0
		   ? -1
		   : openat(store->folder, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

char **
store_names(const struct store *store)
{
	return names_in(open_again(store, "."), IMAGE_SUFFIX);
}

char **
store_begun(const struct store *store)
{
	return names_in(open_again(store, STORE_UNFINISHED), PART_SUFFIX);
}

gboolean
store_write(const struct store *store, gboolean unfinished, const char *file, const char *text,
	    GError **error)
{
	const struct atomic_file_place place = {.folder =
						    unfinished ? store->unfinished : store->folder,
						.uid = (uid_t)-1,
						.gid = (gid_t)-1};
	g_autofree char *path =
	    g_build_filename(store->path, unfinished ? STORE_UNFINISHED : "", file, NULL);
	return atomic_file_write_at(&place, path, text, -1, unfinished ? 0600 : MODE, error);
}

/* --- unfinished ones --- */

char *
store_unfinished_path(const struct store *store, const char *name, const char *kind)
{
	g_autofree char *file = g_strconcat(name, ".", kind, NULL);
	return g_build_filename(store->path, STORE_UNFINISHED, file, NULL);
}

int
store_unfinished(const struct store *store, const char *name, const char *kind, gboolean anew,
		 gboolean shared, GError **error)
{
	g_autofree char *file = g_strconcat(name, ".", kind, NULL);
	g_autofree char *path = store_unfinished_path(store, name, kind);
	struct stat st;
	if (anew)
		unlinkat(store->unfinished, file, 0);
	int fd = openat(
	    store->unfinished, file,
	    O_RDWR | O_CREAT | (anew ? O_EXCL : 0) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	gboolean odd = fd < 0
			   ? errno == ELOOP || errno == EISDIR || errno == EEXIST || errno == ENXIO
			   : fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
	if (odd) {
		g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED,
			    "%s: is not a regular file, and was not made here; delete it", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (fd < 0) {
		io_error(error, path, "cannot be made");
		return -1;
	}
	const struct identity *user = qemu_user_identity(store->user);
	if (shared && user && fchown(fd, user->uid, (gid_t)-1) < 0) {
		io_error(error, path, NULL);
		close(fd);
		return -1;
	}
	return fd;
}

void
store_remove_unfinished(const struct store *store, const char *name, const char *kind)
{
	g_autofree char *file = g_strconcat(name, ".", kind, NULL);
	unlinkat(store->unfinished, file, 0);
}

void
store_clear_unfinished(const struct store *store, const char *name)
{
	static const char *const kinds[] = {"ini", "ini.new", "disk", "raw", "qcow2", "part"};
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		store_remove_unfinished(store, name, kinds[i]);
}

/* Is fd still the file of that name? The holder of the lock may have removed it. */
static gboolean
is_still(const struct store *store, const char *name, int fd)
{
	struct stat here, there;
	g_autofree char *file = g_strconcat(name, ".part", NULL);
	return fstat(fd, &here) == 0 &&
	       fstatat(store->unfinished, file, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       here.st_ino == there.st_ino;
}

int
store_lock(const struct store *store, const char *name, GError **error)
{
	for (;;) {
		int fd = store_unfinished(store, name, "part", FALSE, FALSE, error);
		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED,
				    "%s: another childhurdctl image is at work on it", name);
			close(fd);
			return -1;
		}
		if (is_still(store, name, fd))
			return fd;
		close(fd);
	}
}

gboolean
store_finish(const struct store *store, const char *name, int fd, const struct image_record *record,
	     GError **error)
{
	struct stat st;
	struct image_record complete = *record;
	g_autofree char *path = store_image(store, name);
	g_autofree char *file = g_path_get_basename(path), *record_file = image_record_file(file);
	if (fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, MODE) < 0 || fsync(fd) < 0 ||
	    fstat(fd, &st) < 0)
		return io_error(error, path, NULL);
	complete.size = st.st_size;
	complete.when = g_get_real_time() / G_USEC_PER_SEC;
	g_autofree char *text = image_record_text(&complete);
	if (!store_write(store, FALSE, record_file, text, error))
		return FALSE;
	if (renameat2(store->unfinished, file, store->folder, file, RENAME_NOREPLACE) < 0)
		return io_error(error, path, NULL);
	fsync(store->folder);
	return TRUE;
}
