/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report: pages of what happened to the guests, in a folder. */
#ifndef SERVICE_REPORT_REPORT_H
#define SERVICE_REPORT_REPORT_H

#include "service/report/records.h"

/* The screenshot with that id as a PNG, which the caller unrefs. NULL without error: there is none
 * any more. */
typedef GBytes *(*report_screenshot)(gpointer data, gint64 id, GError **error);

/*
 * Write the pages for records, which are sorted, and the screenshots into the folder at path.
 * screenshot is called with data for each that is not there yet. Blocks on disk. An error names the
 * file; the pages that are there then are whole, and the earlier ones or the new ones.
 */
gboolean report_write(const struct records *records, const char *path, report_screenshot screenshot,
		      gpointer data, GError **error);

#endif
