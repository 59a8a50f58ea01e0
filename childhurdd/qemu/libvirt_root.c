/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/qemu/libvirt_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/libvirt_leftovers.h"
#include "childhurdd/qemu/libvirt_status.h"
#include "childhurdd/qemu/monitor_flush.h"
#include "childhurdd/system/own_folder.h"
#include "childhurdd/system/process.h"
#include "config/base/atomic_file.h"
#include "config/base/free_space.h"
#include "config/base/io_error.h"

G_DEFINE_QUARK(childhurd - hypervisor, hypervisor_error)

/* libvirt locks this file as long as it has the root, and makes it readable by all
 * (src/qemu/qemu_driver.c, qemuStateInitialize): any user could lock it first, and no daemon would
 * start. */
static gboolean
close_lock(const char *root, GError **error)
{
	g_autofree char *folder = g_build_filename(root, "run", "qemu", NULL);
	g_autofree char *path = g_build_filename(folder, "driver.pid", NULL);
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return io_error(error, folder, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	gboolean good = fd >= 0 && fchmod(fd, 0600) == 0;
	if (!good)
		io_error(error, path, NULL);
	if (fd >= 0)
		close(fd);
	return good;
}

/* libvirt splits its settings for logs at spaces and colons, and passes "unix:PATH,server=on" to
 * QEMU unchanged. */
static gboolean
path_is_fit(const char *path)
{
	return strlen(path) <= EMBED_PATH_MAX && !strpbrk(path, " \t\r\n\v\f,=:");
}

char *
embed_path(const char *state_directory, const char *runtime_directory)
{
	g_autofree char *link = g_build_filename(runtime_directory, "libvirt", NULL);
	g_autofree char *root = g_build_filename(state_directory, "libvirt", NULL);
	if (path_is_fit(root))
		return g_steal_pointer(&root);
	if (path_is_fit(link))
		return g_steal_pointer(&link);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, root, -1);
	return g_strdup_printf("%s/childhurd-%u-%.8s/libvirt", geteuid() ? "/tmp" : "/run",
			       geteuid(), hash);
}

/* Make the folder of a link. A user that could change the link could make us start and end any
 * process. QEMU's user passes the folder. In /tmp any user could have put a link there, wherever it
 * leads now. */
static gboolean
make_link_folder(const char *link, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(link);
	gboolean made;
	if (g_file_test(folder, G_FILE_TEST_IS_SYMLINK)) {
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
			    "%s: is a symbolic link, and libvirt's sockets are to be there; remove "
			    "it, or give state-directory a path of at most %d bytes without space, "
			    "comma, equals sign and colon",
			    folder, EMBED_PATH_MAX - (int)strlen("/libvirt"));
		return FALSE;
	}
	return folder_make(folder, &made, error) &&
	       (!made || chmod(folder, 0711) == 0 || io_error(error, folder, NULL));
}

gboolean
embed_link(const char *root, const char *path, GError **error)
{
	g_autofree char *present = g_file_read_link(path, NULL);
	if (!strcmp(root, path))
		return TRUE;
	if (!make_link_folder(path, error))
		return FALSE;
	if (!g_strcmp0(present, root))
		return TRUE;
	g_autofree char *new = g_strconcat(path, ".new", NULL);
	unlink(new);
	/* if the link is removed, libvirt may make its folders before we make the link again */
	g_autofree char *aside = g_strdup_printf("%s.%" G_GINT64_FORMAT, path, g_get_real_time());
	if (!present && g_file_test(path, G_FILE_TEST_IS_DIR) && rename(path, aside) == 0)
		g_warning("%s: was not a link to %s any more; it has been moved to %s", path, root,
			  aside);
	if (symlink(root, new) == 0 && rename(new, path) == 0)
		return TRUE;
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
		    "%s: cannot be made a link to %s: %s", path, root, g_strerror(errno));
	unlink(new);
	return FALSE;
}

/*
 * stdio_handler: no virtlogd runs. No security driver, name spaces or cgroups: they need root, or a
 * host that offers them. QEMU gets its seccomp sandbox anyway: seccomp_sandbox = 1 is `-sandbox
 * on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny`. QEMU runs as user, with
 * that user's groups. libvirt must not change the owners of disks and logs, which the daemon makes
 * right (qemu/folder.c). No guest memory in core files: it has the guest's private keys.
 */
gboolean
embed_make(const char *root, const struct qemu_user *user, GError **error)
{
	g_autofree char *folder = g_build_filename(root, "etc", NULL);
	g_autofree char *file = g_build_filename(folder, "qemu.conf", NULL);
	g_autofree char *content = g_strdup_printf("# Written by childhurdd at each start.\n"
						   "stdio_handler = \"file\"\n"
						   "security_driver = \"none\"\n"
						   "namespaces = []\n"
						   "cgroup_controllers = []\n"
						   "remember_owner = 0\n"
						   "dynamic_ownership = 0\n"
						   "user = \"+%u\"\n"
						   "group = \"+%u\"\n"
						   "max_core = 0\n"
						   "dump_guest_core = 0\n"
						   "seccomp_sandbox = 1\n",
						   user->identity.uid, user->identity.gid);
	if (g_mkdir_with_parents(folder, 0700) < 0) {
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT, "%s: %s", folder,
			    g_strerror(errno));
		return FALSE;
	}
	g_autofree char *above = g_path_get_dirname(root);
	qemu_user_let(user, above, ACL_MAY_PASS);
	/* QEMU has its own files below; users that can pass this folder see nothing. */
	if (user->other && chmod(root, 0711) < 0) {
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT, "%s: %s", root,
			    g_strerror(errno));
		return FALSE;
	}
	g_autofree char *log = g_build_filename(root, EMBED_LOG, NULL);
	if (symlink("../" EMBED_LOG, log) < 0 && errno != EEXIST)
		return io_error(error, log, NULL);
	if (!close_lock(root, error))
		return FALSE;
	g_autofree char *present = NULL;
	/* on a full disk libvirt could not write it again */
	return (g_file_get_contents(file, &present, NULL, NULL) && !strcmp(present, content)) ||
	       atomic_file_write(file, content, -1, 0600, error);
}

/* libvirt 9, src/util/virhostdev.c: the embedded driver also keeps the state of host devices there,
 * of which we have none, and not below its root if we are not root. */
void
embed_find_home(const char *root)
{
	g_autofree char *cache = g_build_filename(g_get_user_cache_dir(), "libvirt", NULL);
	g_autofree char *own = g_build_filename(root, "user", NULL);
	if (!geteuid() || g_getenv("XDG_RUNTIME_DIR") || g_mkdir_with_parents(cache, 0700) == 0)
		return;
	if (g_mkdir_with_parents(own, 0700) == 0)
		g_setenv("XDG_RUNTIME_DIR", own, TRUE);
}

void
embed_take_reserve(const char *root)
{
	g_autofree char *path = g_build_filename(root, "reserve", NULL);
	gint64 size = MIN(EMBED_RESERVE, free_space(root) / 2);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	struct stat st;
	if (size > 0 && fstat(fd, &st) == 0 && st.st_size < size)
		posix_fallocate(fd, 0, size);
	close(fd);
}

/* Release the reserve if the disk is full. */
static void
give_up_reserve(const char *root)
{
	g_autofree char *path = g_build_filename(root, "reserve", NULL);
	if (free_space(root) < EMBED_RESERVE && unlink(path) == 0)
		g_warning("%s: the disk is full; the reserve for libvirt's own files is released",
			  root);
}

/* ROOT/started/NAME: "PID START BOOT", see embed_note. */
static char *
note_file(const char *root, const char *name)
{
	return g_build_filename(root, "started", name, NULL);
}

void
embed_note(const char *root, const char *name, pid_t pid)
{
	g_autofree char *file = note_file(root, name), *folder = g_path_get_dirname(file);
	g_autoptr(GError) error = NULL;
	struct process_look look;
	if (!pid) {
		unlink(file);
		return;
	}
	if (!process_look(pid, &look))
		return;
	g_autofree char *boot = process_boot();
	g_autofree char *text =
	    g_strdup_printf("%d %" G_GINT64_FORMAT " %s\n", (int)pid, look.start, boot);
	g_autofree char *present = NULL;
	if (g_file_get_contents(file, &present, NULL, NULL) && !strcmp(present, text))
		return;
	/* Without the note the next daemon uses the command line. */
	if (g_mkdir_with_parents(folder, 0700) < 0 ||
	    !atomic_file_write(file, text, -1, 0600, &error))
		g_warning("%s: %s", file, error ? error->message : g_strerror(errno));
}

static gboolean
unknown(GError **error, pid_t pid)
{
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
		    "process %d: cannot be looked at: %s", (int)pid, g_strerror(errno));
	return FALSE;
}

/* By its words and its user. */
static gboolean
is_qemu(pid_t pid, char *uuid, uid_t user, GError **error)
{
	gboolean is = process_is(pid, process_has_uuid, uuid) && process_is_of(pid, user);
	return !is && errno ? unknown(error, pid) : is;
}

/* Does the domain's QEMU run? The number alone may be another process' by now. With an error, that
 * is not known. */
static gboolean
status_lives(const char *root, const struct libvirt_status *status, uid_t user, GError **error)
{
	struct process_look look;
	int pid;
	gint64 start;
	/* In a copy of a state directory the files are of another daemon's domains. */
	g_autofree char *state_directory = g_path_get_dirname(root);
	g_autofree char *uuid = domain_uuid(state_directory, status->name);
	if (!status->pid || g_strcmp0(status->uuid, uuid))
		return FALSE;
	if (!process_look(status->pid, &look))
		return errno == ENOENT || errno == ESRCH ? FALSE : unknown(error, status->pid);
	if (look.state == 'Z')
		return FALSE;
	g_autoptr(GError) why = NULL;
	g_autofree char *file = note_file(root, status->name), *boot = process_boot();
	g_autofree char *note = libvirt_file_text(file, &why);
	char noted[64] = "";
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return FALSE;
	}
	if (note && sscanf(note, "%d %" G_GINT64_FORMAT " %63s", &pid, &start, noted) >= 2) {
		if (strcmp(noted, boot))
			return FALSE;
		if (pid == status->pid)
			return start == look.start;
	}
	return is_qemu(status->pid, uuid, user, error);
}

/* Files of an earlier boot of the host name no living process, whatever their numbers are. */
static gboolean
is_of_this_boot(const char *root, GError **error)
{
	g_autofree char *file = g_build_filename(root, "boot", NULL);
	g_autoptr(GError) why = NULL;
	g_autofree char *boot = process_boot(), *present = libvirt_file_text(file, &why);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return FALSE;
	}
	if (present && !strcmp(present, boot))
		return TRUE;
	if (!atomic_file_write(file, boot, -1, 0600, &why))
		g_warning("%s", why->message); /* then only the processes count, as below */
	return !present;
}

/* By a signal or a debugger: it answers nobody. */
static gboolean
is_stopped(pid_t pid)
{
	struct process_look look;
	return process_look(pid, &look) && (look.state == 'T' || look.state == 't');
}

/* Its files and its QEMU, if it has one, are of the past. */
static void
remove_domain(const char *root, const char *folder, const struct libvirt_status *status)
{
	g_autofree char *pid_file = g_strdup_printf("%s/%s.pid", folder, status->name);
	if (status->pid)
		g_message("%s: its QEMU (process %d) ended while no daemon ran", status->name,
			  (int)status->pid);
	else
		g_message("%s: the death of the last daemon interrupted its start", status->name);
	unlink(pid_file);
	unlink(status->file);
	embed_note(root, status->name, 0);
}

/* The folder that has the domain's monitor, as "domain-7-childhurd1"; NULL: unknown. */
static char *
folder_of(const struct libvirt_status *status)
{
	if (!status->monitor)
		return NULL;
	g_autofree char *folder = g_path_get_dirname(status->monitor);
	return g_path_get_basename(folder);
}

/* What runs, as the driver's files say. */
struct domains {
	GHashTable *living;  /* name => pid */
	GHashTable *folders; /* the names of the folders that have the monitors */
	GPtrArray *monitors; /* their sockets' paths, of those that can answer */
};

static void
domains_init(struct domains *domains)
{
	domains->living = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	domains->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	domains->monitors = g_ptr_array_new_with_free_func(g_free);
}

static void
domains_clear(struct domains *domains)
{
	g_hash_table_unref(domains->living);
	g_hash_table_unref(domains->folders);
	g_ptr_array_unref(domains->monitors);
}

static void
add_domain(struct domains *domains, struct libvirt_status *status, const char *path)
{
	char *own = folder_of(status);
	if (own)
		g_hash_table_add(domains->folders, own);
	libvirt_status_move(status, path);
	if (status->monitor && !is_stopped(status->pid))
		g_ptr_array_add(domains->monitors, g_strconcat(path, status->monitor, NULL));
	g_hash_table_insert(domains->living, g_strdup(status->name), GINT_TO_POINTER(status->pid));
}

/* libvirt's write of a domain's file was cut off (src/util/virfile.c, virFileRewrite). */
static void
remove_half(const char *folder, const char *entry)
{
	g_autofree char *file = g_build_filename(folder, entry, NULL);
	unlink(file);
}

/* Find every domain whose QEMU runs, and remove the others. FALSE: that is not known of one of
 * them, which stays as it is. */
static gboolean
tidy_domains(const char *root, const char *path, uid_t user, struct domains *domains,
	     GError **error)
{
	g_autofree char *folder = g_build_filename(root, "run", "qemu", NULL);
	g_autoptr(GError) why = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &why);
	gboolean none = g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT);
	gboolean present = (dir || none) && is_of_this_boot(root, none ? NULL : &why);
	const char *entry;
	while (!why && (entry = g_dir_read_name(dir))) {
		if (g_str_has_suffix(entry, ".xml.new"))
			remove_half(folder, entry);
		if (!g_str_has_suffix(entry, ".xml"))
			continue;
		struct libvirt_status status = libvirt_status_read(folder, entry, &why);
		gboolean lives = !why && present && status_lives(root, &status, user, &why);
		if (lives)
			add_domain(domains, &status, path);
		else if (!why)
			remove_domain(root, folder, &status);
		libvirt_status_clear(&status);
	}
	if (!why || none)
		return TRUE;
	g_propagate_prefixed_error(error, g_steal_pointer(&why),
				   "it is not known which QEMUs run: ");
	return FALSE;
}

struct search {
	const char *root, *path, *state_directory;
	GHashTable *living;
};

/* To learn what a QEMU can do, libvirt starts one without a machine, daemonized, and ends it itself
 * (src/qemu/qemu_process.c, qemuProcessQMPInit). */
static gboolean
is_asked(pid_t pid, char **words, void *data)
{
	const struct search *search = data;
	const char *file = process_option(words, "-pidfile");
	g_autofree char *here = g_strconcat(search->root, "/lib/qemu/qmp-", NULL);
	g_autofree char *there = g_strconcat(search->path, "/lib/qemu/qmp-", NULL);
	return file && (g_str_has_prefix(file, here) || g_str_has_prefix(file, there));
}

/* Recognize it by its UUID: a daemon with another state directory may have had the same runtime
 * directory, and so the same path to its root. */
static gboolean
is_masterless(pid_t pid, char **words, void *data)
{
	const struct search *search = data;
	const char *given = process_option(words, "-name");
	const char *uuid = process_option(words, "-uuid");
	if (!given || !g_str_has_prefix(given, "guest=") || !uuid)
		return FALSE;
	g_autofree char *name =
	    g_strndup(given + strlen("guest="), strcspn(given + strlen("guest="), ","));
	g_autofree char *ours = domain_uuid(search->state_directory, name);
	return !strcmp(uuid, ours) &&
	       GPOINTER_TO_INT(g_hash_table_lookup(search->living, name)) != pid;
}

/* End all that fn finds. FALSE: it is not known whether there is another one. */
static gboolean
end_all(uid_t user, process_fn fn, const struct search *search, const char *what, GError **error)
{
	pid_t pid;
	while ((pid = process_find(user, fn, (void *)search))) {
		if (what)
			g_warning("QEMU (process %d) %s; it is ended", (int)pid, what);
		if (!process_end(pid, fn, (void *)search, EMBED_END_LIMIT))
			break;
	}
	if (errno == 0)
		return TRUE;
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
		    "it is not known which QEMUs run: /proc: %s", g_strerror(errno));
	return FALSE;
}

gboolean
embed_tidy(const char *root, const char *path, uid_t user, GError **error)
{
	give_up_reserve(root);
	g_autofree char *state_directory = g_path_get_dirname(root);
	struct domains domains;
	domains_init(&domains);
	const struct search search = {.root = root,
				      .path = path,
				      .state_directory = state_directory,
				      .living = domains.living};
	gboolean known = tidy_domains(root, path, user, &domains, error) &&
			 end_all(user, is_asked, &search, NULL, error) &&
			 end_all(user, is_masterless, &search,
				 "was being started when the earlier daemon died", error);
	if (known) {
		leftovers_remove(root, domains.folders);
		monitors_flush(domains.monitors, MONITOR_FLUSH_LIMIT);
	}
	domains_clear(&domains);
	return known;
}

gboolean
embed_all_found(const char *root, const char *path, uid_t user, GHashTable *pids, GError **error)
{
	g_autofree char *state_directory = g_path_get_dirname(root);
	const struct search search = {
	    .root = root, .path = path, .state_directory = state_directory, .living = pids};
	g_autofree char *file = g_build_filename(root, "missed", NULL), *text = NULL;
	pid_t pid = process_find(user, is_masterless, (void *)&search);
	if (!pid && !errno) {
		unlink(file);
		return TRUE;
	}
	g_autofree char *now = g_strdup_printf("%d\n", (int)pid);
	if (pid && g_file_get_contents(file, &text, NULL, NULL) && !strcmp(text, now)) {
		unlink(file);
		return end_all(user, is_masterless, &search, "is one that libvirt cannot find",
			       error);
	}
	if (pid)
		atomic_file_write(file, now, -1, 0600, NULL);
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
		    "libvirt has not found all QEMUs of ours (%s, process %d)",
		    pid ? "it may do so the next time" : g_strerror(errno), (int)pid);
	return FALSE;
}

void
embed_leave(const char *root, const char *path, uid_t user)
{
	struct search search = {.root = root, .path = path};
	pid_t pid = process_find(user, is_asked, &search);
	if (pid)
		process_end(pid, is_asked, &search, 0);
}
