/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A strip has a fixed number of columns. Each shows the kind of states in which the guest was for
 * most of the column's time, and neighbours that look the same are one rectangle. A failure that is
 * short beside its column would so disappear: it has a mark of its own below the strip.
 *
 * Kinds differ in height and pattern too, for those who do not see colours, and on paper.
 */
#include "service/report/strip.h"

#include "service/report/axis.h"
#include "service/report/picture.h"
#include "service/report/words.h"

#define HEIGHT 22. /* px of the strip */
#define MARKS  5.  /* px below it, for the marks of trouble */
#define LABELS 16. /* px of the axis below these */

/* µs of each kind in a column. */
struct column {
	double spent[N_KINDS];
};

/* Add the time of a state, cut to the strip, to the columns it is in. */
static void
spend(struct column *columns, guint n, gint64 from, gint64 until, const struct record_state *state)
{
	double width = (double)(until - from) / n;
	double begin = (double)(MAX(state->from, from) - from);
	double end = (double)(MIN(state->until, until) - from);
	if (end <= begin)
		return;
	for (guint i = (guint)(begin / width); i < n && i * width < end; i++) {
		double time = MIN(end, (i + 1) * width) - MAX(begin, i * width);
		columns[i].spent[state->kind] += MAX(time, 0);
	}
}

static enum kind
main_kind(const struct column *column)
{
	enum kind kind = KIND_UNKNOWN;
	for (guint i = 0; i < N_KINDS; i++)
		if (column->spent[i] > column->spent[kind])
			kind = (enum kind)i;
	return kind;
}

static double
known(const struct column *column)
{
	double sum = 0;
	for (guint i = 0; i < N_KINDS; i++)
		sum += column->spent[i];
	return sum;
}

/* The part that begins with that column, and all that look the same after it. */
static struct strip_part
part_at(const struct column *columns, guint n, guint first)
{
	struct strip_part part = {first, first, main_kind(&columns[first]), FALSE, 0};
	double sum = 0, of_kind = 0;
	part.trouble = part.kind != KIND_TROUBLE && columns[first].spent[KIND_TROUBLE] > 0;
	for (; part.end < n; part.end++) {
		const struct column *column = &columns[part.end];
		enum kind kind = main_kind(column);
		double here = known(column);
		if (here <= 0 || kind != part.kind ||
		    (kind != KIND_TROUBLE && column->spent[KIND_TROUBLE] > 0) != part.trouble)
			break;
		sum += here;
		of_kind += column->spent[kind];
	}
	part.share = of_kind / sum;
	return part;
}

GArray *
strip_parts(const GArray *states, gint64 from, gint64 until, guint n)
{
	GArray *parts = g_array_new(FALSE, FALSE, sizeof(struct strip_part));
	g_autofree struct column *columns = g_new0(struct column, n);
	for (guint i = 0; i < states->len; i++)
		spend(columns, n, from, until, &g_array_index(states, struct record_state, i));
	for (guint i = 0; i < n;) {
		if (known(&columns[i]) <= 0) {
			i++;
			continue;
		}
		struct strip_part part = part_at(columns, n, i);
		g_array_append_val(parts, part);
		i = part.end;
	}
	return parts;
}

/* --- drawing --- */

static gint64
time_at(gint64 from, gint64 until, guint column)
{
	return from + (gint64)((double)(until - from) * column / STRIP_COLUMNS);
}

/* "ready 98.1 % of the time, Sat 28 Nov, 13:05 to Sat 28 Nov, 19:00". */
static void
say_part(struct markup *page, const struct records *records, const struct strip_part *part,
	 gint64 from)
{
	const gint64 until = records->now;
	g_autofree char *begin = words_moment(records->zone, time_at(from, until, part->first));
	g_autofree char *end = words_moment(records->zone, time_at(from, until, part->end));
	g_autofree char *share = words_share(part->share);
	markup_open(page, "title");
	markup_text(page, kind_look(part->kind)->name);
	if (part->share < 0.9995)
		markup_textf(page, " %s of the time", share);
	markup_textf(page, ", %s to %s%s", begin, end, part->trouble ? "; with trouble" : "");
	markup_close(page);
}

static void
draw_part(struct markup *page, const struct records *records, const struct strip_part *part,
	  gint64 from)
{
	const struct kind_look *look = kind_look(part->kind);
	double height = look->height * HEIGHT;
	double x = (double)part->first / STRIP_COLUMNS;
	double width = (double)(part->end - part->first) / STRIP_COLUMNS;
	picture_rect(page, look->class, x, width, HEIGHT - height, height);
	say_part(page, records, part, from);
	markup_close(page);
	if (part->trouble) {
		picture_rect(page, "km", x, width, HEIGHT + 1, MARKS - 1);
		markup_close(page);
	}
}

/* Shares of the time in each kind, for those who do not see the strip. The caller frees. */
static char *
description(const GArray *states, gint64 from, gint64 until)
{
	struct column whole = {{0}};
	GString *text = g_string_new(NULL);
	for (guint i = 0; i < states->len; i++)
		spend(&whole, 1, from, until, &g_array_index(states, struct record_state, i));
	double sum = known(&whole);
	for (guint i = N_KINDS; i-- > 0;) {
		g_autofree char *share = words_share(whole.spent[i] / sum);
		if (whole.spent[i] > 0)
			g_string_append_printf(text, "%s%s %s", text->len ? ", " : "",
					       kind_look((enum kind)i)->name, share);
	}
	g_string_append(text, text->len ? "." : "Nothing is known.");
	return g_string_free(text, FALSE);
}

void
strip_draw(struct markup *page, const struct records *records, const struct record_guest *guest,
	   enum period period, gboolean axis)
{
	const gint64 until = records->now, from = until - period_length(period);
	g_autoptr(GArray) parts = strip_parts(guest->states, from, until, STRIP_COLUMNS);
	g_autoptr(GArray) marks = axis_times(records->zone, from, until);
	g_autofree char *title =
	    g_strdup_printf("States of %s, the last %s", guest->name, period_name(period));
	g_autofree char *text = description(guest->states, from, until);
	picture_open(page, "strip", HEIGHT + MARKS + (axis ? LABELS : 0), title, text);
	picture_rect(page, "kb", 0, 1, 0, HEIGHT);
	markup_close(page);
	for (guint i = 0; i < parts->len; i++)
		draw_part(page, records, &g_array_index(parts, struct strip_part, i), from);
	if (axis)
		axis_draw_times(page, marks, 0, HEIGHT + MARKS, HEIGHT + MARKS + LABELS - 4,
				AXIS_WIDE);
	else
		axis_draw_ticks(page, marks, HEIGHT, MARKS);
	markup_close(page);
}

void
strip_legend(struct markup *page)
{
	markup_open_class(page, "ul", "legend");
	for (guint i = N_KINDS; i-- > 0;) {
		const struct kind_look *look = kind_look((enum kind)i);
		picture_legend(page, look->class, look->height, look->name, look->meaning);
	}
	picture_legend(page, "km", 0.3, "mark below a strip", "in trouble for a part of that time");
	markup_close(page);
}
