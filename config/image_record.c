/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records are written by childhurd-image, and read by it, by the daemon and by people. */
#include "config/image_record.h"

#include <gio/gio.h>
#include <string.h>

#include "config/image_name.h"
#include "config/ini.h"

#define SECTION "image"

/* Where each key goes in a record. */
static const struct field {
	const char *key;
	gsize offset;
	gboolean number;
} fields[] = {
    {"architecture", offsetof(struct image_record, architecture), FALSE},
    {"distribution", offsetof(struct image_record, distribution), FALSE},
    {"url", offsetof(struct image_record, url), FALSE},
    {"sha512", offsetof(struct image_record, sha512), FALSE},
    {"when", offsetof(struct image_record, when), TRUE},
    {"size", offsetof(struct image_record, size), TRUE},
};

char *
image_record_file(const char *file)
{
	gsize length =
	    strlen(file) - (g_str_has_suffix(file, IMAGE_SUFFIX) ? strlen(IMAGE_SUFFIX) : 0);
	g_autofree char *stem = g_strndup(file, length);
	return g_strconcat(stem, IMAGE_RECORD_SUFFIX, NULL);
}

static void
take(struct image_record *record, const struct ini_entry *entry)
{
	for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
		void *field = (char *)record + fields[i].offset;
		if (strcmp(fields[i].key, entry->key) != 0)
			continue;
		if (fields[i].number) {
			*(gint64 *)field = g_ascii_strtoll(entry->value, NULL, 10);
		} else {
			g_free(*(char **)field);
			*(char **)field = *entry->value ? g_strdup(entry->value) : NULL;
		}
	}
}

gboolean
image_record_read(const char *file, struct image_record *record, GError **error)
{
	g_autofree char *path = image_record_file(file);
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(ini_entry_free);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(ini_error_free);
	*record = (struct image_record){0};
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	ini_read(path, entries, errors);
	if (errors->len) {
		g_autofree char *first = ini_error_message(g_ptr_array_index(errors, 0));
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, first);
		return FALSE;
	}
	for (guint i = 0; i < entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(entries, i);
		/* Keys of a later version are left alone. */
		if (entry->key && !strcmp(entry->section, SECTION))
			take(record, entry);
	}
	return TRUE;
}

char *
image_record_text(const struct image_record *record)
{
	GString *text = g_string_new("# Written by childhurdctl image.\n[" SECTION "]\n");
	for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
		const void *field = (const char *)record + fields[i].offset;
		const char *word = fields[i].number ? NULL : *(char *const *)field;
		gint64 number = fields[i].number ? *(const gint64 *)field : 0;
		if (word)
			ini_add_line(text, fields[i].key, word);
		else if (number)
			g_string_append_printf(text, "%s = %" G_GINT64_FORMAT "\n", fields[i].key,
					       number);
	}
	return g_string_free(text, FALSE);
}

void
image_record_clear(struct image_record *record)
{
	for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
		if (!fields[i].number)
			g_free(*(char **)((char *)record + fields[i].offset));
	*record = (struct image_record){0};
}
