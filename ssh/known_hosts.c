/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libssh compares the names, which may be patterns or hashed. Lines with a marker, such as
 * @revoked, are no keys of a host. */
#include "ssh/known_hosts.h"

#include <libssh/libssh.h>
#include <string.h>

#include "ssh/step.h"

#define SSH_PORT 22

/* The line's "TYPE BASE64" if it is of that host; else NULL. */
static char *
key_of(const char *line, const char *host)
{
	struct ssh_knownhosts_entry *entry = NULL;
	g_autofree char *all = g_strstrip(g_strdup(line));
	if (!*all || *all == '#' || *all == '@')
		return NULL;
	gboolean is_its = ssh_known_hosts_parse_line(host, all, &entry) == SSH_OK && entry;
	if (entry)
		ssh_knownhosts_entry_free(entry);
	g_auto(GStrv) words = is_its ? g_strsplit_set(all, " \t", -1) : NULL;
	g_autoptr(GPtrArray) kept = g_ptr_array_new();
	for (char **word = words; word && *word; word++)
		if (**word)
			g_ptr_array_add(kept, *word);
	return kept->len < 3
		   ? NULL
		   : g_strdup_printf("%s %s", (char *)kept->pdata[1], (char *)kept->pdata[2]);
}

char **
known_hosts_find(const char *host, int port, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_home_dir(), ".ssh", "known_hosts", NULL);
	g_autofree char *name =
	    port == SSH_PORT ? g_ascii_strdown(host, -1) : g_strdup_printf("[%s]:%d", host, port);
	g_autofree char *text = NULL;
	g_file_get_contents(path, &text, NULL, NULL); /* without it, none is known */
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	for (char **line = lines; *line; line++) {
		char *key = key_of(*line, name);
		if (key)
			g_ptr_array_add(keys, key);
	}
	if (!keys->len) {
		g_set_error(error, SESSION_ERROR, SESSION_ERROR_KEY,
			    "%s has no host key of %s; write host-key into its section, or log in "
			    "there once with ssh as this daemon's user",
			    path, name);
		return NULL;
	}
	g_ptr_array_add(keys, NULL);
	return (char **)g_ptr_array_steal(keys, NULL);
}
