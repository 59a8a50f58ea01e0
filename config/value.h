/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One value of the configuration, from text to its type. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/keys.h"

/* A configuration of a few lines makes up to 1000 guests, and each has all of it. */
#define VALUE_MODULES_MAX  64  /* modules of a guest */
#define VALUE_FORWARDS_MAX 64  /* further forwards of a guest */
#define VALUE_WORDS_MAX	   256 /* words of a list, or arguments */

/*
 * Parse text as key's type into the field of owner (struct config or struct config_guest), whose
 * old value is freed. folder: what relative paths are relative to. Returns NULL, or what is wrong
 * and what would be right (caller frees; the field is unchanged): "\"12x\" is not a size; write a
 * number with K, M or G, as 512M".
 */
char *value_set(const struct key *key, const char *text, const char *folder, void *owner);
/* The field's value as value_set takes it, a line for each of a repeated key; "": there is none.
 * Caller frees.
 */
char *value_text(const struct key *key, const void *owner);
/* Free the field's value. */
void value_clear(const struct key *key, void *owner);
/* Do two owners have the same value? */
gboolean value_equal(const struct key *key, const void *a, const void *b);

/*
 * Why text can be neither shown to people nor written into XML, Scheme or JSON as it is: no UTF-8,
 * or a control character other than a tab. NULL when it can; caller frees.
 */
char *value_odd(const char *text);

/* Text as it can be printed: control characters escaped, long ones shortened. Caller frees. */
char *value_printable(const char *text);
/* A bad value as it can be printed: in quotes, control characters escaped, long ones shortened.
 * Caller frees. */
char *value_quote(const char *text);

#endif
