/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a service manager hears from us. */
#include "service/notify.h"

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

/* A descriptor that leaked would be the next one that is opened. */
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
	int result = g_test_run();
	g_rmdir(folder);
	g_free(folder);
	return result;
}
