/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The images that are there: which, whether they are whole, and whether one may go. */
#ifndef CHILDHURDD_IMAGES_KEEP_H
#define CHILDHURDD_IMAGES_KEEP_H

#include <glib.h>

#include "childhurdd/images/known.h"
#include "childhurdd/images/store.h"

/* Print all images, and those of table (struct known) that could be fetched: a line each, or JSON.
 * faults gets, as text, what of them cannot be read. */
void keep_list(const struct store *store, const GPtrArray *table, gboolean json, GPtrArray *faults);

/* Print what is wrong with the image, or that it is whole. FALSE: something is; error only if it
 * could not be looked at. */
gboolean keep_check(const struct store *store, const char *name, GError **error);

/* Remove the image and its record, and what there is of an unfinished one. An error: a guest or a
 * disk stands on it. */
gboolean keep_remove(const struct store *store, const char *name, GError **error);

/* Print the names of all images and of those that could be fetched, a line each. */
void keep_names(const struct store *store, const GPtrArray *table);

#endif
