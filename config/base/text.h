/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cleans text of guests, tools and files, so that it can be shown. Such text may hold anything:
 * bytes that are not UTF-8, control characters, escape sequences (ECMA-48). These functions return
 * valid UTF-8, and the caller frees it.
 */
#ifndef CONFIG_BASE_TEXT_H
#define CONFIG_BASE_TEXT_H

#include <glib.h>

/* Would c act on a terminal, instead of being shown there? Control characters, line and paragraph
 * separators, and the characters that change the direction of the text around them. */
gboolean text_acts(gunichar c);

/* text as one line: each character that acts, also a line end or ESC, becomes instead (ASCII), and
 * each byte that is not UTF-8 becomes U+FFFD. */
char *text_line(const char *text, char instead);

/*
 * text for a program's output: each byte that is not UTF-8 becomes U+FFFD. line: each line end
 * becomes a space. terminal: characters that act are left out, except line ends and tabs. NULL is
 * "".
 */
char *text_output(const char *text, gboolean line, gboolean terminal);

/*
 * What a terminal would show of one line of length bytes, which may have NULs. Escape sequences and
 * all that acts or is not printable are left out. A
 * tab becomes a space, a byte that is not UTF-8 becomes ?. bytes[length] must be a NUL.
 */
char *text_shown(const char *bytes, gsize length);

/*
 * The output of a tool that failed, for a message: its lines, each cleaned by text_line and without
 * prefix (NULL: none), joined by between, at most max characters. Never empty.
 */
char *text_said(const char *output, const char *prefix, const char *between, glong max);

/*
 * Append text as Guile's `write` prints a string, so that `read` returns the same. text is UTF-8;
 * other bytes stay as they are.
 */
void text_scheme(GString *out, const char *text);

#endif
