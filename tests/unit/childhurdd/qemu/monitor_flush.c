/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What QEMUs owe to a daemon that died is read before libvirt is connected to them. */
#include "childhurdd/qemu/monitor_flush.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define OWED	 "{\"return\": \"\", \"id\": \"libvirt-26\"}\r\n"
#define OURS	 "{\"return\": {}, \"id\": \"childhurd-flush\"}\r\n"

static char *folder;

struct monitor {
	char *path;
	int listening;
	const char *says[4]; /* NULL: it closes */
	gboolean asked;	     /* our command came before it answered */
	gboolean mute;
	GThread *thread;
};

static void *
serve(void *data)
{
	struct monitor *m = data;
	char text[512] = "";
	int fd = accept(m->listening, NULL, NULL);
	g_assert_cmpint(fd, >=, 0);
	ssize_t got = read(fd, text, sizeof text - 1);
	m->asked = got > 0 && strstr(text, "qmp_capabilities");
	for (int i = 0; m->says[i]; i++)
		g_assert_cmpint(write(fd, m->says[i], strlen(m->says[i])), >, 0);
	if (m->mute)
		g_assert_cmpint(read(fd, text, sizeof text), ==, 0); /* until it has given up */
	close(fd);
	return NULL;
}

static void
monitor_start(struct monitor *m, GPtrArray *paths)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	m->path = g_strdup_printf("%s/%u", folder, paths->len);
	g_strlcpy(address.sun_path, m->path, sizeof address.sun_path);
	m->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(m->listening, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(m->listening, 1), ==, 0);
	m->thread = g_thread_new("monitor", serve, m);
	g_ptr_array_add(paths, m->path);
}

static void
monitor_finish(struct monitor *m)
{
	g_thread_join(m->thread);
	g_assert_true(m->asked);
	close(m->listening);
	unlink(m->path);
	g_free(m->path);
}

static void
test_owed(void)
{
	struct monitor some[] = {
	    {.says = {GREETING OWED OURS}},	     /* all at once */
	    {.says = {GREETING, OWED, OURS}},	     /* in pieces */
	    {.says = {GREETING "{\"ret", &OURS[5]}}, /* cut in the answer's middle */
	    {.says = {GREETING}},		     /* it dies */
	    {.says = {NULL}},
	};
	g_autoptr(GPtrArray) paths = g_ptr_array_new();
	for (guint i = 0; i < G_N_ELEMENTS(some); i++)
		monitor_start(&some[i], paths);
	g_ptr_array_add(paths, (char *)"/nonexistent/monitor.sock");
	monitors_flush(paths, 60000);
	for (guint i = 0; i < G_N_ELEMENTS(some); i++)
		monitor_finish(&some[i]);
}

/* One that does not answer costs the limit, and no more. */
static void
test_mute(void)
{
	struct monitor mute = {.says = {GREETING OWED}, .mute = TRUE};
	g_autoptr(GPtrArray) paths = g_ptr_array_new();
	monitor_start(&mute, paths);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "*/0: QEMU's monitor has not answered for 50 ms");
	monitors_flush(paths, 50);
	g_test_assert_expected_messages();
	monitor_finish(&mute);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("monitor-XXXXXX", NULL);
	g_test_add_func("/monitor-flush/what-is-owed-is-read", test_owed);
	g_test_add_func("/monitor-flush/one-that-does-not-answer-costs-the-limit", test_mute);
	int status = g_test_run();
	rmdir(folder);
	g_free(folder);
	return status;
}
