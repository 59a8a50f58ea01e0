/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/value.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_MAX 60

char *
value_quote(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	g_autoptr(GString) out = g_string_new("\"");
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (out->len > QUOTE_MAX) {
			g_string_append(out, "...");
			break;
		}
		if (g_unichar_isprint(c) && c != '"' && c != '\\')
			g_string_append_unichar(out, c);
		else if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", (int)c);
		else
			g_string_append_printf(out, "\\x%02x", c);
	}
	g_string_append_c(out, '"');
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *wrong(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static char *
wrong(const char *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *rest = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *quoted = value_quote(text);
	return g_strdup_printf("%s %s", quoted, rest);
}

/* --- numbers --------------------------------------------------------------------------------------------- */

struct unit {
	const char *name;
	double factor;
};
static const struct unit sizes[] = {{"K", 1024.0}, {"M", 1048576.0}, {"G", 1073741824.0}, {NULL, 0}};
static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit none[] = {{NULL, 0}};

/* A number and its unit; bare: it may stand without one. FALSE: that is not what text is. */
static gboolean
number(const char *text, const struct unit *units, gboolean bare, double *value)
{
	char *end = NULL;
	if (!g_ascii_isdigit(*text) && *text != '-' && *text != '.')
		return FALSE;
	if (strpbrk(text, "xXpP")) /* no hexadecimal numbers */
		return FALSE;
	double n = g_ascii_strtod(text, &end);
	if (end == text || !isfinite(n))
		return FALSE;
	while (*end == ' ')
		end++;
	*value = n;
	if (!*end)
		return bare;
	for (; units->name; units++) {
		if (strcmp(end, units->name))
			continue;
		*value = n * units->factor;
		return TRUE;
	}
	return FALSE;
}

/* A limit as it would be written. */
static char *
limit_text(const struct key *key, double limit)
{
	const struct unit *units = key->type == KEY_SIZE ? sizes : key->type == KEY_TIME ? times : none;
	const struct unit *best = NULL;
	for (; units->name; units++)
		if (limit >= units->factor && fmod(limit, units->factor) == 0)
			best = units;
	return best ? g_strdup_printf("%.15g%s", limit / best->factor, best->name) : g_strdup_printf("%.15g", limit);
}

static char *
check_range(const struct key *key, const char *text, double value)
{
	g_autofree char *least = limit_text(key, key->least);
	g_autofree char *most = limit_text(key, key->most);
	if (value < key->least || (key->most > 0 && value > key->most))
		return wrong(text, "is out of range; it is %s to %s", least, most);
	return NULL;
}

static char *
set_number(const struct key *key, const char *text, void *field)
{
	double value;
	gboolean parsed = FALSE;
	const char *advice = "is not a whole number";
	switch (key->type) {
	case KEY_SIZE:
		advice = "is not a size; write a number with K, M or G, as 512M";
		parsed = number(text, sizes, TRUE, &value);
		break;
	case KEY_TIME:
		advice = "is not a time; write a number with ms, s, min or h, as 30s";
		parsed = number(text, times, FALSE, &value);
		break;
	case KEY_REAL:
		advice = "is not a number; write it as 1.8";
		parsed = number(text, none, TRUE, &value);
		break;
	default:
		parsed = number(text, none, TRUE, &value) && value == floor(value) && !strpbrk(text, ".eE");
		break;
	}
	if (!parsed)
		return wrong(text, "%s", advice);
	char *range = check_range(key, text, value);
	if (range)
		return range;
	if (key->type == KEY_REAL)
		*(double *)field = value;
	else if (key->type == KEY_INT)
		*(int *)field = (int)value;
	else
		*(gint64 *)field = (gint64)value;
	return NULL;
}

/* --- words ----------------------------------------------------------------------------------------------- */

static char *
choices_text(const char *const *choices)
{
	return g_strjoinv(", ", (char **)choices);
}

static char *
set_choice(const struct key *key, const char *text, void *field)
{
	for (int i = 0; key->choices[i]; i++) {
		if (strcmp(key->choices[i], text))
			continue;
		*(int *)field = i;
		return NULL;
	}
	g_autofree char *choices = choices_text(key->choices);
	return wrong(text, "is not one of its values: %s", choices);
}

static char *
set_bool(const char *text, gboolean *field)
{
	if (!g_ascii_strcasecmp(text, "yes") || !g_ascii_strcasecmp(text, "true"))
		*field = TRUE;
	else if (!g_ascii_strcasecmp(text, "no") || !g_ascii_strcasecmp(text, "false"))
		*field = FALSE;
	else
		return wrong(text, "is neither yes nor no");
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
	int year, month, day, hour = 0, minute = 0, second = 0, length = 0;
	int n = sscanf(text, "%4d-%2d-%2d%n%*1[T ]%2d:%2d:%2d%n", &year, &month, &day, &length, &hour, &minute,
		       &second, &length);
	g_autoptr(GDateTime) date = (n == 3 || n == 6) && length == (int)strlen(text)
					? g_date_time_new_utc(year, month, day, hour, minute, second)
					: NULL;
	if (!date || year < 1970)
		return wrong(text, "is not a date; write now, 2020-01-31 or 2020-01-31T12:00:00 (UTC, from 1970 on)");
	replace(field, g_date_time_format(date, "%Y-%m-%dT%H:%M:%S"));
	return NULL;
}

static char *
path_from(const char *text, const char *folder)
{
	g_autofree char *joined = g_path_is_absolute(text) ? g_strdup(text) : g_build_filename(folder, text, NULL);
	return g_canonicalize_filename(joined, "/");
}

static char *
set_text(const struct key *key, const char *text, const char *folder, char **field)
{
	struct in_addr address;
	if (!*text && !(key->standard && !*key->standard))
		return g_strdup("has no value; give it one, or leave the key out");
	if (!g_utf8_validate(text, -1, NULL))
		return wrong(text, "is not UTF-8");
	switch (key->type) {
	case KEY_WORD:
		if (strpbrk(text, " \t\"'`$;|&<>()[]{}*?\\"))
			return wrong(text, "is not a word; blanks, quotes and wildcards cannot be in it");
		if (*text == '-')
			return wrong(text, "begins with a dash");
		replace(field, g_strdup(text));
		return NULL;
	case KEY_ADDRESS:
		if (inet_pton(AF_INET, text, &address) != 1)
			return wrong(text, "is not an IPv4 address, as 127.0.0.1 (QEMU's user network forwards no IPv6)");
		replace(field, g_strdup(text));
		return NULL;
	case KEY_PATH:
		replace(field, path_from(text, folder));
		return NULL;
	case KEY_PROGRAM:
		replace(field, strchr(text, '/') ? path_from(text, folder) : g_strdup(text));
		return NULL;
	default:
		if (key->choices && !g_strv_contains(key->choices, text)) {
			g_autofree char *choices = choices_text(key->choices);
			return wrong(text, "is not one of its values: %s", choices);
		}
		replace(field, g_strdup(text));
		return NULL;
	}
}

/* --- lists ----------------------------------------------------------------------------------------------- */

static char *
set_list(const char *text, char ***field)
{
	g_auto(GStrv) pieces = g_strsplit_set(text, " \t,", -1);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (char **piece = pieces; *piece; piece++) {
		if (strpbrk(*piece, "\"'\\()"))
			return wrong(text, "is not a list of words; separate them with blanks or commas");
		if (**piece)
			g_strv_builder_add(builder, *piece);
	}
	g_strfreev(*field);
	*field = g_strv_builder_end(builder);
	return NULL;
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
			return wrong(text, "cannot be split into arguments: %s", error->message);
		argv = g_new0(char *, 1);
	}
	g_strfreev(*field);
	*field = argv;
	return NULL;
}

static void
module_free(void *data)
{
	struct config_module *module = data;
	g_free(module->file);
	g_free(module->arguments);
	g_free(module);
}

static char *
add_module(const char *text, const char *folder, GPtrArray **field)
{
	gsize length = strcspn(text, " \t");
	if (!length)
		return g_strdup("has no value; write FILE, or FILE and its arguments");
	g_autofree char *file = g_strndup(text, length);
	struct config_module *module = g_new0(struct config_module, 1);
	module->file = path_from(file, folder);
	module->arguments = g_strdup(text + length + strspn(text + length, " \t"));
	if (!*field)
		*field = g_ptr_array_new_with_free_func(module_free);
	g_ptr_array_add(*field, module);
	return NULL;
}

static gboolean
modules_equal(const GPtrArray *a, const GPtrArray *b)
{
	if (a->len != b->len)
		return FALSE;
	for (guint i = 0; i < a->len; i++) {
		const struct config_module *x = a->pdata[i], *y = b->pdata[i];
		if (strcmp(x->file, y->file) || strcmp(x->arguments, y->arguments))
			return FALSE;
	}
	return TRUE;
}

/* --- any of them ----------------------------------------------------------------------------------------- */

char *
value_set(const struct key *key, const char *text, const char *folder, void *owner)
{
	void *field = (char *)owner + key->offset;
	switch (key->type) {
	case KEY_TEXT:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
		return set_text(key, text, folder, field);
	case KEY_DATE:
		return set_date(text, field);
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_INT:
	case KEY_REAL:
		return set_number(key, text, field);
	case KEY_BOOL:
		return set_bool(text, field);
	case KEY_CHOICE:
		return set_choice(key, text, field);
	case KEY_LIST:
		return set_list(text, field);
	case KEY_ARGV:
		return set_argv(text, field);
	case KEY_MODULE:
		return add_module(text, folder, field);
	}
	return NULL;
}

void
value_clear(const struct key *key, void *owner)
{
	void *field = (char *)owner + key->offset;
	switch (key->type) {
	case KEY_TEXT:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
	case KEY_DATE:
		g_clear_pointer((char **)field, g_free);
		break;
	case KEY_LIST:
	case KEY_ARGV:
		g_clear_pointer((char ***)field, g_strfreev);
		break;
	case KEY_MODULE:
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
	case KEY_WORD:
	case KEY_PATH:
	case KEY_PROGRAM:
	case KEY_ADDRESS:
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
		return modules_equal(*(GPtrArray *const *)x, *(GPtrArray *const *)y);
	}
	return TRUE;
}
