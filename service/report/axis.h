/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where an axis has marks, and what they say. */
#ifndef SERVICE_REPORT_AXIS_H
#define SERVICE_REPORT_AXIS_H

#include <glib.h>

#include "service/report/markup.h"

struct axis_mark {
	double at; /* 0 to 1 */
	char label[24];
};

/* Marks of a time axis from `from` to `until` (µs), seven or so, at times that people use:
 * midnight, noon, the first of a month. The caller unrefs the array of struct axis_mark. */
GArray *axis_times(GTimeZone *zone, gint64 from, gint64 until);

enum axis_unit { AXIS_NUMBER, AXIS_SECONDS, AXIS_BYTES };
struct axis {
	double top; /* of the scale, at least the largest value */
	double step;
	enum axis_unit unit;
};
/* A scale from 0 for values up to largest, with three to five steps. */
struct axis axis_for(double largest, enum axis_unit unit);
/* The text for value. The caller frees. */
char *axis_label(const struct axis *axis, double value);

/* An axis as wide as the page, or beside a scale. */
enum axis_place { AXIS_WIDE, AXIS_NARROW };

/* Draw marks into an open svg: a line from y to y + height px for each and, baseline px from the
 * top, the texts that fit beside one another. Those that do so only on a broad screen are of the
 * class "broad", which the style hides on others. */
void axis_draw_times(struct markup *page, const GArray *marks, double y, double height,
		     double baseline, enum axis_place place);
/* The lines without texts. */
void axis_draw_ticks(struct markup *page, const GArray *marks, double y, double height);

#define AXIS_TOP 8. /* px above a plot, for the scale's last text */

/* Begin a plot of height px with a scale at its left, whose 0 is at AXIS_TOP + height px and whose
 * top is at AXIS_TOP: what is drawn now is in an svg that covers the plot. title, description: see
 * picture_open. */
void axis_open_plot(struct markup *page, const struct axis *axis, double height, const char *title,
		    const char *description);
/* End it, with marks below. height: as it was begun. */
void axis_close_plot(struct markup *page, const GArray *marks, double height);

#endif
