/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/process.h"

#include <string.h>

/* The words of /proc/PID/cmdline, each ended by a NUL; NULL: none. They point into text. */
static char **
words_of(const char *pid, char **text)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid);
	gsize length;
	if (!g_file_get_contents(path, text, &length, NULL) || !length)
		return NULL;
	GPtrArray *words = g_ptr_array_new();
	for (char *word = *text; word < *text + length; word += strlen(word) + 1)
		g_ptr_array_add(words, word);
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(words, FALSE);
}

pid_t
process_find(process_fn fn, void *data)
{
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		g_autofree char *text = NULL;
		if (!g_ascii_isdigit(*entry))
			continue;
		g_autofree char **words = words_of(entry, &text);
		pid_t pid = (pid_t)g_ascii_strtoll(entry, NULL, 10);
		if (words && fn(pid, words, data))
			return pid;
	}
	return 0;
}

const char *
process_option(char **words, const char *option)
{
	for (; *words; words++)
		if (!strcmp(*words, option))
			return words[1];
	return NULL;
}
