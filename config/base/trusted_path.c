/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Follows a path step by step, as path_resolution(7) has it: realpath(3) returns where the path
 * leads, but not who can change the steps. A step that only we and root can change stays as it was
 * checked.
 */
#include "config/base/trusted_path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as in the kernel */

static gboolean
is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Are we and root the only ones that can replace this entry? entry NULL: it does not exist yet. */
static gboolean
is_safe(const struct stat *folder, const struct stat *entry)
{
	if (!is_ours(folder))
		return FALSE;
	if (!(folder->st_mode & (S_IWGRP | S_IWOTH)))
		return TRUE;
	return (folder->st_mode & S_ISVTX) && entry && is_ours(entry);
}

/* Follow the link at real; FALSE if it is not ours, or leads in circles. */
static gboolean
follow(const struct stat *link, GString *real, GString *rest, int *links)
{
	g_autofree char *target = g_file_read_link(real->str, NULL);
	if (!is_ours(link) || !target || ++*links > LINKS_MAX)
		return FALSE;
	g_string_prepend_c(rest, '/');
	g_string_prepend(rest, target);
	if (*target == '/')
		g_string_truncate(real, 0);
	else
		g_string_truncate(real, (gsize)(strrchr(real->str, '/') - real->str));
	return TRUE;
}

/* Take the first name from rest; NULL: there is none. */
static char *
take_name(GString *rest)
{
	gsize start = strspn(rest->str, "/"), length = strcspn(rest->str + start, "/");
	char *name = length ? g_strndup(rest->str + start, length) : NULL;
	g_string_erase(rest, 0, (gssize)(start + length));
	return name;
}

/* Go one name further; FALSE: another user can change it, *whose. */
static gboolean
step(const char *name, GString *real, GString *rest, int *links, char **whose)
{
	struct stat folder, entry;
	if (!strcmp(name, ".."))
		g_string_truncate(real,
				  real->len ? (gsize)(strrchr(real->str, '/') - real->str) : 0);
	if (!strcmp(name, "..") || !strcmp(name, "."))
		return TRUE;
	const char *above = real->len ? real->str : "/";
	/* In a folder that does not exist nobody can put anything; a folder that we cannot read (a
	 * user's FUSE) does not count as missing. */
	int problem = lstat(above, &folder) < 0 ? errno : 0;
	gboolean nothing = problem == ENOENT || problem == ENOTDIR;
	gsize length = real->len;
	g_string_append_printf(real, "/%s", name);
	gboolean there = lstat(real->str, &entry) == 0;
	if (!nothing && (problem || !is_safe(&folder, there ? &entry : NULL))) {
		*whose = length ? g_strndup(real->str, length) : g_strdup("/");
		return FALSE;
	}
	if (!there || !S_ISLNK(entry.st_mode))
		return TRUE;
	g_autofree char *link = g_strdup(real->str);
	if (follow(&entry, real, rest, links))
		return TRUE;
	*whose = g_steal_pointer(&link);
	return FALSE;
}

char *
way_find(const char *path, char **whose)
{
	g_autoptr(GString) real = g_string_new(NULL); /* "" is / */
	g_autoptr(GString) rest = g_string_new(path);
	g_autofree char *somebodys = NULL;
	int links = 0;
	char *name;
	if (*path != '/') {
		g_autofree char *here = g_get_current_dir();
		g_string_prepend_c(rest, '/');
		g_string_prepend(rest, here);
	}
	for (gboolean good = TRUE; good && (name = take_name(rest)); g_free(name))
		good = step(name, real, rest, &links, &somebodys);
	if (somebodys && whose)
		*whose = g_strdup(somebodys);
	if (somebodys)
		return NULL;
	return g_strdup(real->len ? real->str : "/");
}
