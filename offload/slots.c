/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counting locked build slots by asking the kernel who holds them (F_GETLK): nothing is locked by
 * us, so no build ever finds a slot taken because we looked.
 *
 * Two traps of POSIX record locks. They belong to a process, so locks of our own are not seen here.
 * And closing any descriptor of a file drops all locks that the process has on it: whoever holds
 * slots in this process (to drain a guest) must not call this for the same machine, or holds them
 * in a process of its own.
 */
#include "offload/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* TRUE: another process has the slot. */
static gboolean
slot_locked(int directory, int slot, gboolean *visible)
{
	g_autofree char *name = g_strdup_printf("%d", slot);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* length 0: all of it */
	/* O_NONBLOCK: a FIFO in its place must not keep us */
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	gboolean locked = FALSE;

	if (fd < 0) {
		if (errno != ENOENT)
			*visible = FALSE;
		return FALSE;
	}
	if (fcntl(fd, F_GETLK, &lock) == 0)
		locked = lock.l_type != F_UNLCK;
	else
		*visible = FALSE;
	close(fd);
	return locked;
}

int
slots_taken(const char *guix_state_directory, const char *host_name, int port, int parallel_builds,
	    gboolean *visible)
{
	g_autofree char *machine = g_strdup_printf("%s:%d", host_name, port);
	g_autofree char *path = g_build_filename(guix_state_directory, "offload", machine, NULL);
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int taken = 0;

	*visible = TRUE;
	if (directory < 0) {
		*visible = errno == ENOENT;
		return 0;
	}
	for (int slot = 0; slot < parallel_builds; slot++)
		taken += slot_locked(directory, slot, visible);
	close(directory);
	return taken;
}
