/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes HTML with SVG in it. Guests choose the reasons of their failures and what stands on their
 * consoles, so nothing reaches a page but through these functions, which escape all text.
 */
#ifndef SERVICE_REPORT_MARKUP_H
#define SERVICE_REPORT_MARKUP_H

#include <glib.h>

#define MARKUP_TEXT_MAX 2000 /* characters of one text or attribute; a longer one ends with "…" */

/* A page that is being written. */
struct markup {
	GString *out;
	GPtrArray *open; /* the names of the elements that are not closed, borrowed */
	gboolean tag;	 /* the last one's start tag still takes attributes */
	guint ids;	 /* given by markup_id */
};

void markup_init(struct markup *page);
/* The text of the page, all of whose elements are closed. The caller frees; page is empty then. */
GString *markup_finish(struct markup *page);

/* Names of elements and attributes, and classes, are constants of the program. */
void markup_open(struct markup *page, const char *element);
/* The same with a class. */
void markup_open_class(struct markup *page, const char *element, const char *class);
/* An attribute of the element that was just opened. The value is escaped. */
void markup_attribute(struct markup *page, const char *name, const char *value);
/* A number, with two decimals at most, and a dot in any locale; unit: "%", "px" or "". */
void markup_number(struct markup *page, const char *name, double value, const char *unit);
/* A path whose line stays as broad as it is in a picture that is stretched. d: numbers and commands
 * of ours, of any length, not escaped. */
void markup_path(struct markup *page, const char *class, const char *d);
/* An id that this page does not have yet: "i1", "i2"... */
void markup_id(struct markup *page, char id[static 16]);
/* Text, escaped. Control characters, those that change the direction of text, and bytes that are
 * not UTF-8 become U+FFFD. */
void markup_text(struct markup *page, const char *text);
void markup_textf(struct markup *page, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Text of the program that is not escaped, such as a style sheet. */
void markup_constant(struct markup *page, const char *text);
/* Close the element that was opened last. */
void markup_close(struct markup *page);
/* An element with nothing but text. class may be NULL. */
void markup_element(struct markup *page, const char *element, const char *class, const char *text);

#endif
