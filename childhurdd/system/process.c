/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
open_file(pid_t pid, const char *name)
{
	char path[64];
	g_snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	errno = ESRCH;
	return pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* The kernel makes the content at each read from the beginning. */
static gboolean
read_file(int fd, char *text, gsize size)
{
	gssize n = pread(fd, text, size - 1, 0);
	text[MAX(n, 0)] = '\0';
	if (n == 0)
		errno = ESRCH;
	return n > 0;
}

/* Close, and leave errno as it is. */
static void
close_file(int fd)
{
	int number = errno;
	if (fd >= 0)
		close(fd);
	errno = number;
}

/* The command's name, in parentheses, may contain anything: fields count from after the last
 * parenthesis. */
gboolean
process_look(pid_t pid, struct process_look *look)
{
	char text[1024];
	int session;
	unsigned long user, system;
	unsigned long long begin;
	int fd = open_file(pid, "stat");
	gboolean known = fd >= 0 && read_file(fd, text, sizeof text);
	close_file(fd);
	if (!known)
		return FALSE;
	const char *fields = strrchr(text, ')');
	if (!fields || sscanf(fields,
			      ") %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %lu %lu"
			      " %*d %*d %*d %*d %*d %*d %llu",
			      &look->state, &session, &user, &system, &begin) != 5) {
		errno = EINVAL;
		return FALSE;
	}
	look->session = session;
	look->start = (gint64)begin;
	look->cpu = (gint64)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
	return TRUE;
}

int
process_statm(pid_t pid)
{
	return open_file(pid, "statm");
}

gint64
process_memory(int statm)
{
	char text[256];
	long pages;
	if (statm < 0 || !read_file(statm, text, sizeof text) ||
	    sscanf(text, "%*d %ld", &pages) != 1)
		return 0;
	return (gint64)pages * sysconf(_SC_PAGESIZE);
}

/* A file of a process as text; NULL: there is none, or, if errno is not 0, it cannot be read. GLib
 * has errno as a code of its own. */
static char *
contents(pid_t pid, const char *name, gsize *length)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
	g_autoptr(GError) error = NULL;
	char *text = NULL;
	gboolean known = g_file_get_contents(path, &text, length, &error);
	int code = known ? -1 : error->code;
	errno = code == G_FILE_ERROR_MFILE   ? EMFILE
		: code == G_FILE_ERROR_NFILE ? ENFILE
		: code == G_FILE_ERROR_NOMEM ? ENOMEM
					     : 0;
	return text;
}

/* The words of /proc/PID/cmdline, each ended by a NUL; NULL: none, with errno as above. They point
 * into text. */
static char **
words_of(pid_t pid, char **text)
{
	gsize length;
	*text = contents(pid, "cmdline", &length);
	if (!*text || !length)
		return NULL;
	GPtrArray *words = g_ptr_array_new();
	for (char *word = *text; word < *text + length; word += strlen(word) + 1)
		g_ptr_array_add(words, word);
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(words, FALSE);
}

/* By its real uid: a process can make root the owner of its folder in /proc. */
gboolean
process_is_of(pid_t pid, uid_t user)
{
	unsigned uid;
	errno = 0;
	if (user == PROCESS_ANYBODY)
		return TRUE;
	g_autofree char *status = contents(pid, "status", NULL);
	const char *uids = status ? strstr(status, "\nUid:\t") : NULL;
	return uids && sscanf(uids, "\nUid:%u", &uid) == 1 &&
	       (uid == 0 || uid == geteuid() || uid == user);
}

gboolean
process_is(pid_t pid, process_fn fn, void *data)
{
	g_autofree char *text = NULL;
	g_autofree char **words = words_of(pid, &text);
	if (!words)
		return FALSE;
	gboolean is = fn(pid, words, data);
	errno = 0;
	return is;
}

pid_t
process_find(uid_t user, process_fn fn, void *data)
{
	DIR *proc = opendir("/proc");
	int lack = proc ? 0 : errno;
	pid_t found = 0;
	const struct dirent *entry;
	while (proc && !found && (entry = readdir(proc))) {
		pid_t pid = (pid_t)g_ascii_strtoll(entry->d_name, NULL, 10);
		if (!pid)
			continue;
		if (process_is(pid, fn, data) && process_is_of(pid, user))
			found = pid;
		else if (errno)
			lack = errno;
	}
	if (proc)
		closedir(proc);
	errno = found ? 0 : lack;
	return found;
}

const char *
process_option(char **words, const char *option)
{
	for (; *words; words++)
		if (!strcmp(*words, option))
			return words[1];
	return NULL;
}

gboolean
process_has_uuid(pid_t pid, char **words, void *uuid)
{
	return g_strcmp0(process_option(words, "-uuid"), uuid) == 0;
}

/* The pidfd is opened before the check, so the signal reaches the process that was checked, or
 * none. */
gboolean
process_end(pid_t pid, process_fn fn, void *data, int limit)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH;
	struct pollfd gone = {.fd = fd, .events = POLLIN};
	gboolean ended;
	errno = 0;
	if (process_is(pid, fn, data))
		ended = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0
			    ? !limit || poll(&gone, 1, limit) == 1
			    : errno == ESRCH;
	else
		ended = errno == 0;
	close_file(fd);
	return ended;
}

/* It is read once, when the daemon begins. Otherwise a lack of descriptors would look like another
 * boot of the host. */
char *
process_boot(void)
{
	static char *id;
	if (g_once_init_enter(&id)) {
		char *text = NULL;
		if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
			g_strstrip(text);
		g_once_init_leave(&id, text ? text : g_strdup(""));
	}
	return g_strdup(id);
}
