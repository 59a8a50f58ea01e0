/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/images/digest.h"

#include <errno.h>
#include <gcrypt.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (1 << 20)

gboolean
digest_is_good(const char *text)
{
	return strlen(text) == DIGEST_DIGITS &&
	       strspn(text, "0123456789abcdefABCDEF") == DIGEST_DIGITS;
}

char *
digest_of(int fd, gboolean (*on_bytes)(void *data, gint64 bytes), void *data)
{
	g_autofree guint8 *block = g_malloc(BLOCK);
	gint64 at = 0;
	ssize_t n = 0;
	gcry_md_hd_t hash;
	gcry_check_version(NULL);
	if (gcry_md_open(&hash, GCRY_MD_SHA512, 0)) {
		errno = ENOTSUP;
		return NULL;
	}
	while ((n = pread(fd, block, BLOCK, at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		gcry_md_write(hash, block, (gsize)n);
		at += n;
		if (on_bytes && !on_bytes(data, at)) {
			n = -1;
			errno = EINTR;
			break;
		}
	}
	GString *text = n < 0 ? NULL : g_string_new(NULL);
	const guint8 *bytes = text ? gcry_md_read(hash, GCRY_MD_SHA512) : NULL;
	for (guint i = 0; text && i < DIGEST_DIGITS / 2; i++)
		g_string_append_printf(text, "%02x", bytes[i]);
	gcry_md_close(hash);
	return text ? g_string_free(text, FALSE) : NULL;
}

char *
digest_in_list(const char *list, const char *name)
{
	g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_strchomp(*line);
		/* "DIGEST  NAME", with a * before the name of a binary file. */
		if (strlen(*line) <= DIGEST_DIGITS + 2 || (*line)[DIGEST_DIGITS] != ' ')
			continue;
		const char *named = *line + DIGEST_DIGITS + 2;
		g_autofree char *digest = g_ascii_strdown(*line, DIGEST_DIGITS);
		if (g_str_has_prefix(named, "./"))
			named += 2;
		if (!strcmp(named, name) && digest_is_good(digest))
			return g_steal_pointer(&digest);
	}
	return NULL;
}
