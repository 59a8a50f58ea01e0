/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The images that `childhurdctl image` keeps by name: STATE/images/NAME.qcow2. */
#ifndef CONFIG_IMAGE_NAME_H
#define CONFIG_IMAGE_NAME_H

#include <glib.h>

#define IMAGE_FOLDER	     "images" /* in the state directory */
#define IMAGE_SUFFIX	     ".qcow2"
#define IMAGE_NAME_BYTES_MAX 40

/* For messages: "a name IMAGE_NAME_RULE". */
#define IMAGE_NAME_RULE                                                                            \
	"of letters, digits, - _ and ., the first a letter or digit, at most " G_STRINGIFY(        \
	    IMAGE_NAME_BYTES_MAX) " of them, and without a file's ending, as .img"
/* Does the name keep that rule? */
gboolean image_name_is_good(const char *name);

/* STATE/images/NAME.qcow2. The caller frees. */
char *image_file(const char *state_directory, const char *name);

/* What to do about an image that does not exist: NULL, if it is none that is kept by name. The
 * caller frees. */
char *image_file_advice(const char *file);

#endif
