/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The socket at a guest's serial line, as the daemon sees it. */
#include "childhurdd/qemu/serial.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
assert_refused(const char *path, const char *pattern)
{
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(serial_connect(path, &error), ==, -1);
	if (!g_pattern_match_simple(pattern, error->message))
		g_error("%s is not like %s", error->message, pattern);
}

static void
test_path(void)
{
	g_autofree char *path = serial_path("/var/lib/childhurd/a");
	g_autofree char *longest = g_strnfill(SERIAL_PATH_MAX - strlen("/console"), 'x');
	g_autofree char *longer = g_strconcat(longest, "x", NULL);
	g_autofree char *fits = serial_path(longest), *none = serial_path(longer);
	g_assert_cmpstr(path, ==, "/var/lib/childhurd/a/console");
	g_assert_cmpuint(strlen(fits), ==, SERIAL_PATH_MAX);
	g_assert_null(none);
	assert_refused(NULL, "*too long for a socket*");
}

static void
test_connect(void)
{
	g_autofree char *folder = g_dir_make_tmp("childhurd-serial-XXXXXX", NULL);
	g_autofree char *path = serial_path(folder);
	g_autoptr(GError) error = NULL;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strlen(path));
	assert_refused(path, "*older childhurdd*restart it*");

	int qemu = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(qemu, (struct sockaddr *)&address, sizeof address), ==, 0);
	assert_refused(path, "*older childhurdd*"); /* left behind: nothing listens */
	g_assert_cmpint(listen(qemu, 0), ==, 0);
	int fd = serial_connect(path, &error);
	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	assert_refused(path, "somebody else is connected*");
	close(fd);
	close(qemu);
	g_unlink(path);
	g_rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/serial/a-path-that-is-too-long-is-none", test_path);
	g_test_add_func("/serial/what-cannot-be-connected-to-is-explained", test_connect);
	return g_test_run();
}
