/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disks in the shapes in which Hurds are given away, made with mke2fs, sfdisk and debugfs. */
#ifndef TESTS_UNIT_CHILDHURDD_INJECT_INJECT_WORLD_H
#define TESTS_UNIT_CHILDHURDD_INJECT_INJECT_WORLD_H

#include "childhurdd/inject/device.h"

#define MIB (1024 * 1024)

struct shape {
	const char *name;
	const char *table;   /* for sfdisk; NULL: none */
	guint64 root;	     /* where its root file system is, in sectors */
	const char *options; /* for mke2fs, separated by spaces */
	gboolean guix;	     /* as Guix makes them; else as Debian */
	guint8 machine;	     /* of its programs: 3, or 62 for 64 bit */
};
extern const struct shape shapes[];
extern const gsize n_shapes;
const struct shape *shape_named(const char *name);

struct disk {
	struct device device; /* its file, read and written at once */
	char *directory, *path;
	guint64 root; /* bytes */
	int fd;
	gint64 writes_left; /* then they fail; negative: never */
	gint64 writes;
};

/* Half of the root has a size of 64 MiB; the caller frees. */
struct disk *disk_make(const struct shape *shape);
void disk_free(struct disk *disk);

/* The same disk in memory, with a root of 2 MiB in a logical partition; its bytes are the caller's.
 */
struct copy {
	struct device device;
	guint8 *bytes;
	gint64 root; /* where its root begins */
};
void copy_make(struct copy *copy);
void copy_clear(struct copy *copy);

/* debugfs' requests, a line each, on the root; *output may be NULL. */
void disk_debugfs(const struct disk *disk, gboolean write, const char *requests, char **output);
/* What e2fsck -fn says of the root if it is not clean; NULL: it is. The caller frees. */
char *disk_faults(const struct disk *disk);
/* e2fsck makes an index for each folder that is large enough. */
void disk_index(const struct disk *disk);
/* A file as debugfs reads it; "" also if there is none. The caller frees. */
char *disk_cat(const struct disk *disk, const char *path);

#endif
