/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QEMU executes a monitor's commands one after the other (monitor/qmp.c), so the answer to ours
 * comes after all that it owes. Ours is known by its id (qemu, docs/interop/qmp-spec). */
#include "childhurdd/qemu/monitor_flush.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* No command may come before it. */
#define COMMAND "{\"execute\":\"qmp_capabilities\",\"id\":\"childhurd-flush\"}\n"
#define OUR_ID	"\"childhurd-flush\""

/* A connected socket that has our command; -1: nobody listens there. */
static int
ask(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
	    (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
	     send(fd, COMMAND, strlen(COMMAND), MSG_NOSIGNAL) != (ssize_t)strlen(COMMAND))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Read what is there. TRUE: our answer has come, or none ever will. */
static gboolean
answered(int fd, GString *text)
{
	char piece[4096];
	ssize_t got;
	while ((got = read(fd, piece, sizeof piece)) > 0)
		g_string_append_len(text, piece, got);
	if (strstr(text->str, OUR_ID))
		return TRUE;
	/* of what came, only the last line can have the beginning of the answer */
	const char *end = strrchr(text->str, '\n');
	if (end)
		g_string_erase(text, 0, end + 1 - text->str);
	return got == 0 || (errno != EAGAIN && errno != EINTR);
}

void
monitors_flush(const GPtrArray *paths, int limit)
{
	gint64 until = g_get_monotonic_time() / 1000 + limit, left = limit;
	g_autofree struct pollfd *fds = g_new0(struct pollfd, paths->len);
	g_autoptr(GPtrArray) texts = g_ptr_array_new();
	guint waiting = 0;
	for (guint i = 0; i < paths->len; i++) {
		fds[i] = (struct pollfd){.fd = ask(paths->pdata[i]), .events = POLLIN};
		waiting += fds[i].fd >= 0;
		g_ptr_array_add(texts, g_string_new(NULL));
	}
	while (waiting && left > 0) {
		int ready = poll(fds, paths->len, (int)left);
		for (guint i = 0; ready > 0 && i < paths->len; i++) {
			if (fds[i].fd < 0 || !fds[i].revents ||
			    !answered(fds[i].fd, texts->pdata[i]))
				continue;
			close(fds[i].fd);
			fds[i].fd = -1;
			waiting--;
		}
		left = until - g_get_monotonic_time() / 1000;
	}
	for (guint i = 0; i < paths->len; i++) {
		if (fds[i].fd >= 0) {
			g_warning("%s: QEMU's monitor has not answered for %d ms",
				  (char *)paths->pdata[i], limit);
			close(fds[i].fd);
		}
		g_string_free(texts->pdata[i], TRUE);
	}
}
