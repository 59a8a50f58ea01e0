/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The standard places of the configuration and the daemon's folders: those that the service manager
 * has made; else below /etc, /var/lib and /run for root, below the XDG folders for others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/load_internal.h"

/* The XDG Base Directory Specification says to ignore a relative path. */
static char *
user_folder(const char *variable, const char *in_home)
{
	const char *value = g_getenv(variable);
	if (value && g_path_is_absolute(value))
		return g_strdup(value);
	return g_build_filename(g_get_home_dir(), in_home, NULL);
}

/*
 * The folder named childhurd among those that the service manager has made (systemd.exec(5),
 * StateDirectory= and similar), or NULL. Other folders belong to another service, from which
 * somebody started us by hand.
 */
char *
places_of_service(const char *variable)
{
	const char *list = g_getenv(variable);
	g_auto(GStrv) folders = g_strsplit(list ? list : "", ":", -1);
	for (char **folder = folders; *folder; folder++)
		if (g_path_is_absolute(*folder) && g_str_has_suffix(*folder, "/childhurd"))
			return g_strdup(*folder);
	return NULL;
}

char *
places_folder(const char *from_service, const char *for_root, const char *variable,
	      const char *in_home)
{
	char *made = places_of_service(from_service);
	if (made)
		return made;
	if (geteuid() == 0)
		return g_strdup(for_root);
	g_autofree char *folder = user_folder(variable, in_home);
	return g_build_filename(folder, "childhurd", NULL);
}

/* Without $XDG_RUNTIME_DIR, the folder of g_get_user_runtime_dir(); never in /tmp, where others
 * could make it first. */
char *
places_runtime_folder(void)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0 || (runtime && g_path_is_absolute(runtime)))
		return places_folder("RUNTIME_DIRECTORY", "/run/childhurd", "XDG_RUNTIME_DIR", "");
	return places_folder("RUNTIME_DIRECTORY", "", "XDG_CACHE_HOME", ".cache");
}

char *
config_default_file(void)
{
	g_autofree char *folder = places_folder("CONFIGURATION_DIRECTORY", "/etc/childhurd",
						"XDG_CONFIG_HOME", ".config");
	return g_build_filename(folder, "childhurd.ini", NULL);
}

/*
 * The folder's real path, also if the folder does not exist yet. Guests' UUIDs derive from it, so
 * it must have one name only. Caller frees.
 */
static char *
resolved(const char *path)
{
	char *real = realpath(path, NULL);
	if (real) {
		char *copy = g_strdup(real);
		free(real);
		return copy;
	}
	if (errno != ENOENT || !strcmp(path, "/"))
		return g_strdup(path);
	g_autofree char *above = g_path_get_dirname(path), *name = g_path_get_basename(path);
	g_autofree char *real_above = resolved(above);
	return g_build_filename(real_above, name, NULL);
}

void
config_resolve(struct config *config)
{
	g_autofree char *spelled = config->state_directory;
	config->state_directory = resolved(spelled);
}
