/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One file of a secret root, in memory; the limits and errors of such files. */
#ifndef SSH_SECRETS_FILE_H
#define SSH_SECRETS_FILE_H

#include <glib.h>
#include <sys/types.h>

#define SECRET_ERROR (secret_error_quark())
GQuark secret_error_quark(void);
enum secret_error {
	SECRET_ERROR_UNSAFE, /* wrong mode or owner, or a symbolic link */
	SECRET_ERROR_LIMIT,  /* too many or too large files */
	SECRET_ERROR_NAME,   /* a file name that cannot be sent (not UTF-8) */
	SECRET_ERROR_IO,
	SECRET_ERROR_ABSENT, /* there are no host keys */
};

#define SECRET_FILES_MAX 4096
#define SECRET_BYTES_MAX (G_GINT64_CONSTANT(256) << 20)

/* A file of the root, ready to be sent. */
struct secret_file {
	char *name;  /* path within the root, with a leading '/' */
	mode_t mode; /* st_mode, type bits included */
	GBytes *content;
};
void secret_file_free(struct secret_file *file);

#endif
