/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt and qemu-img pass errno on only as the text of strerror(3). The text of EAGAIN counts
 * only of a process that could not be made ("cannot fork child process", libvirt's vircommand.c):
 * it also means a lock that another process holds.
 */
#include "config/base/lack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const int numbers[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC,
			      EDQUOT, EIO,    ESTALE, EROFS,   EAGAIN};

gboolean
lack_is(int number)
{
	for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i] == number)
			return TRUE;
	return FALSE;
}

gboolean
lack_says(const char *message)
{
	for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i] != EAGAIN && strstr(message, g_strerror(numbers[i])))
			return TRUE;
	return strstr(message, "fork") && strstr(message, g_strerror(EAGAIN));
}

/* Is there room for small files? What root may use is root's only. */
static gboolean
has_room(const char *folder)
{
	struct statvfs fs;
	if (statvfs(folder, &fs) < 0)
		return !lack_is(errno);
	guint64 blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
	return blocks * fs.f_frsize >= LACK_ROOM;
}

/* errno when descriptors lack; 0: there are enough. */
static int
descriptors_lack(void)
{
	int fds[LACK_DESCRIPTORS], n = 0, lack = 0;
	while (n < LACK_DESCRIPTORS && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	if (n < LACK_DESCRIPTORS)
		lack = lack_is(errno) ? errno : 0;
	while (n > 0)
		close(fds[--n]);
	return lack;
}

char *
lack_now(const char *folder)
{
	if (!has_room(folder))
		return g_strdup_printf("%s: %s", folder, g_strerror(ENOSPC));
	int lack = descriptors_lack();
	return lack ? g_strdup_printf("open files: %s", g_strerror(lack)) : NULL;
}
