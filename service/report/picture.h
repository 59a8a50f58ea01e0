/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all pictures of a page share. */
#ifndef SERVICE_REPORT_PICTURE_H
#define SERVICE_REPORT_PICTURE_H

#include "service/report/markup.h"

/*
 * Open an svg as wide as its place and height px high. Positions across are in %, so a picture
 * fits any width and its text keeps its size. title and description are for those who do not see
 * it, and title also for a pointer over it. To be closed with markup_close.
 */
void picture_open(struct markup *page, const char *class, double height, const char *title,
		  const char *description);
/* An open rect, from x to x + width (0 to 1 of the width) and from y to y + height px. */
void picture_rect(struct markup *page, const char *class, double x, double width, double y,
		  double height);
/* The patterns that the style sheet fills shapes with; once on each page. */
void picture_patterns(struct markup *page);
/* A word with a sample of that class before it, for a legend. meaning may be NULL. */
void picture_legend(struct markup *page, const char *class, double height, const char *name,
		    const char *meaning);

#endif
