/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The message to a guest: the list of its secret files, and their bytes.
 *
 * Guix reads the list with `read` (gnu/build/secret-service.scm, secret-service-receive-secrets),
 * so the names are printed as Guile's `write` prints strings. That was measured with Guile 3.0.8
 * for every code point: a quotation mark and a backslash get a backslash; \a \b \t \n \v \f \r are
 * written with their letter; every other character without a glyph (controls, format characters,
 * spaces other than U+0020, line and paragraph separators, private use, unassigned) becomes \xHH,
 * \uHHHH or \UHHHHHH, without a semicolon; all others stay as they are.
 */
#include "ssh/secrets/service.h"

#include <string.h>

#include "ssh/secrets/root.h"
#include "ssh/wire.h"

static gboolean
is_graphic(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_FORMAT:
	case G_UNICODE_UNASSIGNED:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return FALSE;
	case G_UNICODE_SPACE_SEPARATOR:
		return c == ' ';
	default:
		return TRUE;
	}
}

static void
append_character(GString *out, gunichar c)
{
	static const char letters[] = "abtnvfr"; /* U+0007 to U+000D */

	if (c == '"' || c == '\\')
		g_string_append_printf(out, "\\%c", (char)c);
	else if (c >= 7 && c <= 13)
		g_string_append_printf(out, "\\%c", letters[c - 7]);
	else if (is_graphic(c))
		g_string_append_unichar(out, c);
	else if (c <= 0xff)
		g_string_append_printf(out, "\\x%02x", c);
	else if (c <= 0xffff)
		g_string_append_printf(out, "\\u%04x", c);
	else
		g_string_append_printf(out, "\\U%06x", c);
}

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
	g_string_append_c(out, '"');
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		append_character(out, g_utf8_get_char(p));
	g_string_append_c(out, '"');
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
