/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the daemon sends to a service manager. */
#include "childhurdd/system/notify.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *folder;

/* A service manager's socket; name as in NOTIFY_SOCKET, @ for an abstract one. */
static int
manager_new(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_assert_cmpuint(strlen(name), <, sizeof address.sun_path);
	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(fd, >=, 0);
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
	g_setenv("NOTIFY_SOCKET", name, TRUE);
	return fd;
}

static void
assert_hears(int fd, const char *expected)
{
	char bytes[256] = "";
	gssize n = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
	g_assert_cmpint(n, ==, (gssize)strlen(expected));
	g_assert_cmpstr(bytes, ==, expected);
	g_assert_cmpint(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), ==, -1);
}

static void
test_path(void)
{
	g_autofree char *path = g_build_filename(folder, "notify", NULL);
	int fd = manager_new(path);
	notify_send("READY=1\nSTATUS=2 of 2 childhurds are ready");
	assert_hears(fd, "READY=1\nSTATUS=2 of 2 childhurds are ready");
	close(fd);
	g_unlink(path);
}

static void
test_abstract(void)
{
	g_autofree char *name = g_strdup_printf("@childhurd-test-%d", (int)getpid());
	int fd = manager_new(name);
	notify_send("STOPPING=1");
	assert_hears(fd, "STOPPING=1");
	close(fd);
}

/* If a descriptor leaked, the last open would return another one. */
static void
test_nobody(void)
{
	int before = dup(0);
	close(before);
	g_unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
	g_setenv("NOTIFY_SOCKET", "", TRUE);
	notify_send("READY=1");
	g_autofree char *path = g_build_filename(folder, "gone", NULL);
	g_setenv("NOTIFY_SOCKET", path, TRUE);
	notify_send("READY=1");
	int after = dup(0);
	close(after);
	g_assert_cmpint(before, ==, after);
}

static void
test_full(void)
{
	g_autofree char *path = g_build_filename(folder, "full", NULL);
	int fd = manager_new(path);
	for (int i = 0; i < 600; i++) /* more than any queue; a blocking send would never return */
		notify_send("STATUS=once more");
	char bytes[64];
	g_assert_cmpint(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), ==,
			strlen("STATUS=once more"));
	close(fd);
	g_unlink(path);
}

static void
test_bad_name(void)
{
	g_autofree char *longer = g_strnfill(200, '/');
	const char *const names[] = {"relative", "@", "/", longer};
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_setenv("NOTIFY_SOCKET", names[i], TRUE);
		g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "NOTIFY_SOCKET=*neither*");
		notify_send("READY=1");
		g_test_assert_expected_messages();
	}
}

static void
test_reloading(void)
{
	g_autofree char *path = g_build_filename(folder, "reloading", NULL);
	int fd = manager_new(path);
	char bytes[256] = "";
	gint64 before = g_get_monotonic_time();
	notify_reloading();
	g_assert_cmpint(recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT), >, 0);
	const char *const head = "RELOADING=1\nMONOTONIC_USEC=";
	g_assert_true(g_str_has_prefix(bytes, head));
	gint64 then = g_ascii_strtoll(bytes + strlen(head), NULL, 10);
	g_assert_cmpint(then, >=, before);
	g_assert_cmpint(then, <=, g_get_monotonic_time());
	close(fd);
	g_unlink(path);
}

static void
test_watchdog_enabled(void)
{
	g_autofree char *self = g_strdup_printf("%d", (int)getpid());
	const struct {
		const char *usec, *pid;
		guint64 expected;
	} cases[] = {
	    {NULL, NULL, 0},
	    {"", NULL, 0},
	    {"30000000", NULL, 30000000},
	    {"30000000", self, 30000000},
	    {"30000000", "1", 0},
	    {"30000000", "", 0},
	    {"30000000", "self", 0},
	    {NULL, self, 0},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_unsetenv("WATCHDOG_USEC");
		g_unsetenv("WATCHDOG_PID");
		if (cases[i].usec)
			g_setenv("WATCHDOG_USEC", cases[i].usec, TRUE);
		if (cases[i].pid)
			g_setenv("WATCHDOG_PID", cases[i].pid, TRUE);
		g_assert_cmpuint(notify_watchdog(), ==, cases[i].expected);
	}
	g_unsetenv("WATCHDOG_PID");
}

static void
test_watchdog_no_time(void)
{
	const char *const wrong[] = {
	    "0", "-5", "30s", " 3", "18446744073709551615", "99999999999999999999"};
	for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_setenv("WATCHDOG_USEC", wrong[i], TRUE);
		g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "WATCHDOG_USEC=*not a*");
		g_assert_cmpuint(notify_watchdog(), ==, 0);
		g_test_assert_expected_messages();
	}
}

/* A manager that counts signs of life, and ends the loop at the second. */
static void
on_sign(struct ev_loop *loop, ev_io *w, int revents)
{
	int *signs = w->data;
	char bytes[32] = "";
	/* on a busy machine the next one may be behind it already */
	g_assert_cmpint(recv(w->fd, bytes, sizeof bytes - 1, MSG_DONTWAIT), >, 0);
	g_assert_cmpstr(bytes, ==, "WATCHDOG=1");
	if (++*signs == 2)
		ev_break(loop, EVBREAK_ALL);
}

static void
test_watchdog_fed(void)
{
	g_autofree char *path = g_build_filename(folder, "watchdog", NULL);
	int fd = manager_new(path), signs = 0;
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer watchdog;
	ev_io io;
	ev_io_init(&io, on_sign, fd, EV_READ);
	io.data = &signs;
	ev_io_start(loop, &io);
	g_setenv("WATCHDOG_USEC", "60000", TRUE);
	notify_watchdog_start(&watchdog, loop);
	/* The loop's clock stands still between its rounds; any other runs ahead of it. */
	g_assert_cmpfloat_with_epsilon(ev_timer_remaining(loop, &watchdog), 0.03, 1e-6);
	g_assert_cmpfloat_with_epsilon(watchdog.repeat, 0.03, 1e-6);
	ev_run(loop, 0);
	g_assert_cmpint(signs, ==, 2);
	ev_timer_stop(loop, &watchdog);
	g_unsetenv("WATCHDOG_USEC");
	notify_watchdog_start(&watchdog, loop);
	g_assert_false(ev_is_active(&watchdog));
	ev_io_stop(loop, &io);
	ev_loop_destroy(loop);
	close(fd);
	g_unlink(path);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("childhurd-notify-XXXXXX", NULL);
	g_test_add_func("/notify/a-path-gets-one-datagram", test_path);
	g_test_add_func("/notify/an-abstract-name-gets-one-datagram", test_abstract);
	g_test_add_func("/notify/without-a-manager-nothing-happens", test_nobody);
	g_test_add_func("/notify/a-manager-that-does-not-read-blocks-nobody", test_full);
	g_test_add_func("/notify/a-name-that-is-none-is-a-warning", test_bad_name);
	g_test_add_func("/notify/a-reload-says-when-it-began", test_reloading);
	g_test_add_func("/notify/a-watchdog-is-ours-unless-it-names-another-process",
			test_watchdog_enabled);
	g_test_add_func("/notify/a-watchdog-of-no-time-is-a-warning", test_watchdog_no_time);
	g_test_add_func("/notify/the-loop-feeds-the-watchdog-twice-in-its-time", test_watchdog_fed);
	int result = g_test_run();
	g_rmdir(folder);
	g_free(folder);
	return result;
}
