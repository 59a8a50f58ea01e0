/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt and qemu-img pass errno on in the words of strerror(3), and have no code for it. Those of
 * EAGAIN are not looked for in a text: they stand for locks that are taken, too.
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
	return FALSE;
}
