/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Servers that are odd on purpose: raw bytes, and libssh as one. */
#include "ssh/handshake.h"

#include <glib/gstdio.h>
#include <libssh/callbacks.h>
#include <libssh/server.h>

#include "ssh/key_pair.h"
#include "ssh/session.h"
#include "ssh/session_base.h"
#include "tests/unit/ssh/peer.h"

#define LIMIT 60.0 /* s */
#define BIDI  "\xe2\x80\xae"

struct trial {
	struct ev_loop *loop;
	char *folder, *key, *public_key, *host_keys[2];
	struct peer peer;
	struct ssh_session *session;
	gboolean ready, closed;
	int behind; /* the other end of the server's socket */
	char *banner;
	GError *error;
};

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct trial *trial = data;
	trial->ready = TRUE;
	trial->banner = g_strdup(ssh_session_banner(session));
	trial->error = error ? g_error_copy(error) : NULL;
}

static void
on_closed(struct ssh_session *session, const GError *error, void *data)
{
	struct trial *trial = data;
	trial->closed = TRUE;
	trial->error = g_error_copy(error);
}

static void
begin(struct trial *trial, const char *user)
{
	trial->loop = ev_loop_new(EVFLAG_AUTO);
	trial->folder = g_dir_make_tmp("childhurd-handshake-XXXXXX", NULL);
	trial->key = g_build_filename(trial->folder, "key", NULL);
	trial->public_key = g_strconcat(trial->key, ".pub", NULL);
	g_assert_true(key_pair_ensure(trial->key, KEY_PAIR_ED25519, "test", NULL));
	trial->host_keys[0] = key_pair_public_line(trial->public_key, NULL);
	peer_open(&trial->peer, trial->loop);
	struct ssh_session_spec spec = {.address = "127.0.0.1",
					.port = trial->peer.port,
					.user = user,
					.private_key = trial->key,
					.host_keys = trial->host_keys,
					.limits = SSH_LIMITS_DEFAULT};
	trial->session = ssh_session_new(trial->loop, &spec, on_ready, on_closed, trial);
}

static void
finish(struct trial *trial)
{
	ssh_session_free(trial->session);
	peer_close(&trial->peer);
	g_unlink(trial->key);
	g_unlink(trial->public_key);
	g_assert_cmpint(g_rmdir(trial->folder), ==, 0);
	g_free(trial->folder);
	g_free(trial->key);
	g_free(trial->public_key);
	g_free(trial->host_keys[0]);
	g_free(trial->banner);
	g_clear_error(&trial->error);
	ev_loop_destroy(trial->loop);
}

static void
test_banner(void)
{
	struct trial trial = {0};
	trial.peer.greet = peer_greet_text;
	trial.peer.text = "SSH-2.0-\033[2JOpen" BIDI "SSH\xff\a\r\n";
	begin(&trial, NULL);
	loop_until(trial.loop, &trial.ready, LIMIT);
	g_assert_no_error(trial.error);
	g_assert_cmpstr(trial.banner, ==, "SSH-2.0- [2JOpen SSH\xef\xbf\xbd ");
	finish(&trial);
}

/* libssh's own words have the other end's in them, of its messages and its lists of methods. */
static void
test_words(void)
{
	ssh_session libssh = ssh_new();
	struct ssh_session session = {
	    .libssh = libssh, .address = (char *)"::1", .port = 22, .peer = (char *)"it"};
	const char list[] = "none\nof \033[31mthese" BIDI;
	g_assert_cmpint(ssh_options_set(libssh, SSH_OPTIONS_KEY_EXCHANGE, list), <, 0);
	g_assert_nonnull(strstr(ssh_get_error(libssh), list));
	g_autoptr(GError) error = session_libssh_error(&session);
	g_assert_error(error, SESSION_ERROR, SESSION_ERROR_PROTOCOL);
	g_assert_nonnull(strstr(error->message, "none of  [31mthese "));
	g_assert_null(strpbrk(error->message, "\n\033"));
	ssh_free(libssh);
}

/* --- libssh as a server --- */

static int
on_login(ssh_session session, const char *user, struct ssh_key_struct *key, char state, void *data)
{
	return SSH_AUTH_SUCCESS;
}

/* Take the client's connection from the peer. The server is behind a pair of sockets, so that it
 * can be kept from reading. */
static ssh_session
server_new(struct trial *trial, ssh_bind keys, struct ssh_server_callbacks_struct *callbacks)
{
	int pair[2];
	const gboolean *accepted = (const gboolean *)&trial->peer.accepted;
	ssh_session server = ssh_new();
	loop_until(trial->loop, accepted, LIMIT);
	g_assert_cmpint(trial->peer.accepted, ==, 1);
	ev_io_stop(trial->loop, &trial->peer.client_io);
	g_assert_cmpint(ssh_bind_options_set(keys, SSH_BIND_OPTIONS_HOSTKEY, trial->key), ==, 0);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_assert_cmpint(ssh_bind_accept_fd(keys, server, pair[0]), ==, SSH_OK);
	trial->behind = pair[1];
	callbacks->auth_pubkey_function = on_login;
	ssh_callbacks_init(callbacks);
	ssh_set_server_callbacks(server, callbacks);
	ssh_set_auth_methods(server, SSH_AUTH_METHOD_PUBLICKEY);
	ssh_set_blocking(server, 0);
	return server;
}

/* Pass on what is there. */
static void
pass_on(struct trial *trial, int from, int to)
{
	char bytes[4096];
	ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
	for (ssize_t at = 0; at < n && !trial->closed;) {
		ssize_t sent = send(to, bytes + at, (size_t)(n - at), MSG_DONTWAIT | MSG_NOSIGNAL);
		at += MAX(sent, 0);
		ev_run(trial->loop, EVRUN_NOWAIT);
	}
}

/* Let both ends do what they can. */
static void
turn(struct trial *trial)
{
	pass_on(trial, trial->peer.client, trial->behind);
	pass_on(trial, trial->behind, trial->peer.client);
	ev_run(trial->loop, EVRUN_NOWAIT);
}

/* Until *flag. */
static void
converse(struct trial *trial, ssh_event event, const gboolean *flag)
{
	gint64 late = g_get_monotonic_time() + (gint64)LIMIT * G_USEC_PER_SEC;
	while (!*flag && g_get_monotonic_time() < late) {
		ssh_event_dopoll(event, 0);
		turn(trial);
	}
	g_assert_true(*flag);
}

/* Log in at a libssh server. Then act, and wait for the end of the session. */
static void
meet(struct trial *trial, struct ssh_server_callbacks_struct *callbacks,
     void (*act)(struct trial *trial, ssh_session server, ssh_event event))
{
	ssh_bind keys = ssh_bind_new();
	ssh_event event = ssh_event_new();
	gint64 late = g_get_monotonic_time() + (gint64)LIMIT * G_USEC_PER_SEC;
	begin(trial, "root");
	ssh_session server = server_new(trial, keys, callbacks);
	while (ssh_handle_key_exchange(server) == SSH_AGAIN && g_get_monotonic_time() < late)
		turn(trial);
	ssh_event_add_session(event, server);
	converse(trial, event, &trial->ready);
	g_assert_no_error(trial->error);
	act(trial, server, event);
	converse(trial, event, &trial->closed);
	ssh_event_free(event);
	ssh_free(server);
	close(trial->behind);
	ssh_bind_free(keys);
}

static void
ask(struct trial *trial, ssh_session server, ssh_event event)
{
	ssh_channel channel = ssh_channel_new(server); /* freed with the server */
	g_assert_cmpint(ssh_channel_open_x11(channel, "here", 1), ==, SSH_AGAIN);
}

/* libssh of the client would store what it is asked for, without a limit. */
static void
test_asked(void)
{
	struct trial trial = {0};
	struct ssh_server_callbacks_struct callbacks = {0};
	meet(&trial, &callbacks, ask);
	g_assert_error(trial.error, SESSION_ERROR, SESSION_ERROR_PROTOCOL);
	g_assert_nonnull(strstr(trial.error->message, "the guest asks for channels"));
	finish(&trial);
}

/* --- one that does not read --- */

#define UNREAD 200   /* pieces; more than the kernel stores */
#define PIECE  20000 /* bytes that are sent at a time */

/* The server gets nothing of what the client has for it, and sends on and on. */
static void
flood(struct trial *trial, ssh_session server, ssh_event event)
{
	const int small = 4096;
	g_autofree char *noise = g_strnfill(PIECE, 'y');
	setsockopt(trial->session->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	for (int i = 0; i < UNREAD; i++)
		ssh_send_ignore(trial->session->libssh, noise);
	for (gsize sent = 0; !trial->closed; sent += PIECE) {
		g_assert_cmpuint(sent, <, 2 * SSH_UNREAD_MAX);
		g_assert_cmpint(ssh_send_ignore(server, noise), ==, SSH_OK);
		for (int i = 0; i < 2 * PIECE / 4096; i++)
			pass_on(trial, trial->behind, trial->peer.client);
	}
}

static void
test_deaf(void)
{
	struct trial trial = {0};
	struct ssh_server_callbacks_struct callbacks = {0};
	meet(&trial, &callbacks, flood);
	g_assert_error(trial.error, SESSION_ERROR, SESSION_ERROR_PROTOCOL);
	g_assert_nonnull(strstr(trial.error->message, "the guest does not read"));
	finish(&trial);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ssh-handshake/a-banner-does-nothing-to-a-terminal", test_banner);
	g_test_add_func("/ssh-handshake/a-server-s-words-are-one-line", test_words);
	g_test_add_func("/ssh-handshake/a-server-that-asks-is-given-up", test_asked);
	g_test_add_func("/ssh-handshake/a-server-that-sends-and-does-not-read-is-given-up",
			test_deaf);
	return g_test_run();
}
