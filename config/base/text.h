/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of guests, tools and files, made fit to be shown. It may hold anything: bytes that are no
 * UTF-8, control characters, escape sequences (ECMA-48). What these functions return is valid
 * UTF-8, and the caller frees it.
 */
#ifndef CONFIG_BASE_TEXT_H
#define CONFIG_BASE_TEXT_H

#include <glib.h>

/* text on one line: instead (ASCII) for each control character, line ends and ESC among them, and
 * U+FFFD for each byte that is no UTF-8. */
char *text_line(const char *text, char instead);

/*
 * text for the output of a program: U+FFFD for each byte that is no UTF-8. line: a space for each
 * line end. terminal: without control characters, except line ends and tabs. NULL is "".
 */
char *text_output(const char *text, gboolean line, gboolean terminal);

/*
 * What a terminal would show of one line: length bytes, NULs among them, without escape sequences
 * and all that is not printable, such as what turns the direction of text; a space for a tab, and ?
 * for each byte that is no UTF-8. bytes[length] is a NUL.
 */
char *text_shown(const char *bytes, gsize length);

/*
 * What a tool wrote before it failed, for a message: its lines as text_line has them, without
 * prefix (NULL: none) where they begin with it, joined by between, at most max characters. It never
 * is empty.
 */
char *text_said(const char *output, const char *prefix, const char *between, glong max);

/*
 * Append text as Guile's `write` prints a string, so that `read` gives it again. text is UTF-8;
 * bytes that are none stay as they are.
 */
void text_scheme(GString *out, const char *text);

#endif
