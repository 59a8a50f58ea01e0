/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The screenshots are written first, then the guests' pages, which show them, and the page with
 * links to all of these last: whoever reads meanwhile finds what a page promises.
 */
#include "service/report/report.h"

#include "service/report/folder.h"
#include "service/report/pages.h"

#define INDEX "index.html"

/* The names of all files. The caller unrefs the set. */
static GHashTable *
names_of(const struct records *records)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_hash_table_add(names, g_strdup(INDEX));
	for (guint i = 0; i < records->guests->len; i++) {
		const struct record_guest *guest = g_ptr_array_index(records->guests, i);
		g_hash_table_add(names, page_file_of_guest(guest->name));
		for (guint j = 0; j < guest->failures->len; j++)
			if (page_has_screenshot(guest, j))
				g_hash_table_add(names,
						 page_file_of_screenshot(&g_array_index(
						     guest->failures, struct record_failure, j)));
	}
	return names;
}

/* Write the screenshot of a failure if it is not there. One that is gone is none, from here on. */
static gboolean
write_screenshot(const struct folder *folder, struct record_failure *failure,
		 report_screenshot screenshot, gpointer data, GError **error)
{
	GError *why = NULL;
	g_autofree char *name = page_file_of_screenshot(failure);
	if (folder_has(folder, name))
		return TRUE;
	g_autoptr(GBytes) png = screenshot(data, failure->screenshot, &why);
	if (why) {
		g_propagate_error(error, why);
		return FALSE;
	}
	if (!png) {
		failure->screenshot = -1;
		return TRUE;
	}
	gsize n;
	const char *bytes = g_bytes_get_data(png, &n);
	return folder_write(folder, name, bytes, n, error);
}

static gboolean
write_screenshots(const struct folder *folder, const struct record_guest *guest,
		  report_screenshot screenshot, gpointer data, GError **error)
{
	for (guint i = guest->failures->len; i-- > 0;)
		if (page_has_screenshot(guest, i) &&
		    !write_screenshot(folder,
				      &g_array_index(guest->failures, struct record_failure, i),
				      screenshot, data, error))
			return FALSE;
	return TRUE;
}

/* Write a page and free it. */
static gboolean
write_page(const struct folder *folder, const char *name, GString *page, GError **error)
{
	gboolean good = folder_write(folder, name, page->str, page->len, error);
	g_string_free(page, TRUE);
	return good;
}

static gboolean
write_guest(const struct folder *folder, const struct records *records,
	    const struct record_guest *guest, GError **error)
{
	g_autofree char *name = page_file_of_guest(guest->name);
	return write_page(folder, name, page_guest(records, guest), error);
}

gboolean
report_write(const struct records *records, const char *path, report_screenshot screenshot,
	     gpointer data, GError **error)
{
	g_autoptr(GHashTable) names = names_of(records);
	struct folder *folder = folder_begin(path, names, error);
	gboolean good = folder != NULL;
	for (guint i = 0; good && i < records->guests->len; i++)
		good = write_screenshots(folder, g_ptr_array_index(records->guests, i), screenshot,
					 data, error);
	for (guint i = 0; good && i < records->guests->len; i++)
		good = write_guest(folder, records, g_ptr_array_index(records->guests, i), error);
	good = good && write_page(folder, INDEX, page_all(records), error) &&
	       folder_end(folder, error);
	folder_free(folder);
	return good;
}
