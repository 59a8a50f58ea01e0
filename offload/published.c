/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The three files for coordinators.
 *
 * machines.scm: the fields of <build-machine> in guix/scripts/offload.scm; strings in the syntax of
 * Guile's reader (Guile manual, String Syntax; `\xHH;` needs r6rs escapes, so control characters
 * are `\xHH` with exactly two digits). Guile looks for a comment with the file's encoding among its
 * first bytes, and takes text such as "/srv/;coding:latin-1" for one: so ours comes before the
 * entries, and the first one counts (Guile manual, Character Encoding of Source Files). ssh_config
 * and known_hosts: ssh_config(5), sshd(8). A path in ssh_config is in double quotes, with `%`
 * doubled, because UserKnownHostsFile and IdentityFile expand tokens. With HostKeyAlias, ssh looks
 * up the guest's name in known_hosts, so a guest at another guest's port is an impostor. The
 * [host]:port entries are for users without our ssh_config.
 */
#include "offload/published.h"
#include "config/base/atomic_file.h"
#include "config/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER	 "Written by childhurdd; changes are overwritten."
#define ENCODING "; -*- coding: utf-8 -*-"
#define SSH_PORT 22

static void
scheme_field(GString *text, const char *name, const char *value)
{
	g_string_append_printf(text, "\n  (%s ", name);
	text_scheme(text, value);
	g_string_append_c(text, ')');
}

static void
scheme_strings(GString *text, const char *name, const char *const *values)
{
	g_string_append_printf(text, "\n  (%s (list", name);
	for (; values && *values; values++) {
		g_string_append_c(text, ' ');
		text_scheme(text, *values);
	}
	g_string_append(text, "))");
}

/* With a decimal point, in every locale and always, so that 1.0 stays a real number. */
static void
scheme_real(GString *text, const char *name, double value)
{
	char buffer[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(buffer, sizeof(buffer), "%.6g", value);
	g_string_append_printf(text, "\n  (%s %s%s)", name, buffer,
			       strpbrk(buffer, ".e") ? "" : ".0");
}

static void
machine_append(GString *text, const struct published_guest *guest)
{
	gboolean ready = guest->as == PUBLISHED_READY;

	g_string_append_printf(text, "\n ;; %s%s\n (build-machine", guest->name,
			       ready ? ""
				     : " is not ready: nothing listens at this port, builds wait");
	scheme_field(text, "name", guest->host_name);
	g_string_append_printf(text, "\n  (port %d)", ready ? guest->port : PUBLISHED_NOWHERE);
	scheme_strings(text, "systems", guest->systems);
	scheme_field(text, "user", guest->user);
	if (guest->host_keys && guest->host_keys[0])
		scheme_field(text, "host-key", guest->host_keys[0]);
	scheme_field(text, "private-key", published_key(guest));
	g_string_append_printf(text, "\n  (parallel-builds %d)", guest->parallel_builds);
	scheme_real(text, "speed", guest->speed);
	scheme_real(text, "overload-threshold", guest->overload_threshold);
	if (guest->features && guest->features[0])
		scheme_strings(text, "features", guest->features);
	g_string_append_c(text, ')');
}

const char *
published_key(const struct published_guest *guest)
{
	return guest->coordinator_key ? guest->coordinator_key : guest->private_key;
}

char *
published_machines(const struct published_guest *guests, gsize n)
{
	GString *text = g_string_new(";; " HEADER "\n(list");

	enum published_as listed = PUBLISHED_COMING;
	gboolean any = FALSE;

	for (gsize i = 0; i < n; i++)
		listed = MAX(listed, guests[i].as);
	for (gsize i = 0; i < n; i++) {
		if (guests[i].as != listed)
			continue;
		if (!any)
			g_string_append(text, " " ENCODING);
		any = TRUE;
		machine_append(text, &guests[i]);
	}
	g_string_append(text, ")\n");
	return g_string_free(text, FALSE);
}

/* A value in double quotes; in a path % begins a token, and is doubled. */
static void
ssh_option(GString *text, const char *name, const char *value, gboolean path)
{
	g_string_append_printf(text, "    %s \"", name);
	for (const char *at = value; *at; at++) {
		if (*at == '"' || *at == '\\')
			g_string_append_c(text, '\\');
		if (*at == '%' && path)
			g_string_append_c(text, '%');
		g_string_append_c(text, *at);
	}
	g_string_append(text, "\"\n");
}

char *
published_ssh_config(const struct published_guest *guests, gsize n, const char *known_hosts_file)
{
	GString *text = g_string_new("# " HEADER "\n");

	for (gsize i = 0; i < n; i++) {
		const struct published_guest *guest = &guests[i];

		g_string_append_printf(text, "\nHost %s\n", guest->name);
		ssh_option(text, "HostName", guest->host_name, TRUE);
		g_string_append_printf(text, "    Port %d\n", guest->port);
		ssh_option(text, "User", guest->user, FALSE);
		ssh_option(text, "IdentityFile", guest->private_key, TRUE);
		g_string_append(text, "    IdentitiesOnly yes\n");
		g_string_append_printf(text, "    HostKeyAlias %s\n", guest->name);
		ssh_option(text, "UserKnownHostsFile", known_hosts_file, TRUE);
		/* no file of the system or the user may vouch for a guest, or be changed by one */
		g_string_append(text, "    GlobalKnownHostsFile /dev/null\n"
				      "    StrictHostKeyChecking yes\n"
				      "    UpdateHostKeys no\n"
				      "    CheckHostIP no\n"
				      "    PasswordAuthentication no\n"
				      "    ForwardAgent no\n"
				      "    ForwardX11 no\n");
	}
	return g_string_free(text, FALSE);
}

char *
published_known_hosts(const struct published_guest *guests, gsize n)
{
	GString *text = g_string_new("# " HEADER "\n");

	for (gsize i = 0; i < n; i++) {
		const struct published_guest *guest = &guests[i];

		for (const char *const *key = guest->host_keys; key && *key; key++) {
			if (guest->port == SSH_PORT)
				g_string_append_printf(text, "%s,%s %s\n", guest->name,
						       guest->host_name, *key);
			else
				g_string_append_printf(text, "%s,[%s]:%d %s\n", guest->name,
						       guest->host_name, guest->port, *key);
		}
	}
	return g_string_free(text, FALSE);
}

/* Does the file exist with this content and mode? Then it stays, and its time is that of the last
 * change. */
static gboolean
file_is(const char *path, const char *content)
{
	g_autofree char *present = NULL;
	struct stat status;
	gsize length;

	return lstat(path, &status) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_mode & 07777) == 0644 &&
	       g_file_get_contents(path, &present, &length, NULL) && length == strlen(content) &&
	       memcmp(present, content, length) == 0;
}

/* Write one file; of several errors the first is reported. */
static gboolean
file_put(const char *directory, const char *name, const char *content, GError **error)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *left = g_strconcat(path, ".new", NULL); /* atomic_file's temporary name */

	if (file_is(path, content)) {
		unlink(left);
		return TRUE;
	}
	return atomic_file_write(path, content, -1, 0644, error);
}

/* Are all lines of the guest in the file on disk? */
static gboolean
is_known(const struct published_guest *guest, const char *known_hosts)
{
	g_autofree char *all = published_known_hosts(guest, 1);
	const char *lines = strchr(all, '\n') + 1; /* after the header */
	g_auto(GStrv) wanted = g_strsplit(lines, "\n", -1),
		      present = g_strsplit(known_hosts, "\n", -1);

	for (char **line = wanted; *line; line++)
		if (**line && !g_strv_contains((const char *const *)present, *line))
			return FALSE;
	return TRUE;
}

/* The guests as known_hosts now allows to list them: a machine whose key is not in it is listed as
 * coming, so builds wait for it. */
static struct published_guest *
only_known(const char *path, const struct published_guest *guests, gsize n)
{
	g_autofree char *present = NULL;
	struct published_guest *list = g_memdup2(guests, n * sizeof *guests);

	if (!g_file_get_contents(path, &present, NULL, NULL))
		present = g_strdup("");
	for (gsize i = 0; i < n; i++)
		if (list[i].as == PUBLISHED_READY && !is_known(&list[i], present))
			list[i].as = PUBLISHED_COMING;
	return list;
}

gboolean
published_is_there(const char *directory)
{
	static const char *const names[] = {"known_hosts", "ssh_config", "machines.scm"};

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(directory, names[i], NULL);
		if (access(path, F_OK) < 0)
			return FALSE;
	}
	return TRUE;
}

gboolean
published_write(const char *directory, const struct published_guest *guests, gsize n,
		GError **error)
{
	g_autofree char *known_hosts_file = g_build_filename(directory, "known_hosts", NULL);
	g_autofree char *known_hosts = published_known_hosts(guests, n);
	g_autofree char *ssh_config = published_ssh_config(guests, n, known_hosts_file);
	g_autofree struct published_guest *listed = NULL;
	g_autoptr(GError) first = NULL;

	if (!file_put(directory, "known_hosts", known_hosts, &first))
		listed = only_known(known_hosts_file, guests, n);
	g_autofree char *machines = published_machines(listed ? listed : guests, n);
	file_put(directory, "ssh_config", ssh_config, first ? NULL : &first);
	file_put(directory, "machines.scm", machines, first ? NULL : &first);
	if (!first)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&first));
	return FALSE;
}
