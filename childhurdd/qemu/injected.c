/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A digest beside the overlay. Without it the same is written once more, which changes nothing. The
 * lines after it are the host keys by which the guest is known until others are written. */
#include "childhurdd/qemu/injected.h"

#include <unistd.h>

#include "config/base/atomic_file.h"

static char *
record(const char *overlay)
{
	g_autofree char *folder = g_path_get_dirname(overlay);
	return g_build_filename(folder, "disk.injected", NULL);
}

static char *
digest(GBytes *edits)
{
	return g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, edits);
}

/* The lines of the record; NULL: there is none. */
static char **
record_read(const char *overlay)
{
	g_autofree char *path = record(overlay), *text = NULL;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strsplit(g_strchomp(text), "\n", -1);
}

gboolean
injected_has(const char *overlay, GBytes *edits)
{
	g_auto(GStrv) lines = record_read(overlay);
	g_autofree char *wanted = digest(edits);
	return lines && !g_strcmp0(lines[0], wanted);
}

char **
injected_host_keys(const char *overlay)
{
	g_auto(GStrv) lines = record_read(overlay);
	return lines && lines[0] && lines[1] ? g_strdupv(lines + 1) : NULL;
}

void
injected_forget(const char *overlay)
{
	g_autofree char *path = record(overlay);
	unlink(path);
}

gboolean
injected_keep(const char *overlay, GBytes *edits, char **host_keys, GError **error)
{
	g_autofree char *path = record(overlay), *first = digest(edits);
	g_autofree char *keys = host_keys ? g_strjoinv("\n", host_keys) : g_strdup("");
	g_autofree char *text = g_strconcat(first, "\n", keys, *keys ? "\n" : "", NULL);
	return atomic_file_write(path, text, -1, 0600, error);
}
