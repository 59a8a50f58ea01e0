/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/host_keys.h"

#include "ssh/secrets/root.h"

/* Is there no key, as opposed to an invalid one? */
static gboolean
is_absent(const GError *error)
{
	return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
	       g_error_matches(error, SECRET_ERROR, SECRET_ERROR_ABSENT);
}

char **
guest_host_keys(enum config_inject inject, const char *extra, const char *secrets, GError **error)
{
	g_autoptr(GError) problem = NULL;
	if (inject == CONFIG_INJECT_NONE) {
		char **keys = secret_root_host_keys(extra, FALSE, &problem);
		if (keys)
			return keys;
		if (!is_absent(problem)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return NULL;
		}
	}
	return secret_root_host_keys(secrets, TRUE, error);
}
