/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/host/check.h"

#include <dlfcn.h>
#include <errno.h>
#include <ev.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <libvirt/libvirt.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "childhurdd/hird/metrics_file.h"
#include "childhurdd/host/check_parts.h"
#include "childhurdd/host/config_trust.h"
#include "childhurdd/qemu/disk.h"
#include "childhurdd/qemu/image.h"
#include "childhurdd/qemu/kvm_probe.h"
#include "childhurdd/qemu/ports.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/world/host_keys.h"
#include "offload/signing.h"
#include "service/control/control.h"

struct check {
	const struct config *config;
	struct finding_lines *lines;
	struct qemu_user *user; /* the user that QEMU runs as; NULL: there is none */
};

static void G_GNUC_PRINTF(3, 4) say(struct check *c, const char *word, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	finding_lines_add(c->lines, word, text);
}

static void
add(const char *result, const char *text, void *data)
{
	say(data, result, "%s", text);
}

static void
check_tool(struct check *c, const char *tool, const char *package)
{
	g_autofree char *path = g_find_program_in_path(tool);
	if (path)
		say(c, "ok", "%s", path);
	else
		say(c, "problem", "%s: not found; install %s", tool, package);
}

static void
on_probe(struct kvm_probe *probe, gboolean usable, const char *why, void *data)
{
	struct check *c = data;
	say(c, usable ? "ok" : "note",
	    usable ? "KVM: %s" : "KVM: %s; guests run under TCG, many times slower", why);
	kvm_probe_free(probe);
}

/* It exists, and we may not use it. */
static void
check_kvm_access(struct check *c)
{
	const struct passwd *user = getpwuid(geteuid());
	if (access("/dev/kvm", R_OK | W_OK) == 0 || errno != EACCES || !user)
		return;
	say(c, "note",
	    "/dev/kvm is closed to %s; usermod -aG kvm %s, and log in or start the service again",
	    user->pw_name, user->pw_name);
}

/* libvirt loads the driver of qemu:///embed on demand. It is beside the library, in a package of
 * its own. */
static void
check_driver(struct check *c)
{
	Dl_info library;
	if (!g_str_has_prefix(c->config->uri, "qemu:///embed") ||
	    !dladdr((void *)virConnectOpen, &library))
		return;
	g_autofree char *real = g_canonicalize_filename(library.dli_fname, NULL);
	g_autofree char *folder = g_path_get_dirname(real);
	const char *said = g_getenv("LIBVIRT_DRIVER_DIR");
	g_autofree char *driver = said ? g_build_filename(said, "libvirt_driver_qemu.so", NULL)
				       : g_build_filename(folder, "libvirt", "connection-driver",
							  "libvirt_driver_qemu.so", NULL);
	if (access(driver, R_OK) == 0)
		say(c, "ok", "%s", driver);
	else
		say(c, "problem",
		    "%s: %s; install libvirt's QEMU driver (Debian: libvirt-daemon, "
		    "libvirt-daemon-driver-qemu), or set uri to a libvirtd",
		    driver, g_strerror(errno));
}

static void
check_ssh(struct check *c)
{
	g_autofree char *path = g_find_program_in_path("ssh");
	if (!path)
		say(c, "note", "ssh: not found; childhurdctl ssh needs it: install openssh-client");
}

static void
remove_folder(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_unlink(file);
	}
	g_rmdir(path);
}

/* The state directory may not exist yet, or not be ours. So the probe uses a temporary folder;
 * problems of the state directory are reported elsewhere, not as one of KVM. */
static void
check_kvm(struct check *c, enum kvm_guest guest, const char *emulator)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_find_program_in_path(emulator);
	g_autofree char *own = NULL;
	if (!path)
		return;
	if (access(c->config->state_directory, W_OK | X_OK) < 0 &&
	    !(own = g_dir_make_tmp("childhurd-check-XXXXXX", &error))) {
		say(c, "note", "KVM: not probed: %s", error->message);
		return;
	}
	if (own && c->user && c->user->other)
		chmod(own, 0711); /* QEMU must find its boot sector there */
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	kvm_probe_new(loop, guest, path, own ? own : c->config->state_directory, c->user, on_probe,
		      c);
	ev_run(loop, 0);
	ev_loop_destroy(loop);
	if (own)
		remove_folder(own);
}

static void
check_folder(struct check *c, const char *path)
{
	g_autofree char *nearest = g_strdup(path);
	while (access(nearest, F_OK) < 0 && strcmp(nearest, "/") && strcmp(nearest, ".")) {
		char *parent = g_path_get_dirname(nearest);
		g_free(nearest);
		nearest = parent;
	}
	if (access(nearest, W_OK | X_OK) == 0)
		say(c, "ok", "%s can be written to", path);
	else
		say(c, "problem",
		    "%s: %s: %s; run childhurdd as another user, or set another directory", path,
		    nearest, g_strerror(errno));
}

static void
check_trust(struct check *c)
{
	g_autoptr(GPtrArray) problems = trust_problems(c->config);
	for (guint i = 0; i < problems->len; i++)
		say(c, "problem", "%s", (const char *)g_ptr_array_index(problems, i));
}

static void
check_group(struct check *c)
{
	if (getgrnam(c->config->control_group))
		say(c, "ok", "group %s exists", c->config->control_group);
	else if (geteuid() == 0) /* only that user needs an ordinary user's daemon */
		say(c, "note",
		    "group %s does not exist: only root and the daemon's own user may use the "
		    "control socket; "
		    "groupadd --system %s",
		    c->config->control_group, c->config->control_group);
	if (geteuid() == 0 && !getgrnam(CONTROL_ADMIN_GROUP))
		say(c, "note",
		    "group " CONTROL_ADMIN_GROUP " does not exist: only root and the daemon's own "
		    "user may change things; groupadd --system " CONTROL_ADMIN_GROUP);
}

/* The daemon that has this runtime directory; 0: none runs. */
static pid_t
running_daemon(const struct config *config)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t length = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_snprintf(name.sun_path, sizeof name.sun_path, "%s/control", config->runtime_directory);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		peer.pid = 0;
	if (fd >= 0)
		close(fd);
	return peer.pid;
}

/* With a running daemon, the guest's own QEMU may have it; or the daemon, while the guest sleeps.
 */
static void
check_port(struct check *c, const struct config_guest *guest, const char *address, int port)
{
	g_autoptr(GError) error = NULL;
	if (port_is_free(address, port, &error))
		return;
	pid_t owner = port_owner(address, port);
	if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
		say(c, "problem", "%s: %s", guest->name, error->message);
	else if (owner && owner == hostcheck_qemu(c->config, guest))
		say(c, "ok", "%s: port %d is its own, it runs (process %d)", guest->name, port,
		    (int)owner);
	else if (owner && owner == running_daemon(c->config))
		say(c, "ok", "%s: port %d is its own, it is asleep (process %d, the daemon)",
		    guest->name, port, (int)owner);
	else if (owner)
		say(c, "problem", "%s: %s", guest->name, error->message);
	else
		say(c, "note", "%s: %s (fine if it is this guest, which runs already)", guest->name,
		    error->message);
}

static void
check_qemu_user(struct check *c)
{
	g_autoptr(GError) error = NULL;
	c->user = qemu_user_find(c->config->qemu_user, &error);
	if (!c->user)
		say(c, "problem", "%s", error->message);
	else if (c->user->note)
		say(c, "note", "%s", c->user->note);
	else if (c->user->other)
		say(c, "ok", "QEMU runs as user %s", c->user->name);
}

static gboolean
image_is_good(struct check *c, const struct config_guest *guest, struct image *image,
	      GError **error)
{
	return qemu_user_could_read(c->user, "image", guest->image, error) &&
	       image_probe_for(guest->image, guest->image_format, guest->disk_size, image, error);
}

static void
check_metrics_file(struct check *c)
{
	g_autoptr(GError) error = NULL;
	if (!c->config->metrics_file)
		return;
	if (metrics_file_possible(c->config->metrics_file, &error))
		say(c, "ok", "metrics-file %s can be written to", c->config->metrics_file);
	else
		say(c, "note", "metrics-file: %s", error->message);
}

/* A persistent disk, and the image that it was made from. */
static void
check_persistent(struct check *c, const struct config_guest *guest)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *note = NULL;
	g_autofree char *overlay =
	    g_build_filename(c->config->state_directory, guest->name, "disk.qcow2", NULL);
	const struct disk_spec spec = {.image = guest->image,
				       .format = guest->image_format,
				       .overlay = overlay,
				       .user = c->user};
	if (guest->disk != CONFIG_DISK_PERSISTENT)
		return;
	if (!disk_check(&spec, &note, &error))
		say(c, "problem", "%s: %s", guest->name, error->message);
	else if (note)
		say(c, "note", "%s: %s", guest->name, note);
}

/* The host keys of a guest that brings its own. */
static void
check_host_keys(struct check *c, const struct config_guest *guest)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *extra = g_build_filename(c->config->secrets_directory, guest->name, NULL);
	g_autofree char *secrets =
	    g_build_filename(c->config->state_directory, guest->name, "secrets", NULL);
	if (guest->inject != CONFIG_INJECT_NONE)
		return;
	g_auto(GStrv) keys = guest_host_keys(guest->inject, extra, secrets, &error);
	if (keys)
		say(c, "ok", "%s: %u of its host keys %s known", guest->name, g_strv_length(keys),
		    keys[1] ? "are" : "is");
	else
		say(c, "note",
		    "%s: inject = none, and none of its host keys is known: %s; put the public "
		    "halves into %s/etc/ssh, or what its first start makes into the image",
		    guest->name, error->message, extra);
}

static void
check_guest(struct check *c, const struct config_guest *guest)
{
	g_autoptr(GError) error = NULL;
	if (guest->image) {
		struct image image = {0};
		if (image_is_good(c, guest, &image, &error)) {
			say(c, "ok", "%s: image %s (%s)", guest->name, guest->image, image.format);
			check_persistent(c, guest);
		} else
			say(c, "problem", "%s: %s", guest->name, error->message);
		image_clear(&image);
		g_clear_error(&error);
	}
	if (guest->kernel && !qemu_user_could_read(c->user, "kernel", guest->kernel, &error))
		say(c, "problem", "%s: %s", guest->name, error->message);
	g_clear_error(&error);
	check_host_keys(c, guest);
	g_autoptr(GArray) ports = config_guest_ports(guest);
	for (guint i = 0; i < ports->len; i++) {
		const struct config_port *port = &g_array_index(ports, struct config_port, i);
		check_port(c, guest, port->address, port->port);
	}
}

/* Without a coordinator on this host, guests get no signing keys. */
static void
check_guix(struct check *c)
{
	const char *folder = c->config->guix_configuration_directory;
	g_autofree char *acl = g_build_filename(folder, "acl", NULL);
	g_autofree char *guix = g_find_program_in_path("guix");
	if (!signing_possible(folder)) {
		say(c, "note",
		    "%s/signing-key.pub is not there: guests get signing keys only for "
		    "coordinators elsewhere, and their builds are not for this host%s",
		    folder,
		    guix ? "; guix archive --generate-key makes it"
			 : "; that is fine, coordinators may be elsewhere");
		return;
	}
	g_autoptr(GError) error = signing_check(folder);
	if (error)
		say(c, "problem", "%s", error->message);
	else if (access(folder, W_OK) < 0)
		say(c, "note",
		    "%s: %s: root must put each guest's signing key there, with guix "
		    "archive --authorize",
		    acl, g_strerror(errno));
	else
		say(c, "ok", "%s takes the guests' signing keys", acl);
}

/* Each emulator once, and each kind of guest that it is to run with KVM. */
static void
check_emulator(struct check *c, GHashTable *seen, const struct config_guest *guest)
{
	enum kvm_guest kind = config_guest_is_64(guest) ? KVM_GUEST_64 : KVM_GUEST_32;
	if (g_hash_table_add(seen, g_strdup(guest->emulator)))
		check_tool(c, guest->emulator, "qemu-system-x86");
	if (guest->acceleration != CONFIG_ACCELERATION_TCG &&
	    g_hash_table_add(seen, g_strdup_printf("%s\n%d", guest->emulator, (int)kind))) {
		check_kvm(c, kind, guest->emulator);
		check_kvm_access(c);
	}
}

gboolean
hostcheck_run(const struct config *config, struct finding_lines *lines)
{
	struct check c = {config, lines, NULL};
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *missing = config_missing(config);
	if (missing)
		say(&c, "problem", "%s", missing);
	else
		say(&c, "ok", "%s: %u guest%s", (const char *)g_ptr_array_index(config->files, 0),
		    config->guests->len, config->guests->len == 1 ? "" : "s");
	check_trust(&c);
	check_metrics_file(&c);
	check_folder(&c, config->state_directory);
	check_folder(&c, config->runtime_directory);
	check_group(&c);
	check_qemu_user(&c);
	check_tool(&c, "qemu-img", "qemu-utils");
	check_tool(&c, "qemu-nbd", "qemu-utils");
	check_driver(&c);
	check_ssh(&c);
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		check_emulator(&c, seen, guest);
		check_guest(&c, guest);
	}
	const struct findings findings = {add, &c};
	hostcheck_room(config, &findings);
	check_guix(&c);
	hostcheck_guix(config, &findings);
	hostcheck_coordinators(config, &findings);
	hostcheck_nodes(config, &findings);
	qemu_user_free(c.user);
	return !lines->problems;
}
