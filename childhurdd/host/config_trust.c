/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration names programs that the daemon's user runs (emulator, qemu-options) and files
 * that it reads. A user that can write to it, or to a folder that it is in, is root as soon as
 * root's daemon reloads. An ordinary user's daemon is not checked.
 *
 * Each file of a secret root is checked when a guest starts (ssh/secrets/tree.c); this checks only
 * the folder that they are in.
 */
#include "childhurdd/host/config_trust.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/trusted_path.h"

/* In a sticky folder (/tmp) others can add files, but not replace ours. Everybody may write to
 * /dev/null. */
static mode_t
writers(const struct stat *st)
{
	if (S_ISREG(st->st_mode) || (S_ISDIR(st->st_mode) && !(st->st_mode & S_ISVTX)))
		return st->st_mode & (S_IWGRP | S_IWOTH);
	return 0;
}

static gboolean
is_others(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno != ENOENT;
	return st.st_uid != 0 || writers(&st);
}

/* From the top, so that a folder is reported once instead of for each file in it. */
char *
trust_find_others(const char *path)
{
	g_autofree char *whole = g_canonicalize_filename(path, NULL);
	char *whose = NULL;
	for (char *end = whole; (end = strchr(end + 1, '/'));) {
		g_autofree char *above = g_strndup(whole, (gsize)(end - whole));
		if (is_others(above))
			return g_steal_pointer(&above);
	}
	if (is_others(whole))
		return g_steal_pointer(&whole);
	g_free(way_find(whole, &whose)); /* links, and parts that do not exist yet */
	return whose;
}

static char *
describe_owner(const char *path, const struct stat *st)
{
	const struct passwd *user = getpwuid(st->st_uid);
	g_autofree char *name =
	    user ? g_strdup(user->pw_name) : g_strdup_printf("uid %u", (unsigned)st->st_uid);
	g_autofree char *quoted = g_shell_quote(path);
	return g_strdup_printf("%s: belongs to %s, who can change what root's daemon does; fix it "
			       "with: chown %sroot %s",
			       path, name, S_ISLNK(st->st_mode) ? "-h " : "", quoted);
}

static char *
describe_mode(const char *path, const struct stat *st)
{
	gboolean all = st->st_mode & S_IWOTH, group = st->st_mode & S_IWGRP;
	g_autofree char *quoted = g_shell_quote(path);
	if (st->st_mode & S_ISVTX) /* /tmp's mode is right */
		return g_strdup_printf("%s: every user may put files there, and change what root's "
				       "daemon does; keep the configuration elsewhere",
				       path);
	return g_strdup_printf("%s: %s may write to it, and change what root's daemon does; fix "
			       "it with: chmod %s-w %s",
			       path, all ? "every user" : "its group",
			       all && group ? "go"
			       : all	    ? "o"
					    : "g",
			       quoted);
}

/* Each is reported once. */
static void
check(const char *path, GPtrArray *problems)
{
	struct stat st;
	g_autofree char *others = trust_find_others(path);
	if (!others || lstat(others, &st) < 0)
		return;
	char *text = st.st_uid != 0 ? describe_owner(others, &st) : describe_mode(others, &st);
	if (g_ptr_array_find_with_equal_func(problems, text, g_str_equal, NULL))
		g_free(text);
	else
		g_ptr_array_add(problems, text);
}

GPtrArray *
trust_problems(const struct config *config)
{
	GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
	if (geteuid() != 0)
		return problems;
	g_autofree char *folder = g_path_get_dirname(config->looked_for);
	g_autofree char *drop_ins = g_build_filename(folder, "conf.d", NULL);
	check(folder, problems);
	check(drop_ins, problems);
	for (guint i = 0; i < config->files->len; i++)
		check(g_ptr_array_index(config->files, i), problems);
	check(config->secrets_directory, problems);
	return problems;
}
