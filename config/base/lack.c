/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt and qemu-img pass errno on only as the text of strerror(3). The text of EAGAIN counts
 * only of a process that could not be made ("cannot fork child process", libvirt's vircommand.c):
 * it also means a lock that another process holds.
 */
#include "config/base/lack.h"

#include <errno.h>
#include <string.h>

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
