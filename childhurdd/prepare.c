/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon needs root for three things only, and all of them can be done before it starts: folders
 * below /var/lib and /run, entries in Guix' acl, and Guix' build slots. So that it can run without,
 * this process does them and ends.
 *
 * The daemon's user may have been taken over by a guest. What is in his folders is therefore read
 * and made as him (qemu_user_become): a link that he laid leads nowhere that he could not go
 * himself. What root takes from there is the text of a public key, once it has the shape of one
 * that Guix makes.
 *
 * Without its folders a daemon cannot run. What goes wrong with one guest's key or slots is only a
 * warning: the daemon comes up, and its other guests with it.
 */
#include "childhurdd/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/guest_signing.h"
#include "childhurdd/qemu_user.h"
#include "config/io_error.h"
#include "offload/signing.h"
#include "offload/slots.h"

/* A folder of the user's: made, or one of root's given to him that no daemon has used. */
static gboolean
make_folder(const char *path, const struct qemu_user *user, GError **error)
{
	struct stat st;
	if (g_mkdir_with_parents(path, 0755) < 0)
		return io_error(error, path, NULL);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		io_error(error, path, NULL);
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	gboolean used = faccessat(fd, "lock", F_OK, 0) == 0 || errno != ENOENT;
	gboolean good = st.st_uid == user->uid;
	if (!good && st.st_uid == 0 && !used) {
		good = fchown(fd, user->uid, user->gid) == 0 || io_error(error, path, NULL);
		if (good)
			g_message("%s: it is user %s's now", path, user->name);
	} else if (!good) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "%s: belongs to user %u%s; if user %s is to go on with it, end that "
			    "daemon and its guests, then: chown -hR %s: %s",
			    path, (unsigned)st.st_uid, used ? ", whose daemon has used it" : "",
			    user->name, user->name, path);
	}
	close(fd);
	return good;
}

/* As the user: the guest's secret root with its signing key. Returns the public half, NULL on
 * error. */
static char *
make_key(const struct config *config, const struct config_guest *guest, GError **error)
{
	g_autofree char *folder = g_build_filename(config->state_directory, guest->name, NULL);
	g_autofree char *secrets = g_build_filename(folder, "secrets", NULL);
	g_autofree char *key = g_build_filename(folder, "offload_key", NULL);
	g_autofree char *extra = g_build_filename(config->secrets_directory, guest->name, NULL);
	const char *users[] = {guest->admin_user, NULL, NULL};
	if (strcmp(guest->user, guest->admin_user))
		users[1] = guest->user;
	struct secret_root_spec spec = {.name = guest->name,
					.directory = secrets,
					.extra = extra,
					.offload_key = key,
					.users = users};
	if (g_mkdir_with_parents(folder, 0700) < 0) {
		io_error(error, folder, NULL);
		return NULL;
	}
	if (!secret_root_ensure(&spec, error))
		return NULL;
	return guest_signing_make(&spec, config->guix_configuration_directory, error);
}

static void
exchange_keys(const struct config *config, const struct config_guest *guest,
	      const struct qemu_user *user)
{
	const char *guix = config->guix_configuration_directory;
	g_autoptr(GError) error = NULL;
	gboolean added = FALSE;
	if (guest->inject != CONFIG_INJECT_SECRET_SERVICE || !signing_possible(guix))
		return;
	qemu_user_become(user);
	g_autofree char *public_key = make_key(config, guest, &error);
	qemu_user_return(user);
	if (!public_key || !signing_authorize(guix, public_key, &added, &error))
		g_warning("%s: its signing key is not in %s/acl, and what it builds is not taken "
			  "before it is: %s",
			  guest->name, guix, error->message);
	else if (added)
		g_message("%s: its signing key is in %s/acl now", guest->name, guix);
}

static void
share_slots(const struct config *config, const struct config_guest *guest,
	    const struct qemu_user *user)
{
	const char *state = config->guix_state_directory;
	g_autoptr(GError) error = NULL;
	gboolean changed;
	if (!slots_share(state, config->host_name, guest->ssh_port, user->uid, &changed, &error))
		g_warning(
		    "%s: user %s can only look at its build slots, not keep them from new builds "
		    "while it drains: %s%s",
		    guest->name, user->name, error->message,
		    g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)
			? "; put that folder on a file system with access control lists, "
			  "such as ext4, XFS or Btrfs"
			: "; mend that, and start the daemon again");
	else if (changed)
		g_message("%s: user %s may keep its build slots in %s/offload now", guest->name,
			  user->name, state);
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
	return TRUE;
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
	gboolean good = user->uid != 0 && prepare(config, user, error);
	if (user->uid == 0)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "--user %s: is root, whose daemon needs no preparation", name);
	qemu_user_free(user);
	return good;
}
