/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/image_name.h"

#include <string.h>

gboolean
image_name_is_good(const char *name)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	static const char *const endings[] = {".qcow2", ".img", ".raw", ".iso", ".xz",
					      ".gz",	".zst", ".tar", ".ini"};
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++)
		if (g_str_has_suffix(name, endings[i]))
			return FALSE;
	return g_ascii_isalnum(*name) && strspn(name, letters) == strlen(name) &&
	       strlen(name) <= IMAGE_NAME_BYTES_MAX;
}

char *
image_file(const char *state_directory, const char *name)
{
	g_autofree char *file = g_strconcat(name, IMAGE_SUFFIX, NULL);
	return g_build_filename(state_directory, IMAGE_FOLDER, file, NULL);
}

char *
image_file_advice(const char *file)
{
	g_autofree char *folder = g_path_get_dirname(file), *above = g_path_get_dirname(folder);
	g_autofree char *name = g_path_get_basename(file);
	if (!g_str_has_suffix(name, IMAGE_SUFFIX))
		return NULL;
	name[strlen(name) - strlen(IMAGE_SUFFIX)] = '\0';
	g_autofree char *same = image_file(above, name);
	if (strcmp(same, file) != 0 || !image_name_is_good(name))
		return NULL;
	return g_strdup_printf(
	    "childhurdctl image fetch %s gets it, if it is one that childhurdctl "
	    "image list shows; childhurdctl image add %s FILE makes it of a file",
	    name, name);
}
