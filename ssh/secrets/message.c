/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The message to a guest: the list of its secret files, and their bytes.
 *
 * Guix reads the list with `read` (gnu/build/secret-service.scm, secret-service-receive-secrets),
 * so the names are printed as Guile's `write` prints strings.
 */
#include "ssh/secrets/service.h"

#include <string.h>

#include "config/base/text.h"
#include "ssh/secrets/root.h"
#include "ssh/wire.h"

static gboolean
append_string(GString *out, const char *text, GError **error)
{
	if (!g_utf8_validate(text, -1, NULL)) {
		g_autofree char *excerpt = wire_excerpt(text, strlen(text));

		g_set_error(
		    error, SECRET_ERROR, SECRET_ERROR_NAME,
		    "the file name %s is not UTF-8, so the guest could not read it; rename it",
		    excerpt);
		return FALSE;
	}
	text_scheme(out, text);
	return TRUE;
}

/* The message has private keys, which must not stay in freed memory. */
static void
message_wipe(gpointer data)
{
	GByteArray *array = data;

	explicit_bzero(array->data, array->len);
	g_byte_array_unref(array);
}

GBytes *
secret_service_message(GPtrArray *files, GError **error)
{
	g_autoptr(GString) header = g_string_new("(secrets (version 0) (files (");
	gsize total = 0;

	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		gsize size = g_bytes_get_size(file->content);

		g_string_append(header, i ? " (" : "(");
		if (!append_string(header, file->name, error))
			return NULL;
		g_string_append_printf(header, " %" G_GSIZE_FORMAT " %u)", size,
				       (unsigned)file->mode);
		total += size;
	}
	g_string_append(header, ")))");
	if (header->len + total > G_MAXUINT / 2) {
		g_set_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT,
			    "the secrets are too large to be sent: %" G_GSIZE_FORMAT " bytes",
			    total);
		return NULL;
	}

	/* The whole size is reserved at once: growing would leave copies of keys behind. */
	GByteArray *message = g_byte_array_sized_new((guint)(header->len + total));
	g_byte_array_append(message, (const guint8 *)header->str, (guint)header->len);
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		gsize size;
		const guint8 *content = g_bytes_get_data(file->content, &size);

		if (size > 0)
			g_byte_array_append(message, content, (guint)size);
	}
	return g_bytes_new_with_free_func(message->data, message->len, message_wipe, message);
}
