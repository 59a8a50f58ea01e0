/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/picture.h"

#define SAMPLE 16. /* px of a legend's sample, both ways */

void
picture_open(struct markup *page, const char *class, double height, const char *title,
	     const char *description)
{
	char name[16], text[16];
	markup_id(page, name);
	markup_id(page, text);
	g_autofree char *ids = g_strdup_printf("%s %s", name, text);
	markup_open_class(page, "svg", class);
	markup_attribute(page, "role", "img");
	markup_attribute(page, "aria-labelledby", ids);
	markup_attribute(page, "width", "100%");
	markup_number(page, "height", height, "");
	markup_open(page, "title");
	markup_attribute(page, "id", name);
	markup_text(page, title);
	markup_close(page);
	markup_open(page, "desc");
	markup_attribute(page, "id", text);
	markup_text(page, description);
	markup_close(page);
}

void
picture_rect(struct markup *page, const char *class, double x, double width, double y,
	     double height)
{
	markup_open_class(page, "rect", class);
	markup_number(page, "x", 100 * x, "%");
	markup_number(page, "width", 100 * width, "%");
	markup_number(page, "y", y, "");
	markup_number(page, "height", height, "");
}

/* The lines over a pattern's ground: a path in a square of 8 px. */
static const struct {
	const char *id, *ground, *lines, *path;
} patterns[] = {
    {"draining", "f4", "w", "M0 2h8M0 6h8"},
    {"moving", "f5", "w", "M-2 6L6 -2M-2 10L10 -2M2 10L10 2"},
    {"trouble", "f6", "w", "M-2 6L6 -2M2 10L10 2M-2 2L6 10M2 -2L10 6"},
    {"asleep", "f2", "w", "M1 2h2M5 6h2"},
    {"phase1", "g1", "w", "M-2 6L6 -2M2 10L10 2"},
    {"phase4", "g4", "w", "M2 0v8M6 0v8"},
    {"phase5", "g5", "w", "M0 2h8M0 6h8"},
    {"phase6", "g6", "w", "M4 0v8"},
    {"phase7", "g7", "w", "M0 4h8M4 0v8"},
    {"phase8", "g8", "w", "M1 2h2M5 6h2"},
    {"never", "f6", "w", "M-2 2L6 10M2 -2L10 6"},
};

void
picture_patterns(struct markup *page)
{
	markup_open_class(page, "svg", "patterns");
	markup_attribute(page, "aria-hidden", "true");
	markup_attribute(page, "width", "0");
	markup_attribute(page, "height", "0");
	markup_open(page, "defs");
	for (gsize i = 0; i < G_N_ELEMENTS(patterns); i++) {
		markup_open(page, "pattern");
		markup_attribute(page, "id", patterns[i].id);
		markup_attribute(page, "width", "8");
		markup_attribute(page, "height", "8");
		markup_attribute(page, "patternUnits", "userSpaceOnUse");
		markup_open_class(page, "rect", patterns[i].ground);
		markup_attribute(page, "width", "8");
		markup_attribute(page, "height", "8");
		markup_close(page);
		markup_open_class(page, "path", patterns[i].lines);
		markup_attribute(page, "d", patterns[i].path);
		markup_close(page);
		markup_close(page);
	}
	markup_close(page);
	markup_close(page);
}

void
picture_legend(struct markup *page, const char *class, double height, const char *name,
	       const char *meaning)
{
	markup_open(page, "li");
	markup_open(page, "svg");
	markup_attribute(page, "aria-hidden", "true");
	markup_number(page, "width", SAMPLE, "");
	markup_number(page, "height", SAMPLE, "");
	picture_rect(page, class, 0, 1, SAMPLE * (1 - height), SAMPLE * height);
	markup_close(page);
	markup_close(page);
	markup_element(page, "b", NULL, name);
	if (meaning)
		markup_textf(page, " %s", meaning);
	markup_close(page);
}
