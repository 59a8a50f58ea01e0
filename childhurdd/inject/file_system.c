/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes only where all of a file system is understood: what the Hurd's own ext2fs knows
 * (ext2fs/ext2_fs.h in the Hurd's source), and a journal that is empty. libext2fs knows much more,
 * but a file system with more is none that a Hurd has made, and nobody would notice until it
 * breaks.
 *
 * The Hurd keeps a translator's place and a file's author in the inode, where Linux has other
 * things (osd1, osd2). An existing inode is read and written back as it is, but for the fields that
 * have to change.
 */
#include "childhurdd/inject/file_system.h"

#include <e2p/e2p.h>
#include <string.h>
#include <time.h>

#include "childhurdd/inject/blocks.h"

#define SUPER_AT       1024
#define GROUPS_MAX     (128 * 1024)
#define LOG_BLOCK_MAX  6 /* blocks of 64 KiB */
#define INODE_SIZE_OLD 128
#define INODE_SIZE_NEW 256
#define JOURNAL_MAGIC  0xc03b3998U
#define JOURNAL_START  28 /* in its superblock: the first block in use; 0: it is empty */

#define COMPAT_KNOWN                                                                               \
	(EXT2_FEATURE_COMPAT_DIR_PREALLOC | EXT3_FEATURE_COMPAT_HAS_JOURNAL |                      \
	 EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_RESIZE_INODE |                         \
	 EXT2_FEATURE_COMPAT_DIR_INDEX)
#define INCOMPAT_KNOWN EXT2_FEATURE_INCOMPAT_FILETYPE
#define RO_COMPAT_KNOWN                                                                            \
	(EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |                 \
	 EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE)

struct file_system {
	struct device *device;
	struct blocks *blocks;
	struct partition partition;
	ext2_filsys ext2;
	gboolean hurd; /* its inodes have translators and authors */
};

static gboolean fail(const struct partition *partition, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
fail(const struct partition *partition, GError **error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
		    "its file system (at byte %" G_GUINT64_FORMAT ") %s", partition->offset, text);
	return FALSE;
}

/* --- may it be written to? --- */

static gboolean
super_read(struct device *device, const struct partition *partition, struct ext2_super_block *super,
	   GError **error)
{
	if (partition->length < SUPER_AT + sizeof *super) {
		memset(super, 0, sizeof *super);
		return TRUE;
	}
	return device->read(device, super, sizeof *super, partition->offset + SUPER_AT, error);
}

static gboolean
is_ext2(const struct ext2_super_block *super)
{
	return GUINT16_FROM_LE(super->s_magic) == EXT2_SUPER_MAGIC;
}

/* What libext2fs would believe. */
static gboolean
super_is_sound(const struct ext2_super_block *super, const struct partition *partition,
	       GError **error)
{
	guint32 log = GUINT32_FROM_LE(super->s_log_block_size);
	guint64 blocks = GUINT32_FROM_LE(super->s_blocks_count);
	guint64 per_group = GUINT32_FROM_LE(super->s_blocks_per_group);
	if (log > LOG_BLOCK_MAX || GUINT32_FROM_LE(super->s_rev_level) > EXT2_DYNAMIC_REV)
		return fail(partition, error, "has blocks or a version that ext2 does not have");
	if (blocks > partition->length >> (10 + log))
		return fail(partition, error,
			    "is larger than its partition: the image is truncated, or its "
			    "partition table is wrong");
	if (!per_group || blocks / per_group > GROUPS_MAX)
		return fail(partition, error, "has a damaged superblock; repair it with e2fsck");
	return TRUE;
}

/* What to do about it: the guest repairs its own disk, and an image is somebody's. */
static char *
repair(const struct device *device, const struct partition *partition, const char *between)
{
	if (device->used)
		return g_strdup("");
	return g_strdup_printf("%sboot the image elsewhere and shut it down, or e2fsck -f "
			       "'IMAGE?offset=%" G_GUINT64_FORMAT
			       "' (of a raw image: qemu-img convert -O raw)",
			       between, partition->offset);
}

static gboolean
fail_journal(const struct device *device, const struct partition *partition, GError **error)
{
	g_autofree char *how = repair(device, partition, ": ");
	return fail(partition, error, "has a journal that has to be replayed first%s", how);
}

static gboolean
super_is_clean(const struct device *device, const struct ext2_super_block *super,
	       const struct partition *partition, GError **error)
{
	guint16 state = GUINT16_FROM_LE(super->s_state);
	g_autofree char *how = repair(device, partition, "; ");
	if (GUINT32_FROM_LE(super->s_feature_incompat) & EXT3_FEATURE_INCOMPAT_RECOVER)
		return fail_journal(device, partition, error);
	if (!(state & EXT2_VALID_FS) || state & EXT2_ERROR_FS || super->s_last_orphan)
		return fail(partition, error, "is not clean: it was not unmounted, or has errors%s",
			    how);
	return TRUE;
}

/* For reading, only what changes the way to read matters. */
static gboolean
super_is_known(const struct ext2_super_block *super, const struct partition *partition,
	       gboolean writable, GError **error)
{
	gboolean old = GUINT32_FROM_LE(super->s_rev_level) == EXT2_GOOD_OLD_REV;
	guint16 size = old ? INODE_SIZE_OLD : GUINT16_FROM_LE(super->s_inode_size);
	guint32 odd[] = {
	    GUINT32_FROM_LE(super->s_feature_compat) & ~(guint32)COMPAT_KNOWN,
	    GUINT32_FROM_LE(super->s_feature_incompat) &
		~(guint32)(INCOMPAT_KNOWN | EXT3_FEATURE_INCOMPAT_RECOVER),
	    GUINT32_FROM_LE(super->s_feature_ro_compat) & ~(guint32)RO_COMPAT_KNOWN,
	};
	static const int kinds[] = {E2P_FEATURE_COMPAT, E2P_FEATURE_INCOMPAT,
				    E2P_FEATURE_RO_INCOMPAT};
	for (int i = 0; i < 3; i++)
		for (guint32 bit = 0; !old && bit < 32; bit++)
			if (odd[i] & 1U << bit && (writable || i == 1))
				return fail(partition, error,
					    "has the feature %s, which no Hurd has; make the image "
					    "again without it (mke2fs -o hurd), or use another way "
					    "than inject = image",
					    e2p_feature2string(kinds[i], 1U << bit));
	if (size != INODE_SIZE_OLD && size != INODE_SIZE_NEW)
		return fail(partition, error,
			    "has inodes of %u bytes; ext2 for the Hurd has %d or %d", size,
			    INODE_SIZE_OLD, INODE_SIZE_NEW);
	return TRUE;
}

/* A journal may be in use although the superblock does not say so. */
static gboolean
journal_is_empty(struct file_system *fs, GError **error)
{
	struct ext2_super_block *super = fs->ext2->super;
	g_autofree guint8 *block = g_malloc0(fs->ext2->blocksize);
	g_autofree char *how = repair(fs->device, &fs->partition, "; ");
	guint32 magic, start;
	blk64_t at;
	if (!ext2fs_has_feature_journal(super))
		return TRUE;
	if (super->s_journal_dev ||
	    ext2fs_bmap2(fs->ext2, super->s_journal_inum, NULL, NULL, 0, 0, NULL, &at) || !at ||
	    io_channel_read_blk64(fs->ext2->io, at, 1, block))
		return fail(&fs->partition, error, "has a journal that cannot be read%s", how);
	memcpy(&magic, block, sizeof magic);
	memcpy(&start, block + JOURNAL_START, sizeof start);
	if (GUINT32_FROM_BE(magic) != JOURNAL_MAGIC || start)
		return fail_journal(fs->device, &fs->partition, error);
	return TRUE;
}

/* --- open and close --- */

gboolean
file_system_is_there(struct device *device, const struct partition *partition, GError **error)
{
	struct ext2_super_block super;
	return super_read(device, partition, &super, error) && is_ext2(&super);
}

/* libext2fs' word, or that of the disk below it. */
static gboolean
failed(struct file_system *fs, const char *what, errcode_t code, GError **error)
{
	const GError *below = blocks_error(fs->blocks);
	enum inject_error kind =
	    code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL
		? INJECT_ERROR_FULL
		: INJECT_ERROR_UNFIT;
	if (below)
		g_set_error(error, below->domain, below->code, "%s: %s", what, below->message);
	else if (code == EXT2_ET_INODE_ALLOC_FAIL)
		g_set_error(error, INJECT_ERROR, kind,
			    "%s: its file system has no free inodes; remove files in %s", what,
			    fs->device->used ? "it"
					     : "the image, or make it with more (mke2fs -N)");
	else if (kind == INJECT_ERROR_FULL)
		g_set_error(error, INJECT_ERROR, kind,
			    "%s: its file system is full; make room in %s", what,
			    fs->device->used ? "it" : "the image");
	else
		g_set_error(error, INJECT_ERROR, kind, "%s: %s", what, error_message(code));
	return FALSE;
}

void
file_system_close(struct file_system *fs)
{
	if (!fs)
		return;
	if (fs->ext2)
		ext2fs_free(fs->ext2);
	blocks_free(fs->blocks);
	g_free(fs);
}

static gboolean
open_it(struct file_system *fs, gboolean writable, GError **error)
{
	int flags = EXT2_FLAG_64BITS | (writable ? EXT2_FLAG_RW : 0);
	errcode_t code =
	    ext2fs_open(blocks_name(fs->blocks), flags, 0, 0, blocks_manager(), &fs->ext2);
	if (code)
		return failed(fs, "its file system cannot be opened", code, error);
	fs->hurd = fs->ext2->super->s_creator_os == EXT2_OS_HURD;
	if (!writable)
		return TRUE;
	fs->ext2->flags |= EXT2_FLAG_MASTER_SB_ONLY; /* as a kernel does */
	code = ext2fs_check_desc(fs->ext2);
	if (!code)
		code = ext2fs_read_bitmaps(fs->ext2);
	if (code)
		return failed(fs, "its file system cannot be read", code, error);
	return journal_is_empty(fs, error);
}

struct file_system *
file_system_open(struct device *device, const struct partition *partition, gboolean writable,
		 GError **error)
{
	struct ext2_super_block super;
	if (!super_read(device, partition, &super, error) ||
	    !super_is_sound(&super, partition, error) ||
	    !super_is_known(&super, partition, writable, error) ||
	    (writable && !super_is_clean(device, &super, partition, error)))
		return NULL;
	initialize_ext2_error_table();
	struct file_system *fs = g_new0(struct file_system, 1);
	fs->device = device;
	fs->partition = *partition;
	fs->blocks = blocks_new(device, partition);
	if (open_it(fs, writable, error))
		return fs;
	file_system_close(fs);
	return NULL;
}

/* --- names --- */

/* 0: there is none. */
static errcode_t
find_in(struct file_system *fs, ext2_ino_t folder, const char *name, ext2_ino_t *inode)
{
	errcode_t code = ext2fs_lookup(fs->ext2, folder, name, (int)strlen(name), NULL, inode);
	if (code == EXT2_ET_FILE_NOT_FOUND) {
		*inode = 0;
		return 0;
	}
	if (!code && (*inode < EXT2_ROOT_INO || *inode > fs->ext2->super->s_inodes_count))
		return EXT2_ET_BAD_INODE_NUM;
	return code;
}

static enum file_kind
kind_of(struct file_system *fs, ext2_ino_t number)
{
	struct ext2_inode inode;
	if (!number || ext2fs_read_inode(fs->ext2, number, &inode))
		return FILE_MISSING;
	if (fs->hurd && inode.osd1.hurd1.h_i_translator)
		return FILE_ELSE;
	return LINUX_S_ISREG(inode.i_mode)   ? FILE_REGULAR
	       : LINUX_S_ISDIR(inode.i_mode) ? FILE_FOLDER
	       : LINUX_S_ISLNK(inode.i_mode) ? FILE_LINK
					     : FILE_ELSE;
}

/* 0: missing, or its way is none of folders. */
static ext2_ino_t
find(struct file_system *fs, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	ext2_ino_t at = EXT2_ROOT_INO;
	for (char **part = parts; *part && at; part++)
		if (**part && (kind_of(fs, at) != FILE_FOLDER || find_in(fs, at, *part, &at)))
			return 0;
	return at;
}

enum file_kind
file_system_look(struct file_system *fs, const char *path)
{
	return kind_of(fs, find(fs, path));
}

struct listing {
	GStrvBuilder *names;
	const char *middle;
	guint left;
};

static int
on_entry(ext2_ino_t folder, int entry, struct ext2_dir_entry *found, int offset, int block_size,
	 char *block, void *data)
{
	struct listing *listing = data;
	g_autofree char *name = g_strndup(found->name, (gsize)ext2fs_dirent_name_len(found));
	if (!listing->left)
		return DIRENT_ABORT;
	if (strstr(name, listing->middle) && !strchr(name, '/')) {
		g_strv_builder_add(listing->names, name);
		listing->left--;
	}
	return 0;
}

char **
file_system_names(struct file_system *fs, const char *folder, const char *middle, guint max)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	struct listing listing = {names, middle, max};
	ext2_ino_t at = find(fs, folder);
	if (kind_of(fs, at) == FILE_FOLDER)
		ext2fs_dir_iterate2(fs->ext2, at, 0, NULL, on_entry, &listing);
	return g_strv_builder_end(names);
}

/* --- reading --- */

static GBytes *
read_inode(struct file_system *fs, const char *path, ext2_ino_t number, gsize max, GError **error)
{
	struct ext2_inode inode;
	ext2_file_t file;
	guint got = 0;
	errcode_t code = ext2fs_read_inode(fs->ext2, number, &inode);
	guint64 size = code ? 0 : EXT2_I_SIZE(&inode);
	if (size > max) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
			    "%s: has %" G_GUINT64_FORMAT " bytes, and %" G_GSIZE_FORMAT
			    " at most are read",
			    path, size, max);
		return NULL;
	}
	g_autofree char *content = g_malloc0((gsize)size + 1);
	if (!code && !(code = ext2fs_file_open(fs->ext2, number, 0, &file))) {
		code = ext2fs_file_read(file, content, (guint)size, &got);
		ext2fs_file_close(file);
	}
	if (code || got != size) {
		failed(fs, path, code ? code : EXT2_ET_SHORT_READ, error);
		return NULL;
	}
	return g_bytes_new_take(g_steal_pointer(&content), (gsize)size);
}

GBytes *
file_system_read(struct file_system *fs, const char *path, gsize max, GError **error)
{
	ext2_ino_t number = find(fs, path);
	if (kind_of(fs, number) != FILE_REGULAR) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT, "%s: is no regular file",
			    path);
		return NULL;
	}
	return read_inode(fs, path, number, max, error);
}

gsize
file_system_begin(struct file_system *fs, const char *path, void *bytes, gsize length)
{
	ext2_ino_t number = find(fs, path);
	ext2_file_t file;
	guint got = 0;
	if (kind_of(fs, number) != FILE_REGULAR || ext2fs_file_open(fs->ext2, number, 0, &file))
		return 0;
	if (ext2fs_file_read(file, bytes, (guint)length, &got))
		got = 0;
	ext2fs_file_close(file);
	return got;
}

/* --- writing --- */

static errcode_t
touch(struct file_system *fs, ext2_ino_t number, gboolean ours, mode_t mode)
{
	struct ext2_inode inode;
	errcode_t code = ext2fs_read_inode(fs->ext2, number, &inode);
	if (code)
		return code;
	inode.i_ctime = inode.i_mtime = (guint32)time(NULL);
	if (ours) {
		inode.i_mode = (guint16)((inode.i_mode & LINUX_S_IFMT) | (mode & 07777));
		inode.i_uid = inode.i_gid = 0;
		ext2fs_set_i_uid_high(inode, 0);
		ext2fs_set_i_gid_high(inode, 0);
	}
	return ext2fs_write_inode(fs->ext2, number, &inode);
}

/* All blocks of before are given back, so it has none beyond its end. */
static errcode_t
write_content(struct file_system *fs, ext2_ino_t number, GBytes *content)
{
	gsize size, done = 0;
	const char *bytes = g_bytes_get_data(content, &size);
	ext2_file_t file;
	errcode_t code = ext2fs_file_open(fs->ext2, number, EXT2_FILE_WRITE, &file);
	if (code)
		return code;
	code = ext2fs_file_set_size2(file, 0);
	while (!code && done < size) {
		guint written = 0;
		code = ext2fs_file_write(file, bytes + done, (guint)(size - done), &written);
		if (!code && !written)
			code = EXT2_ET_SHORT_WRITE;
		done += written;
	}
	errcode_t closed = ext2fs_file_close(file);
	return code ? code : closed;
}

static errcode_t
link_in(struct file_system *fs, ext2_ino_t folder, const char *name, ext2_ino_t number, int type)
{
	errcode_t code = ext2fs_link(fs->ext2, folder, name, number, type);
	if (code != EXT2_ET_DIR_NO_SPACE)
		return code;
	code = ext2fs_expand_dir(fs->ext2, folder);
	return code ? code : ext2fs_link(fs->ext2, folder, name, number, type);
}

/* All of the inode is 0 but what is set here: no translator, no extended attribute, and root is its
 * owner and its author. */
static errcode_t
new_file(struct file_system *fs, ext2_ino_t folder, const char *name, mode_t mode,
	 ext2_ino_t *number)
{
	struct ext2_inode inode = {.i_mode = (guint16)(LINUX_S_IFREG | (mode & 07777)),
				   .i_links_count = 1};
	errcode_t code = ext2fs_new_inode(fs->ext2, folder, inode.i_mode, NULL, number);
	if (code)
		return code;
	inode.i_atime = inode.i_ctime = inode.i_mtime = (guint32)time(NULL);
	ext2fs_inode_alloc_stats2(fs->ext2, *number, 1, FALSE);
	code = ext2fs_write_new_inode(fs->ext2, *number, &inode);
	return code ? code : link_in(fs, folder, name, *number, EXT2_FT_REG_FILE);
}

static errcode_t
new_folder(struct file_system *fs, ext2_ino_t above, const char *name, ext2_ino_t *number)
{
	errcode_t code = ext2fs_mkdir(fs->ext2, above, 0, name);
	if (code == EXT2_ET_DIR_NO_SPACE) {
		code = ext2fs_expand_dir(fs->ext2, above);
		code = code ? code : ext2fs_mkdir(fs->ext2, above, 0, name);
	}
	code = code ? code : find_in(fs, above, name, number);
	/* sshd takes no keys from a home's .ssh that others can write to; nobody has to read it */
	return code ? code : touch(fs, *number, TRUE, strcmp(name, ".ssh") ? 0755 : 0700);
}

/* The folder of a path; it is made if it is missing. */
static gboolean
way(struct file_system *fs, const char *path, ext2_ino_t *folder, GError **error)
{
	g_autofree char *above = g_path_get_dirname(path);
	g_auto(GStrv) parts = g_strsplit(above, "/", -1);
	*folder = EXT2_ROOT_INO;
	for (char **part = parts; *part; part++) {
		ext2_ino_t next;
		if (!**part)
			continue;
		errcode_t code = find_in(fs, *folder, *part, &next);
		if (!code && !next)
			code = new_folder(fs, *folder, *part, &next);
		if (code)
			return failed(fs, path, code, error);
		if (kind_of(fs, next) != FILE_FOLDER) {
			g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
				    "%s: %s is no plain folder in this image", path, *part);
			return FALSE;
		}
		*folder = next;
	}
	return TRUE;
}

/* Is the file as it should be? */
static gboolean
is_right(struct file_system *fs, const char *path, ext2_ino_t number, gboolean ours, mode_t mode,
	 GBytes *content)
{
	struct ext2_inode inode;
	g_autoptr(GBytes) old = read_inode(fs, path, number, g_bytes_get_size(content), NULL);
	if (!old || !g_bytes_equal(old, content) || ext2fs_read_inode(fs->ext2, number, &inode))
		return FALSE;
	return !ours ||
	       ((inode.i_mode & 07777) == (mode & 07777) && !inode_uid(inode) && !inode_gid(inode));
}

gboolean
file_system_has(struct file_system *fs, const char *path, gboolean ours, mode_t mode,
		GBytes *content)
{
	ext2_ino_t number = find(fs, path);
	return kind_of(fs, number) == FILE_REGULAR &&
	       is_right(fs, path, number, ours, mode, content);
}

gboolean
file_system_put(struct file_system *fs, const char *path, gboolean ours, mode_t mode,
		GBytes *content, GError **error)
{
	g_autofree char *name = g_path_get_basename(path);
	ext2_ino_t folder, number;
	if (!way(fs, path, &folder, error))
		return FALSE;
	errcode_t code = find_in(fs, folder, name, &number);
	if (!code && number && kind_of(fs, number) != FILE_REGULAR) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_UNFIT,
			    "%s: is no plain file in this image; remove it there", path);
		return FALSE;
	}
	if (!code && number && is_right(fs, path, number, ours, mode, content))
		return TRUE;
	if (!code && !number)
		code = new_file(fs, folder, name, mode, &number);
	if (!code)
		code = write_content(fs, number, content);
	if (!code)
		code = touch(fs, number, ours, mode);
	return code ? failed(fs, path, code, error) : TRUE;
}

gboolean
file_system_commit(struct file_system *fs, GError **error)
{
	/* a flush always writes the superblock's time */
	errcode_t code = ext2fs_test_changed(fs->ext2) ? ext2fs_flush(fs->ext2) : 0;
	return code ? failed(fs, "its file system cannot be written", code, error)
		    : blocks_commit(fs->blocks, error);
}
