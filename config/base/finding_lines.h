/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The findings of a check as lines, and their sum: those of childhurdd --check and of childhurdctl
 * check look the same. */
#ifndef CONFIG_BASE_FINDING_LINES_H
#define CONFIG_BASE_FINDING_LINES_H

#include <glib.h>
#include <stdio.h>

struct finding_lines {
	FILE *out;
	gboolean quiet;	   /* leave out what is ok, and the sum */
	gboolean coloured; /* see streams_colours */
	guint ok, notes, problems;
};

/* Count a finding, and print its line. result: "ok", "note" or "problem". */
void finding_lines_add(struct finding_lines *lines, const char *result, const char *text);
/* Print "12 ok, 2 notes, 1 problem". */
void finding_lines_sum(const struct finding_lines *lines);

#endif
