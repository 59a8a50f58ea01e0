/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One value of the configuration, from text to its type. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/keys.h"

/* A few lines can configure 1000 guests, and each gets all values. */
#define VALUE_MODULES_MAX  64  /* modules of a guest */
#define VALUE_FORWARDS_MAX 64  /* further forwards of a guest */
#define VALUE_WORDS_MAX	   256 /* words of a list, or arguments */

/*
 * Parse text as key's type into the field of owner (the struct of its section), whose
 * old value is freed. Relative paths are relative to folder. Returns NULL, or what is wrong and
 * what would be right (caller frees; the field is unchanged): "\"12x\" is not a size; write a
 * number with K, M or G, as 512M".
 */
char *value_set(const struct key *key, const char *text, const char *folder, void *owner);
/* The field's value as value_set accepts it, for a repeated key a line each; "": none. Caller
 * frees. */
char *value_text(const struct key *key, const void *owner);
/* The parts of a KEY_SSH; the caller frees. FALSE: it is none, and they stay as they are. host:
 * without brackets. */
gboolean value_split_ssh(const char *text, char **user, char **host, int *port);
/* Free the field's value. */
void value_clear(const struct key *key, void *owner);
/* Do two owners have the same value? */
gboolean value_equal(const struct key *key, const void *a, const void *b);

/*
 * Why text cannot be shown, or written into XML, Scheme or JSON, as it is: not UTF-8, or a control
 * character other than a tab. NULL if it can; caller frees.
 */
char *value_odd(const char *text);

/* Text ready for printing: control characters escaped, long text shortened. Caller frees. */
char *value_printable(const char *text);
/* The same in quotes, for a bad value. */
char *value_quote(const char *text);

#endif
