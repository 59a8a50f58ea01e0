/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Feeds inih line by line.
 *
 * inih (55), as Debian builds it, starts a new line at the 199th byte of one, and takes an indented
 * line for the continuation of the one before. It passes no line numbers, does not report a section
 * without keys, cuts a section's name at 49 bytes, and reports only the first error, by its line. A
 * multiboot module's arguments alone are longer than its lines. So this file counts and checks the
 * lines on their way to inih, removes indentation, and remembers the section. Of a line that is too
 * long for inih it passes only the key; the value waits for on_entry.
 *
 * Comments begin with ; or # at the start of a line, or with a ; after a space.
 */
#include "config/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config/base/text.h"
#include "config/value.h"

#define KEY_NAME_MAX 48 /* longer than any key, and short enough for inih */

struct feeder {
	const char *file;
	const char *at, *end; /* the rest of the file's content */
	GPtrArray *entries, *errors;
	int line;
	char *section;	   /* "" before the first; NULL: in one with a bad head */
	char *long_value;  /* of the current line, if inih cannot hold it; NULL: use inih's */
	gboolean expected; /* the current line is KEY = VALUE, and inih has not reported it yet */
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

char *
ini_error_message(const struct ini_error *error)
{
	g_autofree char *file = text_line(error->file, '?');
	return error->line ? g_strdup_printf("%s:%d: %s", file, error->line, error->text)
			   : g_strdup_printf("%s: %s", file, error->text);
}

static void
add_entry(struct feeder *f, const char *key, const char *value)
{
	struct ini_entry *entry = g_new0(struct ini_entry, 1);
	entry->file = f->file;
	entry->line = f->line;
	entry->section = g_strdup(f->section);
	entry->key = g_strdup(key);
	entry->value = g_strdup(value);
	g_ptr_array_add(f->entries, entry);
}

/* inih's handler. */
static int
on_entry(void *data, const char *section, const char *name, const char *value)
{
	struct feeder *f = data;
	f->expected = FALSE;
	if (f->section) /* else reported at its head */
		add_entry(f, name, f->long_value ? f->long_value : value);
	return 1;
}

static void wrong_line(struct feeder *f, const char *text, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
wrong_line(struct feeder *f, const char *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *quoted = value_quote(text);
	ini_error_add(f->errors, f->file, f->line, g_strdup_printf("%s: %s", quoted, what));
}

/* The head of a section. */
static void
begin_section(struct feeder *f, const char *text)
{
	const char *close = strchr(text, ']');
	const char *behind = close ? close + 1 + strspn(close + 1, " \t") : NULL;
	g_clear_pointer(&f->section, g_free);
	if (!close) {
		wrong_line(f, text, "a section's name ends with ]");
	} else if (*behind && *behind != ';' && *behind != '#') {
		wrong_line(f, text, "nothing may follow ]");
	} else {
		f->section = g_strndup(text + 1, (gsize)(close - text - 1));
		add_entry(f, NULL, NULL);
	}
}

/* Cut off a ; after a space and all that follows, for short lines and for those that inih does not
 * see. */
static void
cut_comment(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == ';' && p > text && g_ascii_isspace(p[-1]))
			*p = '\0';
	g_strchomp(text);
}

/* If the line is KEY = VALUE, put it into inih's buffer. */
static void
hand_over(struct feeder *f, const char *text, char *out, gsize size)
{
	gsize name = strcspn(text, "=:");
	const char *value = text + name + (text[name] != '\0');
	value += strspn(value, " \t");
	if (!text[name]) {
		wrong_line(f, text, "neither [SECTION] nor KEY = VALUE");
	} else if (!name) {
		wrong_line(f, text, "no key before the %c", *text);
	} else if (name > KEY_NAME_MAX) {
		wrong_line(f, text, "there is no key with so long a name");
	} else if (strlen(value) > INI_VALUE_MAX) {
		wrong_line(f, text, "the value is too long; it has at most %d bytes",
			   INI_VALUE_MAX);
	} else {
		f->expected = TRUE;
		if ((gsize)g_snprintf(out, size, "%s\n", text) < size)
			return;
		f->long_value = g_strdup(value);
		g_snprintf(out, size, "%.*s=\n", (int)name, text);
	}
}

/* The next line without the spaces around it; NULL at the end, or if the file turns out not to be
 * text. */
static char *
take_line(struct feeder *f)
{
	if (f->at >= f->end)
		return NULL;
	const char *newline = memchr(f->at, '\n', (gsize)(f->end - f->at));
	gsize length = (gsize)((newline ? newline : f->end) - f->at);
	gboolean has_nul = memchr(f->at, '\0', length) != NULL;
	char *text = g_strstrip(g_strndup(f->at, length));
	f->at += length + (newline != NULL);
	f->line++;
	if (!has_nul)
		return text;
	ini_error_add(f->errors, f->file, f->line, g_strdup("a NUL byte; this is not a text file"));
	f->at = f->end;
	g_free(text);
	return NULL;
}

/* hand_over passes nothing that inih refuses; if it did, this would report it. */
static void
miss_entry(struct feeder *f)
{
	if (f->expected)
		ini_error_add(f->errors, f->file, f->line, g_strdup("inih cannot read this line"));
	f->expected = FALSE;
	g_clear_pointer(&f->long_value, g_free);
}

/* inih's reader: the next line as from fgets; an empty one for lines that do not concern inih. */
static char *
next_line(char *out, int size, void *stream)
{
	struct feeder *f = stream;
	miss_entry(f);
	g_autofree char *text = take_line(f);
	if (!text)
		return NULL;
	g_strlcpy(out, "\n", (gsize)size);
	if (!*text || *text == ';' || *text == '#')
		return out;
	g_autofree char *odd = value_odd(text);
	if (odd) {
		wrong_line(f, text, "%s", odd);
		if (*text == '[')
			g_clear_pointer(&f->section, g_free);
	} else if (*text == '[') {
		begin_section(f, text);
	} else {
		cut_comment(text);
		hand_over(f, text, out, (gsize)size);
	}
	return out;
}

/*
 * The kind of a file that cannot be a configuration; NULL: it can. A pipe or a terminal that nobody
 * writes to reads as empty, and a reload would stop all guests. /dev/null is empty on purpose.
 */
static const char *
odd_kind(const struct stat *st)
{
	if (S_ISREG(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3)))
		return NULL;
	return S_ISDIR(st->st_mode)    ? "directory"
	       : S_ISFIFO(st->st_mode) ? "fifo"
	       : S_ISSOCK(st->st_mode) ? "socket"
				       : "device";
}

/* Open it, if it can be a configuration. -1: it cannot, and that is reported. */
static int
open_regular(const char *file, GPtrArray *errors)
{
	struct stat st;
	const char *kind = NULL;
	int fd = -1;
	/* Check before, because opening a device may do something; check again after, because the
	 * file may be another one by then. */
	if (stat(file, &st) == 0 && !(kind = odd_kind(&st)))
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && fstat(fd, &st) == 0 && !(kind = odd_kind(&st)))
		return fd;
	ini_error_add(errors, file, 0,
		      kind ? g_strdup_printf("is a %s, not a regular file", kind)
			   : g_strdup_printf("cannot be read: %s", g_strerror(errno)));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Like g_file_get_contents, but with a limit, in case the file is endless. */
static GString *
read_whole(const char *file, GPtrArray *errors)
{
	g_autoptr(GString) content = g_string_new(NULL);
	char bytes[16384];
	ssize_t n = -1;
	int fd = open_regular(file, errors);
	if (fd < 0)
		return NULL;
	while (content->len <= INI_FILE_MAX) {
		n = read(fd, bytes, sizeof bytes);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			break;
		if (n > 0)
			g_string_append_len(content, bytes, n);
	}
	int why = errno;
	close(fd);
	if (n < 0)
		ini_error_add(errors, file, 0,
			      g_strdup_printf("cannot be read: %s", g_strerror(why)));
	else if (content->len > INI_FILE_MAX)
		ini_error_add(errors, file, 0,
			      g_strdup_printf("is too large; a configuration has at most %d bytes",
					      INI_FILE_MAX));
	else
		return g_steal_pointer(&content);
	return NULL;
}

void
ini_read(const char *file, GPtrArray *entries, GPtrArray *errors)
{
	GString *content = read_whole(file, errors);
	if (!content)
		return;
	if (g_str_has_prefix(content->str, "\xef\xbb\xbf")) /* a byte order mark */
		g_string_erase(content, 0, 3);
	/* inih would skip another one in its first line: that is an empty one before the file's. */
	g_string_prepend_c(content, '\n');
	struct feeder f = {.file = file,
			   .at = content->str,
			   .end = content->str + content->len,
			   .entries = entries,
			   .errors = errors,
			   .line = -1,
			   .section = g_strdup("")};
	ini_parse_stream(next_line, &f, on_entry, &f);
	miss_entry(&f);
	g_free(f.section);
	g_string_free(content, TRUE);
}

void
ini_add_line(GString *text, const char *key, const char *value)
{
	/* A ; after a space would begin a comment. */
	g_string_append_printf(text, *value == ';' ? "%s =%s\n" : "%s = %s\n", key, value);
}
