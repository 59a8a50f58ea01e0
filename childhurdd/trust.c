/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration names programs that are run as the daemon's user (emulator, qemu-options) and
 * files that are read as that user. Who can write to it, or to a folder that it is in, is root when
 * root's daemon reloads. For another user's daemon that is that user's business.
 *
 * Secret roots are looked at file by file when a guest starts (ssh/secret_tree.c); here it is only
 * the folder that they are in.
 */
#include "childhurdd/trust.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

static void
check_owner(const char *path, const struct stat *st, GPtrArray *problems)
{
	if (st->st_uid == 0 || st->st_uid == geteuid())
		return;
	const struct passwd *user = getpwuid(st->st_uid);
	g_autofree char *name =
	    user ? g_strdup(user->pw_name) : g_strdup_printf("uid %u", (unsigned)st->st_uid);
	g_autofree char *quoted = g_shell_quote(path);
	g_ptr_array_add(
	    problems, g_strdup_printf("%s: belongs to %s, who can change what root's daemon does; "
				      "mend it with: chown root %s",
				      path, name, quoted));
}

/* In a sticky folder (/tmp) others can add files, but not take the place of ours. */
static void
check_mode(const char *path, const struct stat *st, GPtrArray *problems)
{
	if (!(st->st_mode & S_IWOTH) || (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)))
		return;
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return; /* /dev/null is everybody's */
	g_autofree char *quoted = g_shell_quote(path);
	g_ptr_array_add(problems,
			g_strdup_printf("%s: every user may write to it, and change what root's "
					"daemon does; mend it with: chmod o-w %s",
					path, quoted));
}

/* What is not there cannot be written to. */
static void
check(const char *path, GPtrArray *problems)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return;
	check_owner(path, &st, problems);
	check_mode(path, &st, problems);
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
