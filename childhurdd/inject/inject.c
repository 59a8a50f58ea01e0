/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is written is decided in memory (blocks.h), written at once, and then looked at again with
 * nothing but the disk to go by. */
#include "childhurdd/inject/inject.h"

#include <elf.h>
#include <string.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/file_system.h"

#define STORE	  "/gnu/store"
#define STORE_MAX 64 /* items of one kind that are looked at */

G_DEFINE_QUARK(childhurd - inject - error - quark, inject_error)

/* --- the root --- */

/* Programs of each Hurd that decide what it runs on: those of the machine's own word length. */
static const char *const programs[] = {"/hurd/exec", "/hurd/ext2fs.static", "/hurd/ext2fs", NULL};
static const char *const kernels[] = {"boot/gnumach", "boot/gnumach-up", NULL};

/* What only a Hurd's root has; NULL: nothing of it. */
static const char *
mark_of(struct file_system *fs)
{
	return file_system_look(fs, "/hurd") != FILE_MISSING	 ? "/hurd"
	       : file_system_look(fs, "/servers") == FILE_FOLDER ? "/servers"
	       : file_system_look(fs, STORE) == FILE_FOLDER	 ? STORE
								 : NULL;
}

/* FALSE: the error says what is missing; none if nothing of a root is there. */
static gboolean
is_root(struct file_system *fs, guint64 offset, GError **error)
{
	static const char *const found[] = {"no /etc", "a file as /etc", NULL,
					    "a symbolic link as /etc",
					    "a translator or a special file as /etc"};
	const char *mark = mark_of(fs);
	enum file_kind etc = file_system_look(fs, "/etc");
	if (mark && etc == FILE_FOLDER)
		return TRUE;
	if (mark)
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
			    "the one at byte %" G_GUINT64_FORMAT " has %s, but %s", offset, mark,
			    found[etc]);
	else if (etc == FILE_FOLDER)
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
			    "the one at byte %" G_GUINT64_FORMAT
			    " has /etc, but neither /hurd nor /servers nor " STORE,
			    offset);
	return FALSE;
}

/* Is the root there? A file system that cannot be read is none; *problem: the first that cannot, or
 * comes near, for the message. */
static gboolean
has_root(struct device *device, const struct partition *partition, GError **problem)
{
	g_autoptr(GError) error = NULL;
	if (!file_system_is_there(device, partition, &error))
		return FALSE;
	struct file_system *fs = file_system_open(device, partition, FALSE, &error);
	gboolean found = fs && is_root(fs, partition->offset, &error);
	file_system_close(fs);
	if (error && !*problem)
		*problem = g_steal_pointer(&error);
	return found;
}

static gboolean
find_root(struct device *device, struct partition *root, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(GArray) partitions = partitions_find(device, error);
	guint found = 0;
	if (!partitions)
		return FALSE;
	for (guint i = 0; i < partitions->len; i++) {
		const struct partition *partition = &g_array_index(partitions, struct partition, i);
		if (!has_root(device, partition, &problem))
			continue;
		if (found++) {
			g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
				    "two of its partitions could be the root, at byte "
				    "%" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
				    ": each has /etc and /hurd; remove one",
				    root->offset, partition->offset);
			return FALSE;
		}
		*root = *partition;
	}
	if (!found)
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
			    "none of its %u partitions is the root of a Hurd: an ext2 file system "
			    "with /etc and /hurd%s%s",
			    partitions->len, problem ? "; " : "", problem ? problem->message : "");
	return found == 1;
}

/* --- what it is --- */

/* AUTO: it is no program, or one of neither. */
static enum config_architecture
architecture_of(struct file_system *fs, const char *path)
{
	Elf32_Ehdr head; /* what is looked at is in the same place in both */
	if (file_system_begin(fs, path, &head, sizeof head) != sizeof head ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_DATA] != ELFDATA2LSB)
		return CONFIG_ARCHITECTURE_AUTO;
	switch (GUINT16_FROM_LE(head.e_machine)) {
	case EM_386:
		return CONFIG_ARCHITECTURE_I586;
	case EM_X86_64:
		return CONFIG_ARCHITECTURE_X86_64;
	default:
		return CONFIG_ARCHITECTURE_AUTO;
	}
}

/* The programs of Guix are in its store; /hurd is only made when it boots. */
static enum config_architecture
architecture_in_store(struct file_system *fs, const char *item, const char *const *below)
{
	enum config_architecture found = CONFIG_ARCHITECTURE_AUTO;
	g_auto(GStrv) items = file_system_names(fs, STORE, item, STORE_MAX);
	for (char **one = items; *one && !found; one++)
		for (const char *const *file = below; *file && !found; file++) {
			const char *leaf = **file == '/' ? *file + 1 : *file;
			g_autofree char *path = g_build_filename(STORE, *one, leaf, NULL);
			found = architecture_of(fs, path);
		}
	return found;
}

static void
look(struct file_system *fs, struct image_kind *kind)
{
	G_STATIC_ASSERT(CONFIG_ARCHITECTURE_AUTO == 0);
	*kind = (struct image_kind){CONFIG_ARCHITECTURE_AUTO, CONFIG_DISTRIBUTION_OTHER};
	for (const char *const *path = programs; *path && !kind->architecture; path++)
		kind->architecture = architecture_of(fs, *path);
	if (file_system_look(fs, "/etc/debian_version") == FILE_REGULAR)
		kind->distribution = CONFIG_DISTRIBUTION_DEBIAN;
	else if (file_system_look(fs, STORE) == FILE_FOLDER)
		kind->distribution = CONFIG_DISTRIBUTION_GUIX;
	if (!kind->architecture)
		kind->architecture = architecture_in_store(fs, "-hurd-", programs);
	if (!kind->architecture)
		kind->architecture = architecture_in_store(fs, "-gnumach-", kernels);
}

char *
image_kind_note(struct image_kind kind)
{
	static const char *const names[] = {"unknown", "guix", "debian", "other"};
	if (kind.architecture)
		return NULL;
	return g_strdup_printf("its image's distribution is %s, and its architecture is not "
			       "recognised: taken as i586",
			       names[kind.distribution]);
}

gboolean
inject_look(struct device *device, struct image_kind *kind, GError **error)
{
	struct partition root;
	struct file_system *fs =
	    find_root(device, &root, error) ? file_system_open(device, &root, FALSE, error) : NULL;
	if (!fs)
		return FALSE;
	look(fs, kind);
	file_system_close(fs);
	return TRUE;
}

/* --- writing --- */

/* A file as it is to be. */
struct wanted {
	const char *path;
	gboolean ours;
	mode_t mode;
	GBytes *content;
};

static void
wanted_clear(void *data)
{
	g_bytes_unref(((struct wanted *)data)->content);
}

/* FALSE: the error says why. An edit that changes nothing leaves nothing in wanted. */
static gboolean
want(struct file_system *fs, const struct edit *edit, GArray *wanted, GError **error)
{
	g_autoptr(GBytes) old = NULL;
	if (edit->kind != EDIT_PUT && file_system_look(fs, edit->path) != FILE_MISSING) {
		old = file_system_read(fs, edit->path, EDIT_TEXT_MAX, error);
		if (!old)
			return FALSE;
	}
	GBytes *content = edit_content(edit, old);
	if (content) {
		struct wanted one = {edit->path, edit->kind == EDIT_PUT, edit->mode, content};
		g_array_append_val(wanted, one);
	}
	return TRUE;
}

static gboolean
write_all(struct file_system *fs, const GPtrArray *edits, GArray *wanted, GError **error)
{
	for (guint i = 0; i < edits->len; i++) {
		guint before = wanted->len;
		if (!want(fs, edits->pdata[i], wanted, error))
			return FALSE;
		if (wanted->len == before)
			continue;
		const struct wanted *one = &g_array_index(wanted, struct wanted, before);
		if (!file_system_put(fs, one->path, one->ours, one->mode, one->content, error))
			return FALSE;
	}
	return file_system_commit(fs, error);
}

static gboolean
read_back(struct device *device, const struct partition *root, const GArray *wanted, GError **error)
{
	struct file_system *fs = file_system_open(device, root, TRUE, error);
	gboolean good = fs != NULL;
	for (guint i = 0; i < wanted->len && good; i++) {
		const struct wanted *one = &g_array_index(wanted, struct wanted, i);
		good = file_system_has(fs, one->path, one->ours, one->mode, one->content);
		if (!good)
			g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO,
				    "%s: what is read back is not what was written", one->path);
	}
	file_system_close(fs);
	return good;
}

gboolean
inject(struct device *device, const GPtrArray *edits, GError **error)
{
	struct partition root;
	g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(struct wanted));
	g_array_set_clear_func(wanted, wanted_clear);
	struct file_system *fs =
	    find_root(device, &root, error) ? file_system_open(device, &root, TRUE, error) : NULL;
	if (!fs)
		return FALSE;
	gboolean good = write_all(fs, edits, wanted, error);
	file_system_close(fs);
	return good && read_back(device, &root, wanted, error);
}
