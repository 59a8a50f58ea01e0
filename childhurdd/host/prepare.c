/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon needs root for three things only, and all of them can be done before it starts: folders
 * below /var/lib and /run, entries in Guix' acl, and Guix' build slots. For guests of other hosts
 * it does them at its next start, with the keys that the daemon has left. This process does them
 * and ends, so that the daemon can run without root.
 *
 * A guest may control the daemon's user. So files in that user's folders are read and made as that
 * user (identity_become): a link there leads nowhere that the user could not go. Root takes only
 * the text of a public key from there, if it has the form of Guix' own keys.
 *
 * Root obeys the configuration, so nobody else may be able to change it. Root gives away only an
 * empty folder: a mistake such as `state-directory = /var/lib' must not hand over everything there.
 *
 * Without its folders a daemon cannot run. A problem with one guest's key or slots is only a
 * warning: the daemon and its other guests can start.
 */
#include "childhurdd/host/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/host/config_trust.h"
#include "childhurdd/nodes/nodes.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/world/coordinators.h"
#include "childhurdd/world/signing_files.h"
#include "config/base/io_error.h"
#include "config/base/trusted_path.h"
#include "offload/signing.h"
#include "offload/signing_key.h"
#include "offload/slots.h"

#define WAITING_MAX (16 * 1024 * 1024) /* bytes of signing keys that a daemon has left */

/* The first entry in the folder that neither the administrator nor a file system made; NULL: none.
 */
static char *
find_content(const char *path)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	const char *name;
	if (!folder)
		return g_strdup("files that cannot be listed");
	while ((name = g_dir_read_name(folder)))
		if (strcmp(name, "images") && strcmp(name, "lost+found"))
			return g_strdup(name);
	return NULL;
}

static gboolean
refuse(const char *path, const struct stat *st, const char *content, const struct qemu_user *user,
       GError **error)
{
	g_autofree char *quoted = g_shell_quote(path);
	g_set_error(
	    error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
	    "%s: belongs to user %u%s%s%s; if user %s is to have it with all that is in it, "
	    "end any daemon that uses it, and its guests, then: chmod go-w %s && chown -hR "
	    "%s: %s",
	    path, (unsigned)st->st_uid,
	    st->st_mode & (S_IWGRP | S_IWOTH) ? ", others can write to it" : "",
	    content ? ", and is not empty: it has " : "", content ? content : "", user->name,
	    quoted, user->name, quoted);
	return FALSE;
}

/* For a path that only root can change. */
static gboolean
make_as_root(const char *path, const struct qemu_user *user, GError **error)
{
	struct stat st;
	if (g_mkdir_with_parents(path, 0755) < 0 || lstat(path, &st) < 0)
		return io_error(error, path, NULL);
	if (st.st_uid == user->identity.uid)
		return TRUE;
	g_autofree char *content = find_content(path);
	if (st.st_uid != 0 || content || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return refuse(path, &st, content, user, error);
	if (chown(path, user->identity.uid, user->identity.gid) < 0)
		return io_error(error, path, NULL);
	g_message("%s: belongs to user %s now", path, user->name);
	return TRUE;
}

/* For a path that others can change, for instance that user. */
static gboolean
make_as_user(const char *path, const char *whose, const struct qemu_user *user, GError **error)
{
	struct stat st;
	identity_become(qemu_user_identity(user));
	gboolean made = g_mkdir_with_parents(path, 0755) == 0 && stat(path, &st) == 0;
	int code = errno;
	identity_return(qemu_user_identity(user));
	errno = code;
	if (made && st.st_uid == user->identity.uid)
		return TRUE;
	/* No details and no command: a link of that user may lead there. */
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "%s: %s; others than root can write to %s, so that root makes and gives away "
		    "nothing there, and user %s must own or make it",
		    path, made ? "belongs to another user" : g_strerror(errno), whose, user->name);
	return FALSE;
}

static gboolean
make_folder(const char *path, const struct qemu_user *user, GError **error)
{
	g_autofree char *whose = NULL;
	g_autofree char *real = way_find(path, &whose);
	return real ? make_as_root(real, user, error) : make_as_user(path, whose, user, error);
}

/* As the user, make the guest's secret root with its signing key. Returns the public half, NULL on
 * error. */
static char *
make_key(const struct config *config, const struct config_guest *guest, GError **error)
{
	g_autofree char *folder = g_build_filename(config->state_directory, guest->name, NULL);
	g_autofree char *secrets = g_build_filename(folder, "secrets", NULL);
	g_autofree char *key = g_build_filename(folder, "offload_key", NULL);
	g_autofree char *extra = g_build_filename(config->secrets_directory, guest->name, NULL);
	const char *users[] = {guest->admin_user, NULL, NULL};
	g_auto(GStrv) shared = coordinators_ssh_keys(config);
	g_auto(GStrv) named = coordinators_signing_keys(config);
	g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) others = coordinators_read((const char *const *)named, complaints);
	if (strcmp(guest->user, guest->admin_user))
		users[1] = guest->user;
	struct secret_root_spec spec = {.name = guest->name,
					.directory = secrets,
					.extra = extra,
					.offload_key = key,
					.users = users,
					.shared = guest->user,
					.shared_keys = (const char *const *)shared};
	if (g_mkdir_with_parents(folder, 0700) < 0) {
		io_error(error, folder, NULL);
		return NULL;
	}
	if (!secret_root_ensure(&spec, error))
		return NULL;
	return guest_signing_make(&spec, config->guix_configuration_directory,
				  (const char *const *)others, error);
}

static void
exchange_keys(const struct config *config, const struct config_guest *guest,
	      const struct qemu_user *user)
{
	const char *guix = config->guix_configuration_directory;
	g_autoptr(GError) error = NULL;
	gboolean added = FALSE;
	if (guest->inject == CONFIG_INJECT_NONE || !signing_possible(guix))
		return;
	identity_become(qemu_user_identity(user));
	g_autofree char *public_key = make_key(config, guest, &error);
	identity_return(qemu_user_identity(user));
	if (!public_key || !signing_authorize(guix, public_key, &added, &error))
		g_warning("%s: its signing key is not in %s/acl, and what it builds is not taken "
			  "before it is: %s",
			  guest->name, guix, error->message);
	else if (added)
		g_message("%s: its signing key is in %s/acl now", guest->name, guix);
}

/* What to do about an error of slots_share. */
static const char *
slots_cure(const GError *error)
{
	return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)
		   ? "; put that folder on a file system with access control lists, such as ext4, "
		     "XFS or Btrfs"
		   : "; fix that, and start the daemon again";
}

static void
share_slots(const struct config *config, const struct config_guest *guest,
	    const struct qemu_user *user)
{
	const char *state = config->guix_state_directory;
	g_autoptr(GError) error = NULL;
	gboolean changed;
	if (!slots_share(state, config->host_name, guest->ssh_port, user->identity.uid, &changed,
			 &error))
		g_warning("%s: user %s can only look at its build slots, not lock them against new "
			  "builds "
			  "while it drains: %s%s",
			  guest->name, user->name, error->message, slots_cure(error));
	else if (changed)
		g_message("%s: user %s may lock its build slots in %s/offload now", guest->name,
			  user->name, state);
}

/* The signing keys that the last daemon left, as the user; NULL-terminated, caller frees. A line
 * that is no key is left out: who could write that could as well write nothing. */
static char **
read_waiting(const struct config *config, const struct qemu_user *user)
{
	g_autofree char *path = nodes_waiting_keys(config->state_directory);
	int max = (int)MIN(config->nodes->len * NODES_SIGN_BYTES, WAITING_MAX);
	g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
	identity_become(qemu_user_identity(user));
	g_autofree char *text = signing_read_at(AT_FDCWD, path, O_NOFOLLOW, max, NULL);
	identity_return(qemu_user_identity(user));
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; *line; line++)
		if (signing_is_key(*line))
			g_strv_builder_add(keys, *line);
	return g_strv_builder_end(keys);
}

static void
exchange_nodes_keys(const struct config *config, const struct qemu_user *user)
{
	const char *guix = config->guix_configuration_directory;
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) keys = read_waiting(config, user);
	guint added = 0;
	if (!*keys || !signing_possible(guix))
		return;
	if (!signing_authorize_all(guix, (const char *const *)keys, &added, &error))
		g_warning("nodes: the signing keys of their guests are not in %s/acl, and what "
			  "they build is not taken before they are: %s",
			  guix, error->message);
	else if (added)
		g_message("nodes: %u signing key%s of their guests %s in %s/acl now", added,
			  added == 1 ? "" : "s", added == 1 ? "is" : "are", guix);
}

static void
share_nodes_slots(const struct config *config, const struct qemu_user *user)
{
	const char *state = config->guix_state_directory;
	g_autoptr(GError) error = NULL;
	gboolean changed;
	if (!slots_share_all(state, user->identity.uid, &changed, &error))
		g_warning("nodes: user %s cannot lock the build slots of their guests, so a node "
			  "knows this host's builds by their SSH sessions only: %s%s",
			  user->name, error->message, slots_cure(error));
	else if (changed)
		g_message("nodes: user %s may lock all build slots in %s/offload now", user->name,
			  state);
}

static gboolean
prepare(const struct config *config, const struct qemu_user *user, GError **error)
{
	if (!make_folder(config->state_directory, user, error) ||
	    !make_folder(config->runtime_directory, user, error))
		return FALSE;
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		if (!guest->offloading)
			continue;
		exchange_keys(config, guest, user);
		share_slots(config, guest, user);
	}
	if (config->nodes->len) {
		exchange_nodes_keys(config, user);
		share_nodes_slots(config, user);
	}
	return TRUE;
}

/* The first file read, or folder or link on the way to it, that others than root can change; NULL:
 * none. */
static char *
find_others(const struct config *config)
{
	char *whose = NULL;
	for (guint i = 0; i < config->files->len && !whose; i++)
		whose = trust_find_others(g_ptr_array_index(config->files, i));
	return whose;
}

/* Check that only root can change the configuration, and that its folders are those that the user's
 * daemon will use. */
static gboolean
is_for_root(const struct config *config, const char *name, const struct qemu_user *user,
	    GError **error)
{
	g_autofree char *whose = find_others(config);
	if (user->identity.uid == 0)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "--user %s: is root, whose daemon needs no preparation", name);
	else if (whose)
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "%s: others than root can change it, and with it what root does; prevent "
		    "that with chown root and chmod go-w, or name a configuration that is "
		    "root's alone with --config",
		    whose);
	else if (strcmp(name, QEMU_USER) && !config->folders_named)
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "--user %s: %s does not name that user's folders: set state-directory "
		    "and runtime-directory in [daemon]; without them that daemon uses those "
		    "in its home, and root's are %s and %s",
		    name, config->looked_for, config->state_directory, config->runtime_directory);
	else
		return TRUE;
	return FALSE;
}

gboolean
prepare_run(const struct config *config, const char *name, GError **error)
{
	if (geteuid() != 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "--prepare is root's part; run it as root");
		return FALSE;
	}
	struct qemu_user *user = qemu_user_named(name, error);
	if (!user) {
		g_prefix_error(error, "--user: ");
		return FALSE;
	}
	gboolean good = is_for_root(config, name, user, error) && prepare(config, user, error);
	qemu_user_free(user);
	return good;
}
