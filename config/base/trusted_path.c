/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * path_resolution(7), step by step: realpath(3) tells where a path leads, but not through whose
 * hands. What only we and root can change stays as it was looked at.
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

/* Can nobody else put something else in the place of this entry? entry NULL: there is none yet. */
static gboolean
is_safe(const struct stat *folder, const struct stat *entry)
{
	if (!is_ours(folder))
		return FALSE;
	if (!(folder->st_mode & (S_IWGRP | S_IWOTH)))
		return TRUE;
	return (folder->st_mode & S_ISVTX) && entry && is_ours(entry);
}

/* The way goes on where the link at real leads; FALSE when it is not ours, or leads in circles. */
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

/* Take the first name off rest; NULL: there is none. */
static char *
take_name(GString *rest)
{
	gsize start = strspn(rest->str, "/"), length = strcspn(rest->str + start, "/");
	char *name = length ? g_strndup(rest->str + start, length) : NULL;
	g_string_erase(rest, 0, (gssize)(start + length));
	return name;
}

/* One name further; FALSE: somebody else has a hand in it, *whose. */
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
	/* Where nothing is, nobody can put anything; what cannot be looked at (somebody's FUSE) is
	 * another matter. */
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
