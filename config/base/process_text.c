/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/base/process_text.h"

#include <glib.h>

char *
process_text(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
	g_autofree char *name = NULL;
	if (pid <= 0)
		return g_strdup("another process");
	g_file_get_contents(path, &name, NULL, NULL);
	return g_strdup_printf("process %d (%s)", (int)pid, name ? g_strchomp(name) : "?");
}
