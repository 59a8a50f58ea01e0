/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The folder of a machine's slots, STATE/offload/NAME:PORT, and what is in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/identity.h"
#include "offload/slots_internal.h"

#define BUILD ".build" /* the ending of a guarded slot's file */

char *
slots_machine_name(const char *host_name, int port)
{
	return g_strdup_printf("%s:%d", host_name, port);
}

char *
slots_build_name(int slot)
{
	return g_strdup_printf(".%d" BUILD, slot);
}

/* Mark the slot if this is the name of a file of one, with this ending. */
static void
mark(const char *name, const char *ending, gboolean *slots)
{
	char *end;
	unsigned long slot = strtoul(name, &end, 10);

	if (g_ascii_isdigit(*name) && !strcmp(end, ending) && slot < SLOTS_MAX)
		slots[slot] = TRUE;
}

gboolean
slots_present(int directory, gboolean *present, gboolean *built)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!folder)
		return FALSE;
	while ((entry = readdir(folder))) {
		mark(entry->d_name, "", present);
		if (built && *entry->d_name == '.')
			mark(entry->d_name + 1, BUILD, built);
	}
	closedir(folder);
	return TRUE;
}

int
slots_machine_find(const char *state, const char *machine, struct stat *owner)
{
	const char *const names[] = {"offload", machine};
	int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, owner) < 0)
		*owner = (struct stat){0};
	for (gsize i = 0; fd >= 0 && i < G_N_ELEMENTS(names); i++) {
		int next = openat(fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int problem = errno;
		close(fd);
		errno = problem;
		fd = next;
	}
	return fd;
}

void
slots_give(int fd, const struct stat *owner)
{
	if (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) == -1)
		g_debug("a build slot cannot be given away: %s", g_strerror(errno));
}

/*
 * Open the folder in parent, making it if it is missing, and close parent. -1 and errno. Users that
 * may write to parent can replace the folder at any moment, and we may be root. So it is made as
 * parent's owner, and only a folder made in root's own parent is given away.
 */
static int
folder_open(int parent, const char *name, mode_t mode, const struct stat *owner)
{
	struct stat st = {0};
	if (parent < 0)
		return -1;
	gboolean others = geteuid() == 0 && fstat(parent, &st) == 0 && st.st_uid != 0;
	struct identity whose = {st.st_uid, st.st_gid, &st.st_gid, 1};
	identity_enter(others ? &whose : NULL);
	gboolean made = mkdirat(parent, name, mode) == 0;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int problem = errno;
	identity_leave(others ? &whose : NULL);

	/* not of parent's owner: root's, or from a time when Guix ran as another user */
	if (others && fd < 0 && problem == EACCES) {
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		problem = errno;
	}
	if (made && !others && fd >= 0)
		slots_give(fd, owner);
	close(parent);
	errno = problem;
	return fd;
}

int
slots_offload_open(int state, const struct stat *owner)
{
	return folder_open(state, "offload", 0755, owner);
}

int
slots_machine_open(int state, const char *machine, const struct stat *owner)
{
	struct stat st;
	/* Who can neither be Guix nor give the folder to it lets it in by the list that root gave
	 * the folder above (slots_share_all), and the group's bits limit that. */
	mode_t mode = geteuid() == 0 || geteuid() == owner->st_uid ? 0750 : 0770;
	int offload = slots_offload_open(state, owner);
	int fd = folder_open(offload, machine, mode, owner);
	int problem = errno;

	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IRWXO))
		fchmod(fd, st.st_mode & 07770); /* if we may */
	errno = problem;
	return fd;
}
