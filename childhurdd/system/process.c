/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/process.h"

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
	return pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* The kernel makes the content at each read from the beginning. */
static gboolean
read_file(int fd, char *text, gsize size)
{
	gssize n = pread(fd, text, size - 1, 0);
	text[MAX(n, 0)] = '\0';
	return n > 0;
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
	if (fd >= 0)
		close(fd);
	if (!known)
		return FALSE;
	const char *fields = strrchr(text, ')');
	if (!fields || sscanf(fields,
			      ") %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %lu %lu"
			      " %*d %*d %*d %*d %*d %*d %llu",
			      &look->state, &session, &user, &system, &begin) != 5)
		return FALSE;
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

/* The words of /proc/PID/cmdline, each ended by a NUL; NULL: none. They point into text. */
static char **
words_of(pid_t pid, char **text)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
	gsize length;
	if (!g_file_get_contents(path, text, &length, NULL) || !length)
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
	g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
	g_autofree char *status = NULL;
	unsigned uid;
	if (user == PROCESS_ANYBODY)
		return TRUE;
	if (!g_file_get_contents(path, &status, NULL, NULL))
		return FALSE;
	const char *uids = strstr(status, "\nUid:\t");
	return uids && sscanf(uids, "\nUid:%u", &uid) == 1 &&
	       (uid == 0 || uid == geteuid() || uid == user);
}

gboolean
process_is(pid_t pid, process_fn fn, void *data)
{
	g_autofree char *text = NULL;
	g_autofree char **words = words_of(pid, &text);
	return words && fn(pid, words, data);
}

pid_t
process_find(uid_t user, process_fn fn, void *data)
{
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *entry;
	while (proc && (entry = g_dir_read_name(proc))) {
		pid_t pid = (pid_t)g_ascii_strtoll(entry, NULL, 10);
		if (pid && process_is(pid, fn, data) && process_is_of(pid, user))
			return pid;
	}
	return 0;
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
	gboolean ended =
	    !process_is(pid, fn, data) || (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0
					       ? !limit || poll(&gone, 1, limit) == 1
					       : errno == ESRCH);
	close(fd);
	return ended;
}

char *
process_boot(void)
{
	char *id = NULL;
	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
		return g_strdup("");
	return g_strstrip(id);
}
