/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of an image that is kept by name (image_name.h): a small file beside it, NAME.ini.
 */
#ifndef CONFIG_IMAGE_RECORD_H
#define CONFIG_IMAGE_RECORD_H

#include <glib.h>

#define IMAGE_RECORD_SUFFIX ".ini"

/* Strings that are not known are NULL. */
struct image_record {
	char *url;	    /* where it is from; file://... for one that was added */
	char *sha512;	    /* of what was fetched or added, 128 hexadecimal digits */
	char *architecture; /* as the key architecture: "i586", "x86_64" */
	char *distribution; /* as the key distribution: "guix", "debian", "other" */
	gint64 when;	    /* s since the epoch; 0: unknown */
	gint64 size;	    /* bytes of the image's file when it was made; 0: unknown */
};

/*
 * Read the record of the image file, which need not have one: then TRUE, and all is unknown. FALSE
 * and an error: the record cannot be read; it says where. Clear with image_record_clear.
 */
gboolean image_record_read(const char *file, struct image_record *record, GError **error);
void image_record_clear(struct image_record *record);

/* The record's path, of the image file; and its text. The caller frees. */
char *image_record_file(const char *file);
char *image_record_text(const struct image_record *record);

#endif
