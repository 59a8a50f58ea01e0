/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The entries of the configuration's files. */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include <glib.h>

#define INI_FILE_MAX  (1024 * 1024) /* bytes of one file */
#define INI_VALUE_MAX (16 * 1024)   /* bytes of one value */

/* One `key = value`, or the head of a section (key and value NULL). */
struct ini_entry {
	const char *file; /* borrowed from the caller of ini_read */
	int line;
	char *section; /* "" before the first */
	char *key;
	char *value;
};

/* An error and its place; errors are sorted by file and line before they are reported. */
struct ini_error {
	const char *file;
	int line; /* 0: the file as a whole */
	char *text;
};

/*
 * Read file, append its entries to entries (array of struct ini_entry *, freed with ini_entry_free)
 * and its errors to errors (array of struct ini_error *, freed with ini_error_free). file must
 * outlive both.
 */
void ini_read(const char *file, GPtrArray *entries, GPtrArray *errors);

/*
 * Append the line KEY = VALUE. ini_read reads the same value again if it could come from there: a
 * line of text (value_odd), no spaces around it, no ; after a space in it.
 */
void ini_add_line(GString *text, const char *key, const char *value);

void ini_entry_free(void *entry);
void ini_error_free(void *error);
/* Takes ownership of text. */
void ini_error_add(GPtrArray *errors, const char *file, int line, char *text);
/* "FILE:LINE: TEXT", or "FILE: TEXT" of the file as a whole. The caller frees. */
char *ini_error_message(const struct ini_error *error);

#endif
