/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/qemu/libvirt_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/monitor_flush.h"
#include "childhurdd/system/own_folder.h"
#include "childhurdd/system/process.h"
#include "config/base/atomic_file.h"
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

static guint64
room_in(const char *folder)
{
	struct statvfs fs;
	return statvfs(folder, &fs) < 0 ? 0 : (guint64)fs.f_bavail * fs.f_frsize;
}

void
embed_take_reserve(const char *root)
{
	g_autofree char *path = g_build_filename(root, "reserve", NULL);
	guint64 size = MIN(EMBED_RESERVE, room_in(root) / 2);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	struct stat st;
	if (size && fstat(fd, &st) == 0 && (guint64)st.st_size < size)
		posix_fallocate(fd, 0, (off_t)size);
	close(fd);
}

/* Release the reserve if the disk is full. */
static void
give_up_reserve(const char *root)
{
	g_autofree char *path = g_build_filename(root, "reserve", NULL);
	if (room_in(root) < EMBED_RESERVE && unlink(path) == 0)
		g_warning("%s: the disk is full; the reserve for libvirt's own files is released",
			  root);
}

/* A running domain's status file of libvirt. */
struct status {
	char *file, *name, *uuid;
	pid_t pid;     /* 0: it was never complete */
	char *path;    /* the root's path for the driver when the domain was started */
	char *monitor; /* its socket's path below that */
};

static xmlNode *
child_of(xmlNode *parent, const char *name)
{
	for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
		if (!g_strcmp0((const char *)node->name, name))
			return node;
	return NULL;
}

static char *
attribute_of(xmlNode *node, const char *name)
{
	xmlChar *value = node ? xmlGetProp(node, BAD_CAST name) : NULL;
	char *copy = g_strdup((const char *)value);
	xmlFree(value);
	return copy;
}

/*
 * libvirt, src/conf/domain_conf.c, virDomainObjFormat: <domstatus reason= pid=><monitor path=/>
 * <domain><uuid/>. src/qemu, qemuProcessInit: the reason is "starting up" until all is done.
 */
static struct status
status_read(const char *folder, const char *entry)
{
	struct status status = {.file = g_build_filename(folder, entry, NULL),
				.name = g_strndup(entry, strlen(entry) - strlen(".xml"))};
	xmlDoc *doc = xmlReadFile(status.file, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
	xmlNode *top = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autofree char *reason = attribute_of(top, "reason");
	g_autofree char *pid = attribute_of(top, "pid");
	if (pid && g_strcmp0(reason, "starting up"))
		status.pid = (pid_t)g_ascii_strtoll(pid, NULL, 10);
	xmlChar *uuid = xmlNodeGetContent(child_of(child_of(top, "domain"), "uuid"));
	status.uuid = g_strdup((const char *)uuid);
	xmlFree(uuid);
	status.path = attribute_of(child_of(top, "monitor"), "path");
	char *end = status.path ? strstr(status.path, "/lib/qemu/") : NULL;
	status.monitor = g_strdup(end);
	if (end)
		*end = '\0';
	else
		g_clear_pointer(&status.path, g_free);
	xmlFreeDoc(doc);
	return status;
}

static void
status_clear(struct status *status)
{
	g_free(status->file);
	g_free(status->name);
	g_free(status->uuid);
	g_free(status->path);
	g_free(status->monitor);
}

/* As libvirt writes it: src/util/virbuffer.c, virBufferEscapeString. */
static char *
escaped(const char *path)
{
	GString *text = g_string_new(path);
	g_string_append_c(text, '/');
	g_string_replace(text, "&", "&amp;", 0);
	g_string_replace(text, "<", "&lt;", 0);
	g_string_replace(text, ">", "&gt;", 0);
	g_string_replace(text, "\"", "&quot;", 0);
	g_string_replace(text, "'", "&apos;", 0);
	return g_string_free(text, FALSE);
}

/* The domain was started by another path to the same root. QEMU listens on the same sockets. */
static void
status_move(const struct status *status, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL, *from = NULL, *to = escaped(path);
	if (!status->path || !strcmp(status->path, path))
		return;
	from = escaped(status->path);
	if (g_file_get_contents(status->file, &text, NULL, &error)) {
		g_autoptr(GString) moved = g_string_new(text);
		g_string_replace(moved, from, to, 0);
		atomic_file_write(status->file, moved->str, -1, 0600, &error);
	}
	if (error)
		g_warning("%s: %s", status->name, error->message);
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

/* Does the domain's QEMU run? The number alone may be another process' by now. */
static gboolean
status_lives(const char *root, const struct status *status, uid_t user)
{
	struct process_look look;
	int pid;
	gint64 start;
	/* In a copy of a state directory the files are of another daemon's domains. */
	g_autofree char *state_directory = g_path_get_dirname(root);
	g_autofree char *uuid = domain_uuid(state_directory, status->name);
	if (!status->pid || g_strcmp0(status->uuid, uuid) || !process_look(status->pid, &look) ||
	    look.state == 'Z')
		return FALSE;
	g_autofree char *file = note_file(root, status->name), *boot = process_boot();
	g_autofree char *note = NULL;
	char noted[64] = "";
	if (g_file_get_contents(file, &note, NULL, NULL) &&
	    sscanf(note, "%d %" G_GINT64_FORMAT " %63s", &pid, &start, noted) >= 2) {
		if (strcmp(noted, boot))
			return FALSE;
		if (pid == status->pid)
			return start == look.start;
	}
	return process_is(status->pid, process_has_uuid, uuid) && process_is_of(status->pid, user);
}

/* Files of an earlier boot of the host name no living process, whatever their numbers are. */
static gboolean
is_of_this_boot(const char *root)
{
	g_autofree char *file = g_build_filename(root, "boot", NULL);
	g_autofree char *boot = process_boot(), *present = NULL;
	g_autoptr(GError) error = NULL;
	gboolean known = g_file_get_contents(file, &present, NULL, NULL);
	if (known && !strcmp(present, boot))
		return TRUE;
	if (!atomic_file_write(file, boot, -1, 0600, &error))
		g_warning("%s", error->message); /* then only the processes count, as below */
	return !known;
}

/* By a signal or a debugger: it answers nobody. */
static gboolean
is_stopped(pid_t pid)
{
	struct process_look look;
	return process_look(pid, &look) && (look.state == 'T' || look.state == 't');
}

/* The folder that has the domain's monitor, as "domain-7-childhurd1"; NULL: unknown. */
static char *
folder_of(const struct status *status)
{
	if (!status->monitor)
		return NULL;
	g_autofree char *folder = g_path_get_dirname(status->monitor);
	return g_path_get_basename(folder);
}

/* Every domain whose QEMU runs, name => pid; the others are removed. monitors: gets their sockets'
 * paths, folders the names of their folders. */
static GHashTable *
tidy_domains(const char *root, const char *path, uid_t user, GPtrArray *monitors,
	     GHashTable *folders)
{
	GHashTable *living = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *folder = g_build_filename(root, "run", "qemu", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	gboolean present = is_of_this_boot(root);
	const char *entry;
	while (dir && (entry = g_dir_read_name(dir))) {
		if (g_str_has_suffix(entry, ".xml.new")) { /* virFileRewrite was cut off */
			g_autofree char *half_made = g_build_filename(folder, entry, NULL);
			unlink(half_made);
		}
		if (!g_str_has_suffix(entry, ".xml"))
			continue;
		struct status status = status_read(folder, entry);
		if (present && status_lives(root, &status, user)) {
			char *own = folder_of(&status);
			if (own)
				g_hash_table_add(folders, own);
			status_move(&status, path);
			if (status.monitor && !is_stopped(status.pid))
				g_ptr_array_add(monitors, g_strconcat(path, status.monitor, NULL));
			g_hash_table_insert(living, g_strdup(status.name),
					    GINT_TO_POINTER(status.pid));
		} else {
			g_autofree char *pid_file =
			    g_strdup_printf("%s/%s.pid", folder, status.name);
			if (status.pid)
				g_message("%s: its QEMU (process %d) ended while no daemon ran",
					  status.name, (int)status.pid);
			else
				g_message("%s: the death of the last daemon interrupted its start",
					  status.name);
			unlink(pid_file);
			unlink(status.file);
			embed_note(root, status.name, 0);
		}
		status_clear(&status);
	}
	return living;
}

/* The folder is QEMU's user's, who may put a link there at any time. */
static void
remove_folder(int above, const char *name)
{
	int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	unlinkat(above, name, AT_REMOVEDIR);
}

/*
 * Remove the folders of QEMUs that ended while no daemon ran: libvirt makes one for each start,
 * with a new number, and removes it only if it sees the end (src/qemu/qemu_process.c,
 * qemuProcessStop). qmp-* are those of QEMUs that were only asked (qemuProcessQMPInit).
 */
static void
tidy_folders(const char *root, const char *below, GHashTable *folders)
{
	g_autofree char *path = g_build_filename(root, "lib", "qemu", below, NULL);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		gboolean of_domain = g_str_has_prefix(entry->d_name, "domain-");
		if ((of_domain && !g_hash_table_contains(folders, entry->d_name)) ||
		    g_str_has_prefix(entry->d_name, "qmp-"))
			remove_folder(dirfd(dir), entry->d_name);
	}
	closedir(dir);
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

void
embed_tidy(const char *root, const char *path, uid_t user)
{
	give_up_reserve(root);
	g_autofree char *state_directory = g_path_get_dirname(root);
	g_autoptr(GPtrArray) monitors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) folders =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct search search = {.root = root,
				.path = path,
				.state_directory = state_directory,
				.living = tidy_domains(root, path, user, monitors, folders)};
	pid_t pid;
	while ((pid = process_find(user, is_asked, &search)))
		if (!process_end(pid, is_asked, &search, EMBED_END_LIMIT))
			break;
	while ((pid = process_find(user, is_masterless, &search))) {
		g_warning("QEMU (process %d) was being started when the earlier daemon died; it is "
			  "ended",
			  (int)pid);
		if (!process_end(pid, is_masterless, &search, EMBED_END_LIMIT))
			break;
	}
	g_hash_table_unref(search.living);
	tidy_folders(root, "", folders);
	tidy_folders(root, "channel/target", folders);
	monitors_flush(monitors, MONITOR_FLUSH_LIMIT);
}

void
embed_leave(const char *root, const char *path, uid_t user)
{
	struct search search = {.root = root, .path = path};
	pid_t pid = process_find(user, is_asked, &search);
	if (pid)
		process_end(pid, is_asked, &search, 0);
}
