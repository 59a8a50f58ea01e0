/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values that are numbers, sizes or times: a number and its unit, within the limits of its key. A
 * limit is reported in a suitable unit, and a forgotten unit is suggested.
 */
#include <math.h>
#include <string.h>

#include "config/value_internal.h"

struct unit {
	const char *name;
	double factor;
};
static const struct unit sizes[] = {
    {"K", 1024.0}, {"M", 1048576.0}, {"G", 1073741824.0}, {NULL, 0}};
static const struct unit times[] = {{"ms", 1},	    {"s", 1000},     {"min", 60000},
				    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit none[] = {{NULL, 0}};

/* A number and its unit; bare: the unit may be missing. FALSE: text is something else. */
static gboolean
number(const char *text, const struct unit *units, gboolean bare, double *value)
{
	static const char digits[] = G_CSET_DIGITS;
	const char *end = text + (*text == '-');
	gsize whole = strspn(end, digits);
	end += whole;
	gsize rest = *end == '.' ? strspn(end + 1, digits) : 0;
	if (!whole ||
	    (*end == '.' && !rest)) /* no hexadecimal numbers, no exponents, no infinity */
		return FALSE;
	end += *end == '.' ? rest + 1 : 0;
	double n = g_ascii_strtod(text, NULL);
	if (!isfinite(n))
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

/* A limit as one would write it. */
static char *
limit_text(const struct key *key, double limit)
{
	const struct unit *units = key->type == KEY_SIZE   ? sizes
				   : key->type == KEY_TIME ? times
							   : none;
	const struct unit *best = NULL;
	for (; units->name; units++)
		if (limit >= units->factor && fmod(limit, units->factor) == 0)
			best = units;
	return best ? g_strdup_printf("%.15g%s", limit / best->factor, best->name)
		    : g_strdup_printf("%.15g", limit);
}

/* For a size such as "256", a quarter of a kilobyte: the forgotten unit that brings it within the
 * limits. Caller frees; "": no advice. */
static char *
forgotten_unit(const struct key *key, const char *text, double value)
{
	if (key->type != KEY_SIZE || !g_ascii_isdigit(text[strlen(text) - 1]))
		return g_strdup("");
	const struct unit *unit = &sizes[1]; /* M; else the first that fits */
	for (gsize i = 0; sizes[i].name && value * unit->factor < key->least; i++)
		unit = &sizes[i];
	gboolean fits = value * unit->factor >= key->least &&
			(key->most <= 0 || value * unit->factor <= key->most);
	return fits ? g_strdup_printf(" (%s bytes; did you mean %s%s?)", text, text, unit->name)
		    : g_strdup("");
}

static char *
check_range(const struct key *key, const char *text, double value)
{
	g_autofree char *least = limit_text(key, key->least);
	g_autofree char *most = limit_text(key, key->most);
	if (value < key->least || (key->most > 0 && value > key->most)) {
		g_autofree char *advice = forgotten_unit(key, text, value);
		return value_wrong(text, "is out of range; it is %s to %s%s", least, most, advice);
	}
	return NULL;
}

char *
value_set_number(const struct key *key, const char *text, void *field)
{
	double value;
	gboolean parsed = FALSE;
	const char *advice = "is not a whole number";
	if (key_can_be_never(key) && !strcmp(text, KEY_NEVER)) {
		if (key->type == KEY_INT)
			*(int *)field = 0;
		else
			*(gint64 *)field = 0;
		return NULL;
	}
	switch (key->type) {
	case KEY_SIZE:
		advice = "is not a size; write a number with K, M or G, as 512M";
		parsed = number(text, sizes, TRUE, &value);
		break;
	case KEY_TIME:
		advice = "is not a time; write a number with ms, s, min, h or d, as 30s";
		/* nothing needs no unit, where it is possible */
		parsed = number(text, times, key->least <= 0 && !strcmp(text, "0"), &value);
		break;
	case KEY_REAL:
		advice = "is not a number; write it as 1.8";
		parsed = number(text, none, TRUE, &value);
		break;
	default:
		parsed = number(text, none, TRUE, &value) && !strchr(text, '.');
		break;
	}
	if (!parsed)
		return value_wrong(text, "%s", advice);
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
