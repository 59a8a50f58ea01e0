/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA512: of files, and in lists of them. */
#ifndef CHILDHURDD_IMAGES_DIGEST_H
#define CHILDHURDD_IMAGES_DIGEST_H

#include <glib.h>

#define DIGEST_DIGITS 128

/* 128 hexadecimal digits? */
gboolean digest_is_good(const char *text);

/* The digest of the open file, from its beginning, in small letters; its position changes. on_bytes
 * (NULL: none) is called as it goes, with the bytes so far; FALSE stops it. NULL: it was stopped,
 * or errno. The caller frees. */
char *digest_of(int fd, gboolean (*on_bytes)(void *data, gint64 bytes), void *data);

/* The digest of the file of that name in a list as of sha512sum(1). NULL: there is none. The caller
 * frees. */
char *digest_in_list(const char *list, const char *name);

#endif
