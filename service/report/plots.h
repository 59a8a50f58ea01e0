/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plots of a guest. Each says in words what it shows, and has a bounded size. */
#ifndef SERVICE_REPORT_PLOTS_H
#define SERVICE_REPORT_PLOTS_H

#include "service/report/markup.h"
#include "service/report/records.h"

#define PLOTS_BOOTS_MAX 60  /* bars of the boots' plot: the last ones */
#define PLOTS_COLUMNS	240 /* of a line: a value each, with its least and its largest */

/* --- plot_boots.c --- */

/* The last boots as bars, with their phases stacked. warm: those from a warm state, which take
 * seconds; else those from the disk. FALSE: there are none, and nothing was drawn. */
gboolean plot_boots(struct markup *page, const struct records *records,
		    const struct record_guest *guest, gboolean warm);

/* --- plot_builds.c --- */

/* Builds on each day of the long period. FALSE: as above. */
gboolean plot_builds(struct markup *page, const struct records *records,
		     const struct record_guest *guest);

/* --- plot_lines.c --- */

enum plot_value { PLOT_LOAD, PLOT_STORE };
/* A value over that period. FALSE: as above. */
gboolean plot_line(struct markup *page, const struct records *records,
		   const struct record_guest *guest, enum plot_value value, enum period period);

#endif
