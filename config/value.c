/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values: text in, a field of the key's type out, or a sentence about the error. Numbers are those
 * of the C locale, whatever the user's is. Nothing is looked up and no file is touched, so a
 * configuration can be checked on another machine.
 */
#include "config/value_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "config/image_name.h"

#define QUOTE_MAX   60 /* bytes of a value in a message */
#define ACCOUNT_MAX 32 /* bytes, as for useradd */

char *
value_odd(const char *text)
{
	if (!g_utf8_validate(text, -1, NULL))
		return g_strdup("is not UTF-8; save the file in UTF-8");
	for (; *text; text = g_utf8_next_char(text)) {
		gunichar c = g_utf8_get_char(text);
		if ((g_unichar_iscntrl(c) && c != '\t') || (c & 0xfffe) == 0xfffe)
			return g_strdup_printf(
			    "the character \\x%02x cannot be in a configuration; take it out", c);
	}
	return NULL;
}

static void
append_printable(GString *out, const char *text, const char *escaped)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	gsize before = out->len;
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (out->len - before >= QUOTE_MAX) {
			g_string_append(out, "...");
			break;
		}
		if (!g_unichar_isprint(c))
			g_string_append_printf(out, "\\x%02x", c);
		else if (c < 0x80 && strchr(escaped, (int)c))
			g_string_append_printf(out, "\\%c", (int)c);
		else
			g_string_append_unichar(out, c);
	}
}

char *
value_printable(const char *text)
{
	GString *out = g_string_new(NULL);
	append_printable(out, text, "");
	return g_string_free(out, FALSE);
}

char *
value_quote(const char *text)
{
	GString *out = g_string_new("\"");
	append_printable(out, text, "\"\\");
	g_string_append_c(out, '"');
	return g_string_free(out, FALSE);
}

char *
value_wrong(const char *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *rest = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *quoted = value_quote(text);
	return g_strdup_printf("%s %s", quoted, rest);
}

/* --- words --- */

static char *
choices_text(const char *const *choices)
{
	return g_strjoinv(", ", (char **)choices);
}

/* Where yes and no are choices, they may be written as those of a KEY_BOOL. */
static const char *
choice_word(const struct key *key, const char *text)
{
	if (!g_strv_contains(key->choices, "yes"))
		return text;
	if (!g_ascii_strcasecmp(text, "yes") || !g_ascii_strcasecmp(text, "true"))
		return "yes";
	if (!g_ascii_strcasecmp(text, "no") || !g_ascii_strcasecmp(text, "false"))
		return "no";
	return text;
}

static char *
set_choice(const struct key *key, const char *text, void *field)
{
	for (int i = 0; key->choices[i]; i++) {
		if (strcmp(key->choices[i], choice_word(key, text)))
			continue;
		*(int *)field = i;
		return NULL;
	}
	g_autofree char *choices = choices_text(key->choices);
	return value_wrong(text, "is not one of its values: %s", choices);
}

static char *
set_bool(const char *text, gboolean *field)
{
	if (!g_ascii_strcasecmp(text, "yes") || !g_ascii_strcasecmp(text, "true"))
		*field = TRUE;
	else if (!g_ascii_strcasecmp(text, "no") || !g_ascii_strcasecmp(text, "false"))
		*field = FALSE;
	else
		return value_wrong(text, "is neither yes nor no");
	return NULL;
}

static void
replace(char **field, char *value)
{
	g_free(*field);
	*field = value;
}

static char *
set_date(const char *text, char **field)
{
	if (!strcmp(text, "now")) {
		replace(field, NULL);
		return NULL;
	}
	static const char pattern[] = "0000-00-00T00:00:00";
	int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
	gsize length = strlen(text);
	gboolean good = length == strlen("0000-00-00") || length == strlen(pattern);
	for (gsize i = 0; good && i < length; i++)
		good = pattern[i] == '0'   ? g_ascii_isdigit(text[i])
		       : pattern[i] == 'T' ? text[i] == 'T' || text[i] == ' '
					   : text[i] == pattern[i];
	if (good)
		sscanf(text, "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d", &year, &month, &day, &hour, &minute,
		       &second);
	g_autoptr(GDateTime) date =
	    good ? g_date_time_new_utc(year, month, day, hour, minute, second) : NULL;
	if (!date || year < 1970)
		return value_wrong(text,
				   "is not a date; write now, 2020-01-31 or 2020-01-31T12:00:00 "
				   "(UTC, from 1970 on)");
	replace(field, g_date_time_format(date, "%Y-%m-%dT%H:%M:%S"));
	return NULL;
}

char *
value_path(const char *text, const char *folder)
{
	g_autofree char *joined =
	    g_path_is_absolute(text) ? g_strdup(text) : g_build_filename(folder, text, NULL);
	return g_canonicalize_filename(joined, "/");
}

gboolean
value_is_account(const char *text)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-.";
	return (g_ascii_isalnum(*text) || *text == '_') && strspn(text, letters) == strlen(text) &&
	       strlen(text) <= ACCOUNT_MAX;
}

static char *
set_text(const struct key *key, const char *text, const char *folder, char **field)
{
	struct in6_addr address; /* large enough for both */
	if (!*text && !(key->standard && !*key->standard))
		return g_strdup("has no value; give it one, or leave the key out");
	switch (key->type) {
	case KEY_NAME:
		if (!value_is_account(text))
			return value_wrong(
			    text,
			    "is not an account's or group's name; it has letters, digits, "
			    "- _ and ., begins "
			    "with a letter, digit or _, and has at most %d of them",
			    ACCOUNT_MAX);
		replace(field, g_strdup(text));
		return NULL;
	case KEY_URI:
		if (strpbrk(text, " \t") || !g_uri_is_valid(text, G_URI_FLAGS_NONE, NULL))
			return value_wrong(
			    text, "is not a libvirt URI, as qemu:///embed or qemu:///system");
		replace(field, g_strdup(text));
		return NULL;
	case KEY_WORD:
		if (strpbrk(text, " \t\"'`$;|&<>()[]{}*?\\"))
			return value_wrong(
			    text, "is not a word; spaces, quotes and wildcards cannot be in it");
		if (*text == '-')
			return value_wrong(text, "begins with a dash");
		replace(field, g_strdup(text));
		return NULL;
	case KEY_ADDRESS:
		if (inet_pton(AF_INET6, text, &address) == 1)
			return value_wrong(
			    text,
			    "is an IPv6 address, and QEMU forwards ports at IPv4 addresses only; "
			    "write one of these, as 127.0.0.1 or 0.0.0.0");
		if (inet_pton(AF_INET, text, &address) != 1)
			return value_wrong(
			    text, "is not an IPv4 address, as 127.0.0.1 (no name is looked up)");
		replace(field, g_strdup(text));
		return NULL;
	case KEY_PATH:
		replace(field, value_path(text, folder));
		return NULL;
	case KEY_IMAGE:
		if (!strchr(text, '/') && !image_name_is_good(text))
			return value_wrong(text,
					   "is not the name of an image that childhurdctl image "
					   "keeps; a file beside this one is ./FILE");
		replace(field, strchr(text, '/') ? value_path(text, folder) : g_strdup(text));
		return NULL;
	case KEY_PROGRAM:
		replace(field, strchr(text, '/') ? value_path(text, folder) : g_strdup(text));
		return NULL;
	default:
		if (key->choices && !g_strv_contains(key->choices, text)) {
			g_autofree char *choices = choices_text(key->choices);
			return value_wrong(text, "is not one of its values: %s", choices);
		}
		replace(field, g_strdup(text));
		return NULL;
	}
}

/* --- lists --- */

/* Takes ownership of words. */
static char *
set_words(char **words, char ***field)
{
	guint n = g_strv_length(words);
	if (n > VALUE_WORDS_MAX) {
		g_strfreev(words);
		return g_strdup_printf("has %u words; it has at most %d", n, VALUE_WORDS_MAX);
	}
	g_strfreev(*field);
	*field = words;
	return NULL;
}

static char *
set_list(const char *text, char ***field)
{
	g_auto(GStrv) pieces = g_strsplit_set(text, " \t,", -1);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (char **piece = pieces; *piece; piece++) {
		if (strpbrk(*piece, "\"'\\()"))
			return value_wrong(
			    text, "is not a list of words; separate them with spaces or commas");
		if (**piece)
			g_strv_builder_add(builder, *piece);
	}
	return set_words(g_strv_builder_end(builder), field);
}

static char *
set_argv(const char *text, char ***field)
{
	g_autoptr(GError) error = NULL;
	char **argv = NULL;
	if (!*text) {
		argv = g_new0(char *, 1);
	} else if (!g_shell_parse_argv(text, NULL, &argv, &error)) {
		if (!g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
			return value_wrong(
			    text,
			    "cannot be split into arguments as in a shell; a quote is not closed");
		argv = g_new0(char *, 1);
	}
	return set_words(argv, field);
}

/* --- any of them --- */

char *
value_set(const struct key *key, const char *text, const char *folder, void *owner)
{
	void *field = (char *)owner + key->offset;
	switch (key->type) {
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_URI:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_IMAGE:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
		return set_text(key, text, folder, field);
	case KEY_DATE:
		return set_date(text, field);
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_INT:
	case KEY_REAL:
		return value_set_number(key, text, field);
	case KEY_BOOL:
		return set_bool(text, field);
	case KEY_CHOICE:
		return set_choice(key, text, field);
	case KEY_LIST:
		return set_list(text, field);
	case KEY_ARGV:
		return set_argv(text, field);
	case KEY_MODULE:
		return value_add_module(text, folder, field);
	case KEY_FORWARD:
		return value_add_forward(text, field);
	case KEY_HOST:
		return value_set_host(text, field);
	case KEY_SSH:
		return value_set_ssh(text, field);
	case KEY_SSH_KEY:
		return value_set_ssh_key(text, field);
	case KEY_SIGNING_KEY:
		break;
	}
	return value_set_signing_key(text, folder, field);
}

static char *
argv_text(char *const *argv)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (; *argv; argv++) {
		g_autofree char *quoted = g_shell_quote(*argv);
		g_strv_builder_add(builder, quoted);
	}
	g_auto(GStrv) words = g_strv_builder_end(builder);
	return g_strjoinv(" ", words);
}

static char *
real_text(double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	return g_strdup(g_ascii_dtostr(text, sizeof text, value));
}

char *
value_text(const struct key *key, const void *owner)
{
	const void *field = (const char *)owner + key->offset;
	const char *text = NULL;
	switch (key->type) {
	case KEY_DATE:
		text = *(char *const *)field;
		return g_strdup(text ? text : "now");
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_URI:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_IMAGE:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
	case KEY_HOST:
	case KEY_SSH:
	case KEY_SSH_KEY:
	case KEY_SIGNING_KEY:
		text = *(char *const *)field;
		return g_strdup(text ? text : "");
	case KEY_SIZE:
		if (!*(const gint64 *)field)
			return g_strdup("");
		return g_strdup_printf("%" G_GINT64_FORMAT, *(const gint64 *)field);
	case KEY_TIME:
		if (!*(const gint64 *)field && key_can_be_never(key))
			return g_strdup(KEY_NEVER);
		return g_strdup_printf("%" G_GINT64_FORMAT "ms", *(const gint64 *)field);
	case KEY_INT:
		if (!*(const int *)field && key_can_be_never(key))
			return g_strdup(KEY_NEVER);
		return g_strdup_printf("%d", *(const int *)field);
	case KEY_REAL:
		return real_text(*(const double *)field);
	case KEY_BOOL:
		return g_strdup(*(const gboolean *)field ? "yes" : "no");
	case KEY_CHOICE:
		return g_strdup(key->choices[*(const int *)field]);
	case KEY_LIST:
		return g_strjoinv(" ", *(char **const *)field);
	case KEY_ARGV:
		return argv_text(*(char *const *const *)field);
	case KEY_MODULE:
		return value_modules_text(*(GPtrArray *const *)field);
	case KEY_FORWARD:
		break;
	}
	return value_forwards_text(*(GPtrArray *const *)field);
}

void
value_clear(const struct key *key, void *owner)
{
	void *field = (char *)owner + key->offset;
	switch (key->type) {
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_URI:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_IMAGE:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
	case KEY_HOST:
	case KEY_SSH:
	case KEY_SSH_KEY:
	case KEY_SIGNING_KEY:
	case KEY_DATE:
		g_clear_pointer((char **)field, g_free);
		break;
	case KEY_LIST:
	case KEY_ARGV:
		g_clear_pointer((char ***)field, g_strfreev);
		break;
	case KEY_MODULE:
	case KEY_FORWARD:
		g_clear_pointer((GPtrArray **)field, g_ptr_array_unref);
		break;
	default:
		break;
	}
}

gboolean
value_equal(const struct key *key, const void *a, const void *b)
{
	const void *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;
	switch (key->type) {
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_URI:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_IMAGE:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
	case KEY_HOST:
	case KEY_SSH:
	case KEY_SSH_KEY:
	case KEY_SIGNING_KEY:
	case KEY_DATE:
		return g_strcmp0(*(char *const *)x, *(char *const *)y) == 0;
	case KEY_SIZE:
	case KEY_TIME:
		return *(const gint64 *)x == *(const gint64 *)y;
	case KEY_INT:
	case KEY_BOOL:
	case KEY_CHOICE:
		return *(const int *)x == *(const int *)y;
	case KEY_REAL:
		return memcmp(x, y, sizeof(double)) == 0;
	case KEY_LIST:
	case KEY_ARGV:
		return g_strv_equal(*(const char *const *const *)x, *(const char *const *const *)y);
	case KEY_MODULE:
		return value_modules_equal(*(GPtrArray *const *)x, *(GPtrArray *const *)y);
	case KEY_FORWARD:
		break;
	}
	return value_forwards_equal(*(GPtrArray *const *)x, *(GPtrArray *const *)y);
}
