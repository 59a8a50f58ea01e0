/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inih, fed line by line.
 *
 * Debian builds inih (55) so that it cuts lines at 199 bytes, takes an indented line for the continuation of the one
 * before, passes no line numbers, does not tell of a section without keys, and stops telling errors after the first. A
 * multiboot module's arguments alone are longer than that. So the lines are counted and checked here on their way
 * into it; indentation is taken away; and a long line is handed over in pieces, as continuations, which on_entry puts
 * together again. Comments begin with ; or # at the start of a line, or with a ; behind a blank.
 */
#include "config/ini.h"

#include <gio/gio.h>
#include <ini.h>
#include <string.h>

#include "config/value.h"

#define PIECE 150	/* bytes of a line that are handed to inih at a time */
#define SECTION_MAX 48	/* inih cuts longer names */
#define KEY_NAME_MAX 48 /* likewise */

struct feeder {
	const char *file;
	const char *at, *end; /* the file's content, what is left of it */
	GPtrArray *entries, *errors;
	int line;
	char *rest; /* of a long line that is handed over in pieces; NULL: none */
	gsize offset; /* in rest */
	gboolean continued;
};

void
ini_entry_free(void *data)
{
	struct ini_entry *entry = data;
	g_free(entry->section);
	g_free(entry->key);
	g_free(entry->value);
	g_free(entry);
}

void
ini_error_free(void *data)
{
	struct ini_error *error = data;
	g_free(error->text);
	g_free(error);
}

void
ini_error_add(GPtrArray *errors, const char *file, int line, char *text)
{
	struct ini_error *error = g_new0(struct ini_error, 1);
	error->file = file;
	error->line = line;
	error->text = text;
	g_ptr_array_add(errors, error);
}

static void
add_entry(struct feeder *f, const char *section, const char *key, const char *value)
{
	struct ini_entry *entry = g_new0(struct ini_entry, 1);
	entry->file = f->file;
	entry->line = f->line;
	entry->section = g_strdup(section);
	entry->key = g_strdup(key);
	entry->value = g_strdup(value);
	g_ptr_array_add(f->entries, entry);
}

/* inih's handler. */
static int
on_entry(void *data, const char *section, const char *name, const char *value)
{
	struct feeder *f = data;
	if (f->continued) {
		struct ini_entry *last = g_ptr_array_index(f->entries, f->entries->len - 1);
		char *whole = g_strconcat(last->value, value, NULL);
		g_free(last->value);
		last->value = whole;
	} else {
		add_entry(f, section, name, value);
	}
	return 1;
}

/* A line that cannot be right is told of and not handed on. Returns what is wrong, or NULL; caller frees. */
static char *
check_line(const char *text, gsize length)
{
	if (memchr(text, '\0', length))
		return g_strdup("a NUL byte; this is not a text file");
	g_autofree char *quoted = value_quote(text);
	if (*text == '[') {
		const char *close = strchr(text, ']');
		if (!close)
			return g_strdup_printf("%s: a section's name ends with ]", quoted);
		if (close - text - 1 > SECTION_MAX)
			return g_strdup_printf("%s: a section's name has at most %d bytes", quoted, SECTION_MAX);
		const char *behind = close + 1 + strspn(close + 1, " \t");
		if (*behind && *behind != ';' && *behind != '#')
			return g_strdup_printf("%s: nothing may stand behind ]", quoted);
		return NULL;
	}
	gsize name = strcspn(text, "=:");
	if (!text[name])
		return g_strdup_printf("%s: neither [SECTION] nor KEY = VALUE", quoted);
	if (!name)
		return g_strdup_printf("%s: no key before the %c", quoted, text[0]);
	if (name > KEY_NAME_MAX)
		return g_strdup_printf("%s: there is no key with so long a name", quoted);
	return NULL;
}

/* Cut off a comment as inih would, which sees only a piece of a long line. */
static void
cut_comment(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == ';' && p > text && g_ascii_isspace(p[-1]))
			*p = '\0';
	g_strchomp(text);
}

/* The next piece: as long as it may be, but neither beginning nor ending with a blank, which inih would strip. */
static gsize
piece_length(const char *text)
{
	gsize length = strlen(text);
	if (length <= PIECE)
		return length;
	for (gsize n = PIECE; n > 1; n--)
		if (!g_ascii_isspace(text[n - 1]) && !g_ascii_isspace(text[n]) && text[n] != ';')
			return n;
	return PIECE;
}

static void
hand_over(struct feeder *f, char *out, int size)
{
	gsize length = piece_length(f->rest + f->offset);
	f->continued = f->offset > 0;
	g_snprintf(out, (gulong)size, "%s%.*s\n", f->continued ? " " : "", (int)length, f->rest + f->offset);
	f->offset += length;
	if (!f->rest[f->offset])
		g_clear_pointer(&f->rest, g_free);
}

/* inih's reader: the next line, or piece of one, as fgets would give it. */
static char *
next_line(char *out, int size, void *stream)
{
	struct feeder *f = stream;
	if (f->rest) {
		hand_over(f, out, size);
		return out;
	}
	if (f->at >= f->end)
		return NULL;
	const char *newline = memchr(f->at, '\n', (gsize)(f->end - f->at));
	gsize length = (gsize)((newline ? newline : f->end) - f->at);
	g_autofree char *copy = g_strndup(f->at, length);
	gboolean has_nul = strlen(copy) < length;
	f->at += length + (newline != NULL);
	f->line++;
	char *text = g_strstrip(copy);
	g_strlcpy(out, "\n", (gsize)size);
	f->continued = FALSE;
	if (!has_nul && (!*text || *text == ';' || *text == '#'))
		return out;
	char *what = check_line(text, has_nul ? strlen(text) + 1 : strlen(text));
	if (what) {
		ini_error_add(f->errors, f->file, f->line, what);
		return out;
	}
	if (*text == '[') {
		g_autofree char *section = g_strndup(text + 1, strcspn(text + 1, "]"));
		add_entry(f, section, NULL, NULL);
	}
	cut_comment(text);
	f->rest = g_strdup(text);
	f->offset = 0;
	hand_over(f, out, size);
	return out;
}

void
ini_read(const char *file, GPtrArray *entries, GPtrArray *errors)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *content = NULL;
	gsize length;
	if (!g_file_get_contents(file, &content, &length, &error)) {
		ini_error_add(errors, file, 0, g_strdup(error->message));
		return;
	}
	if (length > INI_FILE_MAX) {
		ini_error_add(errors, file, 0,
			      g_strdup_printf("it has %" G_GSIZE_FORMAT " bytes; a configuration has at most %d", length,
					      INI_FILE_MAX));
		return;
	}
	struct feeder f = {.file = file, .at = content, .end = content + length, .entries = entries, .errors = errors};
	if (g_str_has_prefix(content, "\xef\xbb\xbf")) /* a byte order mark */
		f.at += 3;
	int result = ini_parse_stream(next_line, &f, on_entry, &f);
	if (result > 0 && !errors->len) /* check_line lets nothing pass that inih refuses */
		ini_error_add(errors, file, f.line, g_strdup("inih cannot read this file"));
	g_free(f.rest);
}
