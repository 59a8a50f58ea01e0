/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One file of a secret root. */
#include "ssh/secrets/file.h"

G_DEFINE_QUARK(secret - error - quark, secret_error)

void
secret_file_free(struct secret_file *file)
{
	g_free(file->name);
	g_bytes_unref(file->content);
	g_free(file);
}
