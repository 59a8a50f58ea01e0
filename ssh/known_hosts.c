/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libssh compares the names, which may be patterns or hashed. It knows no markers (sshd(8),
 * SSH_KNOWN_HOSTS FILE FORMAT): a key that is @revoked is none, and @cert-authority is not
 * supported. */
#include "ssh/known_hosts.h"

#include <libssh/libssh.h>
#include <string.h>

#include "ssh/key_pair.h"
#include "ssh/step.h"

#define SSH_PORT 22

/* Does the list of patterns exclude the host? libssh does not know that. */
static gboolean
is_excluded(const char *patterns, const char *host)
{
	g_autofree char *small = g_ascii_strdown(patterns, -1);
	g_auto(GStrv) all = g_strsplit(small, ",", -1);
	for (char **pattern = all; *pattern; pattern++) /* GLib ends the process for no UTF-8 */
		if (**pattern == '!' && g_utf8_validate(*pattern, -1, NULL) &&
		    g_pattern_match_simple(*pattern + 1, host))
			return TRUE;
	return FALSE;
}

#define REVOKED "@revoked"

/* The line's "TYPE BASE64" if it is of that host, and has this marker (NULL: none); else NULL.
 * libssh knows spaces only. */
static char *
key_of(const char *line, const char *host, const char *marker)
{
	struct ssh_knownhosts_entry *entry = NULL;
	g_auto(GStrv) pieces = g_strsplit_set(line, " \t\r", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	for (char **piece = pieces; *piece; piece++)
		if (**piece)
			g_ptr_array_add(words, *piece);
	char **word = (char **)words->pdata;
	if (marker && words->len && !strcmp(word[0], marker))
		g_ptr_array_remove_index(words, 0);
	else if (marker)
		return NULL;
	if (words->len < 3 || *word[0] == '#' || *word[0] == '@' || is_excluded(word[0], host) ||
	    !key_pair_is_word(word[1]) || !key_pair_is_word(word[2]))
		return NULL;
	g_autofree char *bare = g_strdup_printf("%s %s %s", word[0], word[1], word[2]);
	gboolean is_its = ssh_known_hosts_parse_line(host, bare, &entry) == SSH_OK && entry;
	if (entry)
		ssh_knownhosts_entry_free(entry);
	return is_its ? g_strdup_printf("%s %s", word[1], word[2]) : NULL;
}

/* The keys of the lines with this marker; the caller unrefs. */
static GPtrArray *
keys_of(char **lines, const char *host, const char *marker)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
	for (; *lines; lines++) {
		char *key = key_of(*lines, host, marker);
		if (key)
			g_ptr_array_add(keys, key);
	}
	return keys;
}

char **
known_hosts_find(const char *host, int port, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_home_dir(), ".ssh", "known_hosts", NULL);
	g_autofree char *small = g_ascii_strdown(host, -1); /* as ssh(1) looks it up */
	g_autofree char *name =
	    port == SSH_PORT ? g_strdup(small) : g_strdup_printf("[%s]:%d", small, port);
	g_autofree char *text = NULL;
	g_file_get_contents(path, &text, NULL, NULL); /* without it, none is known */
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	g_autoptr(GPtrArray) keys = keys_of(lines, name, NULL);
	g_autoptr(GPtrArray) revoked = keys_of(lines, name, REVOKED);
	for (guint i = keys->len; i-- > 0;)
		if (g_ptr_array_find_with_equal_func(revoked, keys->pdata[i], g_str_equal, NULL))
			g_ptr_array_remove_index(keys, i);
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
