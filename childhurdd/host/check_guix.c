/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix does not report these problems: a list that is not included has no machines, and a key that
 * Guix cannot read makes builds wait for ever.
 */
#include <errno.h>
#include <gio/gio.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/host/check_parts.h"
#include "config/base/guarded.h"
#include "offload/coordinator.h"
#include "offload/signing_key.h"

#define MACHINES_MAX (1024 * 1024) /* bytes of machines.scm that are read */

/* The host's list of machines; *there: it exists. NULL: it does not, or cannot be read. Its folder
 * may be another user's, and so may a file that it links to. */
static char *
read_machines(const char *directory, gboolean *there, GError **error)
{
	g_auto(guarded) folder = {.fd = -1};
	*there = FALSE;
	if (!guarded_open(directory, &folder, error))
		return NULL;
	guarded_enter(&folder);
	char *text = signing_read_at(folder.fd, "machines.scm", folder.flags, MACHINES_MAX, NULL);
	guarded_leave(&folder);
	*there = text || errno != ENOENT;
	if (!text && *there)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s/machines.scm: %s",
			    directory, g_strerror(errno));
	return text;
}

/* Does the host's list of machines include ours? */
static void
check_machines(const struct config *config, const struct findings *findings)
{
	g_autofree char *theirs =
	    g_build_filename(config->guix_configuration_directory, "machines.scm", NULL);
	g_autofree char *ours = g_build_filename(config->runtime_directory, "machines.scm", NULL);
	g_autofree char *quoted = g_strdup_printf("\"%s\"", ours);
	g_autoptr(GError) error = NULL;
	gboolean there;
	g_autofree char *text = read_machines(config->guix_configuration_directory, &there, &error);
	if (error) {
		findings_add(findings, "note", "%s; whether it has the guests cannot be seen",
			     error->message);
		return;
	}
	if (there && strstr(text, quoted))
		findings_add(findings, "ok", "%s has %s in it", theirs, ours);
	else
		findings_add(
		    findings, "note",
		    "%s %s, so Guix on this host gives the guests no builds; %s: (append (if "
		    "(file-exists? \"%s\") (primitive-load \"%s\") '()) (list))",
		    theirs, there ? "does not name the guests' list" : "is not there",
		    there ? "put this around what it has, with that instead of (list)"
			  : "make it with this in it",
		    ours, ours);
}

/* Only a guest that has been started has a key. */
static void
check_keys(const struct config *config, uid_t uid, const char *name,
	   const struct findings *findings)
{
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		struct stat st;
		g_autofree char *key =
		    g_build_filename(config->state_directory, guest->name, "offload_key", NULL);
		g_autofree char *copy = coordinator_key(key);
		if (guest->offloading && uid != 0 && !copy && stat(key, &st) == 0 &&
		    st.st_uid != uid)
			findings_add(findings, "problem",
				     "%s: cannot be read by %s, the user of guix-daemon, and "
				     "builds wait for ever; run childhurdd as root or as %s, and "
				     "childhurdctl restart %s",
				     key, name, name, guest->name);
	}
}

static void
check_coordinator(const struct config *config, const struct findings *findings)
{
	uid_t uid;
	g_autoptr(GError) error = NULL;
	if (!coordinator_find(config->coordinator_user, config->guix_state_directory, &uid,
			      &error)) {
		if (error)
			findings_add(findings, "problem", "%s", error->message);
		else
			findings_add(
			    findings, "note",
			    "no guix-daemon of root's or of the owner of %s runs, so that "
			    "it is unknown which user must read the guests' keys; start it "
			    "before childhurdd, or set coordinator-user",
			    config->guix_state_directory);
		return;
	}
	const struct passwd *user = getpwuid(uid);
	g_autofree char *name =
	    user ? g_strdup(user->pw_name) : g_strdup_printf("user %u", (unsigned)uid);
	findings_add(findings, "ok", "guix-daemon runs as %s", name);
	check_keys(config, uid, name, findings);
}

static void
check_slots(const struct config *config, const struct findings *findings)
{
	g_autofree char *folder = g_build_filename(config->guix_state_directory, "offload", NULL);
	const char *nearest = access(folder, F_OK) == 0 ? folder : config->guix_state_directory;
	if (access(nearest, R_OK | W_OK | X_OK) < 0 && errno != ENOENT)
		findings_add(
		    findings, "note",
		    "%s: %s: slots cannot be locked, and a build may begin on a guest just "
		    "before it is halted; restart childhurdd where root's childhurdd --prepare "
		    "comes first, as under systemd, or run it as root",
		    nearest, g_strerror(errno));
}

void
hostcheck_guix(const struct config *config, const struct findings *findings)
{
	gboolean offloading = config->nodes->len > 0;
	for (guint i = 0; i < config->guests->len; i++)
		offloading |=
		    ((const struct config_guest *)g_ptr_array_index(config->guests, i))->offloading;
	if (!offloading || access(config->guix_configuration_directory, F_OK) < 0)
		return;
	check_machines(config, findings);
	check_coordinator(config, findings);
	check_slots(config, findings);
}
