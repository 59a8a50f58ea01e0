/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "childhurdd/hypervisor.h"
#include "childhurdd/process.h"
#include "config/atomic_file.h"
#include "config/io_error.h"

/* libvirt locks this file for as long as it has the root, and makes it readable by all (src/qemu/
 * qemu_driver.c, qemuStateInitialize): anybody could lock it before, and no daemon would start. */
static gboolean
close_lock(const char *root, GError **error)
{
	g_autofree char *folder = g_build_filename(root, "run", "qemu", NULL);
	g_autofree char *path = g_build_filename(folder, "driver.pid", NULL);
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return io_error(error, folder, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		io_error(error, path, NULL);
	else if (close(fd) == 0)
		return TRUE;
	return FALSE;
}

/*
 * stdio_handler: no virtlogd runs. No security driver, name spaces or cgroups: they need root or a
 * host that offers them, and QEMU gets its own seccomp sandbox all the same: seccomp_sandbox = 1 is
 * `-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny`. QEMU runs as
 * user, with that one's groups; libvirt has no business with the owners of disks and logs, the
 * daemon makes them as they have to be (guest_folder.c). No guest memory in core files: the guest's
 * private keys are in it.
 */
gboolean
embed_make(const char *root, const struct qemu_user *user, GError **error)
{
	g_autofree char *folder = g_build_filename(root, "etc", NULL);
	g_autofree char *path = g_build_filename(folder, "qemu.conf", NULL);
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
						   user->uid, user->gid);
	if (g_mkdir_with_parents(folder, 0700) < 0) {
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT, "%s: %s", folder,
			    g_strerror(errno));
		return FALSE;
	}
	g_autofree char *above = g_path_get_dirname(root);
	qemu_user_let(user, above, ACL_MAY_PASS);
	/* QEMU has files of its own below; that others pass here shows them nothing. */
	if (user->other && chmod(root, 0711) < 0) {
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT, "%s: %s", root,
			    g_strerror(errno));
		return FALSE;
	}
	if (!close_lock(root, error))
		return FALSE;
	g_autofree char *present = NULL;
	if (g_file_get_contents(path, &present, NULL, NULL) && !strcmp(present, content))
		return TRUE; /* on a full disk it could not be written again */
	return atomic_file_write(path, content, -1, 0600, error);
}

/* libvirt 9, src/util/virhostdev.c: the state of host devices, of which we have none, is kept there
 * also by the embedded driver, and is not below its root when we are not root's. */
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

/* On a full disk: now it is needed. */
static void
give_up_reserve(const char *root)
{
	g_autofree char *path = g_build_filename(root, "reserve", NULL);
	if (room_in(root) < EMBED_RESERVE && unlink(path) == 0)
		g_warning("%s: the disk is full; what was kept for libvirt's own files is given up",
			  root);
}

/*
 * The pid in a domain's status (libvirt, src/conf/domain_conf.c, virDomainObjFormat; src/qemu,
 * qemuProcessInit: reason "starting up" until all is done). 0: it never was all there.
 */
static pid_t
status_pid(const char *path)
{
	xmlDoc *doc = xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
	xmlChar *reason = root ? xmlGetProp(root, BAD_CAST "reason") : NULL;
	xmlChar *pid = root ? xmlGetProp(root, BAD_CAST "pid") : NULL;
	pid_t result = 0;
	if (pid && g_strcmp0((const char *)reason, "starting up"))
		result = (pid_t)g_ascii_strtoll((const char *)pid, NULL, 10);
	xmlFree(reason);
	xmlFree(pid);
	xmlFreeDoc(doc);
	return result;
}

/* Every domain that is all there, name => pid; the others are forgotten. */
static GHashTable *
tidy_domains(const char *folder)
{
	GHashTable *whole = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *entry;
	while (dir && (entry = g_dir_read_name(dir))) {
		if (!g_str_has_suffix(entry, ".xml"))
			continue;
		g_autofree char *status = g_build_filename(folder, entry, NULL);
		char *name = g_strndup(entry, strlen(entry) - strlen(".xml"));
		pid_t pid = status_pid(status);
		if (pid) {
			g_hash_table_insert(whole, name, GINT_TO_POINTER(pid));
			continue;
		}
		g_autofree char *pid_file = g_strdup_printf("%s/%s.pid", folder, name);
		g_message("%s: its start was cut off when the daemon before died", name);
		remove(pid_file);
		remove(status);
		g_free(name);
	}
	return whole;
}

/* libvirt starts a QEMU without a machine to learn what it can, daemonized, and ends it itself
 * (src/qemu/qemu_process.c, qemuProcessQMPInit). */
static gboolean
is_asked(pid_t pid, char **words, void *data)
{
	const char *file = process_option(words, "-pidfile");
	g_autofree char *folder = g_strconcat(data, "/lib/qemu/qmp-", NULL);
	return file && g_str_has_prefix(file, folder);
}

struct search {
	char *mark; /* what only the command lines of this root's QEMUs have in them */
	GHashTable *whole;
};

static gboolean
is_masterless(pid_t pid, char **words, void *data)
{
	const struct search *search = data;
	const char *given = process_option(words, "-name");
	if (!given || !g_str_has_prefix(given, "guest=") || !process_option(words, "-uuid"))
		return FALSE;
	gboolean ours = FALSE;
	for (char **word = words; *word && !ours; word++)
		ours = strstr(*word, search->mark) != NULL;
	g_autofree char *name =
	    g_strndup(given + strlen("guest="), strcspn(given + strlen("guest="), ","));
	return ours && GPOINTER_TO_INT(g_hash_table_lookup(search->whole, name)) != pid;
}

static gboolean
end_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH;
	struct pollfd gone = {.fd = fd, .events = POLLIN};
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	gboolean ended = poll(&gone, 1, EMBED_END_LIMIT) == 1;
	close(fd);
	return ended;
}

void
embed_tidy(const char *root, uid_t user)
{
	g_autofree char *folder = g_build_filename(root, "run", "qemu", NULL);
	struct search search = {.mark = g_strconcat(root, "/lib/qemu/", NULL),
				.whole = tidy_domains(folder)};
	pid_t pid;
	give_up_reserve(root);
	while ((pid = process_find(user, is_asked, (void *)root)))
		if (!end_process(pid))
			break;
	while ((pid = process_find(user, is_masterless, &search))) {
		g_warning("QEMU (process %d) was being started when the daemon before died; it is "
			  "ended",
			  (int)pid);
		if (!end_process(pid))
			break;
	}
	g_hash_table_unref(search.whole);
	g_free(search.mark);
}

void
embed_leave(const char *root, uid_t user)
{
	pid_t pid = process_find(user, is_asked, (void *)root);
	if (pid)
		kill(pid, SIGKILL);
}
