/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table is data, as images are made more often than this program. */
#include "childhurdd/images/known.h"

#include <string.h>
#include <unistd.h>

#include "childhurdd/images/digest.h"
#include "childhurdd/images/fetch.h"
#include "config/image_name.h"
#include "config/ini.h"
#include "config/value.h"

#define SECTION "image "

static const struct field {
	const char *key;
	gsize offset;
	const char *const values[4]; /* that it may have; none: see wrong_value */
} fields[] = {
    {"url", offsetof(struct known, url), {NULL}},
    {"sha512", offsetof(struct known, sha512), {NULL}},
    {"architecture", offsetof(struct known, architecture), {"i586", "x86_64", NULL}},
    {"distribution", offsetof(struct known, distribution), {"guix", "debian", "other", NULL}},
};

static void
known_free(void *data)
{
	struct known *known = data;
	g_free(known->name);
	g_free(known->url);
	g_free(known->sha512);
	g_free(known->architecture);
	g_free(known->distribution);
	g_free(known->file);
	g_free(known);
}

const struct known *
known_find(const GPtrArray *table, const char *name)
{
	for (guint i = 0; i < table->len; i++) {
		const struct known *known = g_ptr_array_index(table, i);
		if (!strcmp(known->name, name))
			return known;
	}
	return NULL;
}

static char *
wrong(const char *text, const char *why)
{
	g_autofree char *quoted = value_quote(text);
	return g_strconcat(quoted, " ", why, NULL);
}

/* What is wrong with the value; NULL: nothing. The caller frees. */
static char *
wrong_value(const struct field *field, const char *value)
{
	g_autoptr(GError) why = NULL;
	if (*field->values && !g_strv_contains(field->values, value)) {
		g_autofree char *values = g_strjoinv(", ", (char **)field->values);
		g_autofree char *text = g_strconcat("is not one of its values: ", values, NULL);
		return wrong(value, text);
	}
	if (!strcmp(field->key, "sha512") && !digest_is_good(value))
		return wrong(value, "is not a SHA512 in 128 hexadecimal digits");
	if (!strcmp(field->key, "url") && !fetch_may(value, NULL, TRUE, &why))
		return wrong(value, "is not an address, as https://HOST/FILE.img.tar.xz");
	return NULL;
}

static char *
take(GPtrArray *table, const struct ini_entry *entry)
{
	const char *name = entry->section + strlen(SECTION);
	if (!g_str_has_prefix(entry->section, SECTION) || !image_name_is_good(name))
		return wrong(entry->section, "is not a section of this file; it is [image NAME], "
					     "with a name " IMAGE_NAME_RULE);
	struct known *known = (struct known *)known_find(table, name);
	if (!known) {
		known = g_new0(struct known, 1);
		known->name = g_strdup(name);
		g_ptr_array_add(table, known);
	}
	g_free(known->file);
	known->file = g_strdup(entry->file);
	known->line = entry->line;
	for (gsize i = 0; entry->key && i < G_N_ELEMENTS(fields); i++) {
		char **field = (char **)((char *)known + fields[i].offset);
		if (strcmp(fields[i].key, entry->key) != 0)
			continue;
		char *fault = wrong_value(&fields[i], entry->value);
		/* The digest of another address says nothing about this one. */
		if (!fault && !strcmp(entry->key, "url"))
			g_clear_pointer(&known->sha512, g_free);
		g_free(*field);
		*field = g_strdup(entry->value);
		return fault;
	}
	return entry->key ? wrong(entry->key, "is not a key of an image; there are url, "
					      "sha512, architecture and distribution")
			  : NULL;
}

/* Is the section, or the key in it, there before entry i? Each image has one section in a file. */
static char *
repeated(const GPtrArray *entries, guint i)
{
	const struct ini_entry *entry = g_ptr_array_index(entries, i);
	for (guint j = 0; j < i; j++) {
		const struct ini_entry *first = g_ptr_array_index(entries, j);
		g_autofree char *text = NULL;
		if (strcmp(first->section, entry->section) || g_strcmp0(first->key, entry->key))
			continue;
		text = g_strdup_printf("is there twice, first in line %d; leave one of them out",
				       first->line);
		return wrong(entry->key ? entry->key : entry->section, text);
	}
	return NULL;
}

static gint
by_line(gconstpointer a, gconstpointer b)
{
	return (*(struct ini_error *const *)a)->line - (*(struct ini_error *const *)b)->line;
}

/* Of a file with a fault nothing is taken. */
static void
read_file(GPtrArray *table, const char *file, GPtrArray *faults)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(ini_entry_free);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(ini_error_free);
	g_autoptr(GPtrArray) alone = g_ptr_array_new_with_free_func(known_free);
	ini_read(file, entries, errors);
	for (guint i = 0; i < entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(entries, i);
		char *fault = repeated(entries, i);
		if (!fault)
			fault = take(alone, entry);
		if (fault)
			ini_error_add(errors, file, entry->line, fault);
	}
	g_ptr_array_sort(errors, by_line);
	for (guint i = 0; i < errors->len; i++)
		g_ptr_array_add(faults, ini_error_message(g_ptr_array_index(errors, i)));
	for (guint i = 0; i < entries->len && !errors->len; i++)
		g_free(take(table, g_ptr_array_index(entries, i)));
}

/* Beside this program, where the build puts both, or where `make install` puts it. The caller
 * frees; NULL: it is not there. */
static char *
project_file(void)
{
	static const char *const places[] = {"", "../../share/childhurd"};
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
	for (gsize i = 0; folder && i < G_N_ELEMENTS(places); i++) {
		char *path = g_build_filename(folder, places[i], KNOWN_FILE, NULL);
		if (access(path, R_OK) == 0)
			return path;
		g_free(path);
	}
	return NULL;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *
files_of(const char *configuration)
{
	GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *folder = g_build_filename(configuration, KNOWN_FOLDER, NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name(dir)))
		if (*name != '.' && g_str_has_suffix(name, ".ini"))
			g_ptr_array_add(files, g_build_filename(folder, name, NULL));
	g_ptr_array_sort(files, by_name);
	char *first = project_file();
	if (first)
		g_ptr_array_insert(files, 0, first);
	return files;
}

GPtrArray *
known_read(const char *configuration, GPtrArray *faults)
{
	GPtrArray *table = g_ptr_array_new_with_free_func(known_free);
	g_autoptr(GPtrArray) files = files_of(configuration);
	for (guint i = 0; i < files->len; i++)
		read_file(table, g_ptr_array_index(files, i), faults);
	for (guint i = table->len; i-- > 0;) {
		const struct known *known = g_ptr_array_index(table, i);
		if (known->url)
			continue;
		g_ptr_array_add(faults, g_strdup_printf("%s:%d: [image %s] has no url", known->file,
							known->line, known->name));
		g_ptr_array_remove_index(table, i);
	}
	return table;
}
