/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The folder that a report is written into. A web server may read it at any moment, and other files
 * may be in it. So each file is replaced as a whole, and a list in the folder,
 * childhurd-report.list, names those that are a report's: others are neither replaced nor removed.
 */
#ifndef SERVICE_REPORT_FOLDER_H
#define SERVICE_REPORT_FOLDER_H

#include <glib.h>

#define FOLDER_LIST	"childhurd-report.list"
#define FOLDER_LIST_MAX (1024 * 1024) /* bytes of it; a longer one is nobody's */

struct folder;

/*
 * Begin a report in the folder at path, which is made if it is not there, with the folders above.
 * names: the files of the report (a set of char *, borrowed until the end). If one of them is there
 * and of no report, this fails, and nothing has changed. Blocks on disk.
 */
struct folder *folder_begin(const char *path, GHashTable *names, GError **error);
/* Whether an earlier report has written that file, so that it need not be written again. */
gboolean folder_has(const struct folder *folder, const char *name);
/* Write a file of names. */
gboolean folder_write(const struct folder *folder, const char *name, const char *bytes, gsize n,
		      GError **error);
/* All is written: remove the files of earlier reports that are not in names. */
gboolean folder_end(const struct folder *folder, GError **error);
void folder_free(struct folder *folder); /* NULL is allowed */

#endif
