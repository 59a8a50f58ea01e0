/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sd_notify(3) without libsystemd: the protocol is one datagram of KEY=VALUE lines. s6, Shepherd
 * and other supervisors understand it too, so only NOTIFY_SOCKET decides.
 */
#include "childhurdd/system/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Fill in the address for name; returns its length, 0: name is invalid (relative, too long). */
static socklen_t
address_from(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof address->sun_path)
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, length);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	/* The length of an abstract name is exact. That of a path may include its NUL; here it does
	 * not. */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void
notify_send(const char *state)
{
	const char *name = g_getenv("NOTIFY_SOCKET");
	if (!name || !*name)
		return;
	struct sockaddr_un address;
	socklen_t length = address_from(name, &address);
	if (!length) {
		g_warning(
		    "NOTIFY_SOCKET=%s is neither an absolute path nor @name of at most %zu bytes",
		    name, sizeof address.sun_path - 1);
		return;
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0)
		g_debug("NOTIFY_SOCKET=%s: %s", name, g_strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* A unit of Type=notify-reload also needs MONOTONIC_USEC. */
void
notify_reloading(void)
{
	g_autofree char *state = g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT,
						 g_get_monotonic_time());
	notify_send(state);
}

/* A number from 1 to most, without sign or spaces. */
static gboolean
read_number(const char *text, guint64 most, guint64 *number)
{
	return g_ascii_string_to_unsigned(text, 10, 1, most, number, NULL);
}

guint64
notify_watchdog(void)
{
	const char *usec = g_getenv("WATCHDOG_USEC"), *pid = g_getenv("WATCHDOG_PID");
	guint64 limit, whose;
	if (!usec || !*usec)
		return 0;
	if (!read_number(usec, G_MAXUINT64 - 1, &limit)) {
		g_warning("WATCHDOG_USEC=%s is not a number of microseconds; the service manager "
			  "gets no signs of life",
			  usec);
		return 0;
	}
	if (pid && (!read_number(pid, G_MAXINT, &whose) || whose != (guint64)getpid()))
		return 0;
	return limit;
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
	notify_send("WATCHDOG=1");
}

void
notify_watchdog_start(ev_timer *timer, struct ev_loop *loop)
{
	double half = (double)notify_watchdog() / G_USEC_PER_SEC / 2;
	ev_timer_init(timer, on_watchdog, half, half);
	if (half > 0)
		ev_timer_start(loop, timer);
}
