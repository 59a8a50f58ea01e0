/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt removes a domain's folders when its QEMU ends (src/qemu/qemu_process.c, qemuProcessStop).
 * The driver of the next daemon knows nothing of a QEMU that ended before, because libvirt_root.c
 * removes that domain's file. So each such end would leave two folders for good: a domain's id is
 * never used again. qmp-* are the folders of QEMUs that were only asked what they can do
 * (src/qemu/qemu_process.c, qemuProcessQMPInit).
 *
 * QEMU's user may write to them. So a folder is opened without following a link, and its files are
 * removed by that descriptor.
 */
#include "childhurdd/qemu/libvirt_leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void
remove_folder(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static void
remove_from(const char *root, const char *place, GHashTable *kept)
{
	g_autofree char *path = g_build_filename(root, place, NULL);
	DIR *folder = opendir(path);
	const struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		if ((g_str_has_prefix(entry->d_name, "domain-") &&
		     !g_hash_table_contains(kept, entry->d_name)) ||
		    g_str_has_prefix(entry->d_name, "qmp-"))
			remove_folder(dirfd(folder), entry->d_name);
	if (folder)
		closedir(folder);
}

void
leftovers_remove(const char *root, GHashTable *kept)
{
	remove_from(root, "lib/qemu", kept);
	remove_from(root, "lib/qemu/channel/target", kept);
}
