/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * send_secrets PORT FOLDER: the files below FOLDER, sent once to whoever receives secrets on
 * 127.0.0.1, with the daemon's own code. A receiver that is not there yet is tried again for 30 s.
 * Says "delivered" and ends with 0, or says what was wrong and ends with 1.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"
#include "ssh/secrets/tree.h"

#define PATIENCE (30 * G_USEC_PER_SEC)

struct attempt {
	struct ev_loop *loop;
	GError *error;
};

static gboolean
on_hello(struct secret_delivery *delivery, int fd, void *data)
{
	(void)delivery;
	(void)fd;
	(void)data;
	return TRUE;
}

static void
on_done(struct secret_delivery *delivery, const GError *error, void *data)
{
	struct attempt *attempt = data;

	(void)delivery;
	attempt->error = error ? g_error_copy(error) : NULL;
	ev_break(attempt->loop, EVBREAK_ALL);
}

/* One delivery; NULL or what was wrong. */
static GError *
deliver(struct ev_loop *loop, int port, GBytes *message)
{
	struct attempt attempt = {.loop = loop};
	struct secret_delivery *delivery =
	    secret_delivery_new(loop, "127.0.0.1", port, message, &SECRET_SERVICE_LIMITS_DEFAULT,
				on_hello, on_done, &attempt);

	ev_run(loop, 0);
	secret_delivery_free(delivery);
	return attempt.error;
}

int
main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: send_secrets PORT FOLDER\n", stderr);
		return 2;
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) files = secret_tree_read(argv[2], SECRET_TREE_OPEN, NULL, &error);
	g_autoptr(GBytes) message = files ? secret_service_message(files, &error) : NULL;
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	gint64 until = g_get_monotonic_time() + PATIENCE;

	while (message) {
		g_clear_error(&error);
		error = deliver(loop, atoi(argv[1]), message);
		if (!g_error_matches(error, SECRET_SERVICE_ERROR, SECRET_SERVICE_ERROR_ABSENT) ||
		    g_get_monotonic_time() > until)
			break;
		g_usleep(50000);
	}
	ev_loop_destroy(loop);
	puts(error ? error->message : "delivered");
	return error ? 1 : 0;
}
