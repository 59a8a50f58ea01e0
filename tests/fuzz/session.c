/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what a guest's SSH server may do once keys are exchanged: the answers to a login, to
 * channels and to commands, in any order, as many as it likes.
 *
 * Input: the server's steps, each a byte that says what to do, a byte for how much or which, and
 * the bytes of a text for those that have one. A libssh server of this process does them; a real
 * session logs in there and runs a command, one with limited output, and a stream. Each of them
 * has to end once, the output within its limit, with messages that can be shown, and nothing is
 * left behind.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/base/text.h"
#include "ssh/key_pair.h"
#include "ssh/session.h"
#include "tests/fuzz/lib/fuzz.h"

#define LIMIT	     10000 /* ms */
#define STEPS_MAX    200
#define CHANNELS_MAX 8
#define MOST	     100 /* bytes of output of the limited command */
#define MESSAGE_MAX  2000
#define FEED	     70000
#define TURNS_MAX    200 /* of both ends, in which nothing happens */

enum step {
	STEP_OUTPUT,
	STEP_STDERR,
	STEP_MUCH, /* n KiB of output */
	STEP_STATUS,
	STEP_SIGNAL,
	STEP_EOF,
	STEP_CLOSE,
	STEP_FREE,
	STEP_IGNORE,
	STEP_DEBUG,
	STEP_ASK_CHANNEL, /* of the client, which has none to give */
	STEP_ASK_EXEC,	  /* the same */
	STEP_DISCONNECT,
	STEP_CUT,
	STEP_TURN, /* let the client have its turn */
	N_STEPS,
};

static struct ev_loop *loop;
static ssh_bind server_keys;
static char *key, *host_keys[2];
static int listener, port;

struct server {
	const uint8_t *at, *end;
	ssh_session libssh;
	ssh_event event; /* NULL: keys are still exchanged */
	struct ssh_server_callbacks_struct callbacks;
	struct ssh_channel_callbacks_struct of_channels;
	ssh_channel channels[CHANNELS_MAX];
	guint n_channels;
	gboolean gone;
};

struct client {
	struct ssh_session *session;
	int readies, closes, ends, begun;
	gboolean logged_in;
	gsize taken;
};

static int
next_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	return fd;
}

/* --- the server --- */

/* The next byte of the input; 0 at its end. */
static uint8_t
next(struct server *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

/* A text of the input; the caller frees. */
static char *
next_text(struct server *s, size_t *length)
{
	size_t wanted = next(s), left = (size_t)(s->end - s->at);
	*length = MIN(wanted, left);
	char *text = g_malloc(*length + 1);
	memcpy(text, s->at, *length);
	text[*length] = '\0';
	s->at += *length;
	return text;
}

static int
on_login(ssh_session session, const char *user, struct ssh_key_struct *pubkey, char signature_state,
	 void *data)
{
	static const int answers[] = {SSH_AUTH_SUCCESS, SSH_AUTH_SUCCESS, SSH_AUTH_SUCCESS,
				      SSH_AUTH_DENIED,	SSH_AUTH_PARTIAL, SSH_AUTH_ERROR};
	return answers[next(data) % G_N_ELEMENTS(answers)];
}

static int
on_exec(ssh_session session, ssh_channel channel, const char *command, void *data)
{
	return next(data) % 4 == 3; /* 1: refused */
}

static ssh_channel
on_channel(ssh_session session, void *data)
{
	struct server *s = data;
	if (s->n_channels == CHANNELS_MAX || next(s) % 4 == 3)
		return NULL;
	ssh_channel channel = ssh_channel_new(session);
	ssh_set_channel_callbacks(channel, &s->of_channels);
	s->channels[s->n_channels++] = channel;
	return channel;
}

static void
server_begin(struct server *s, int fd, const uint8_t *data, size_t size)
{
	*s = (struct server){.at = data, .end = data + size, .libssh = ssh_new()};
	s->callbacks.userdata = s->of_channels.userdata = s;
	s->callbacks.auth_pubkey_function = on_login;
	s->callbacks.channel_open_request_session_function = on_channel;
	s->of_channels.channel_exec_request_function = on_exec;
	ssh_callbacks_init(&s->callbacks);
	ssh_callbacks_init(&s->of_channels);
	require(ssh_bind_accept_fd(server_keys, s->libssh, fd) == SSH_OK, "a server", NULL);
	ssh_set_server_callbacks(s->libssh, &s->callbacks);
	ssh_set_auth_methods(s->libssh, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_PASSWORD);
	ssh_set_blocking(s->libssh, 0);
}

static void
server_end(struct server *s)
{
	if (s->gone)
		return;
	s->gone = TRUE;
	if (s->event)
		ssh_event_free(s->event);
	ssh_free(s->libssh);
}

/* Handle what has arrived. */
static void
server_turn(struct server *s)
{
	if (s->event) {
		ssh_event_dopoll(s->event, 0);
	} else if (ssh_handle_key_exchange(s->libssh) == SSH_OK) {
		s->event = ssh_event_new();
		ssh_event_add_session(s->event, s->libssh);
	}
}

static void
do_on_channel(struct server *s, enum step step, ssh_channel *channel)
{
	g_autofree char *text = NULL, *much = NULL;
	size_t n = 0;
	switch (step) {
	case STEP_OUTPUT:
		text = next_text(s, &n);
		ssh_channel_write(*channel, text, (uint32_t)n);
		break;
	case STEP_STDERR:
		text = next_text(s, &n);
		ssh_channel_write_stderr(*channel, text, (uint32_t)n);
		break;
	case STEP_MUCH:
		n = (size_t)next(s) * 1024;
		much = g_strnfill(n, 'x');
		ssh_channel_write(*channel, much, (uint32_t)n);
		break;
	case STEP_STATUS:
		ssh_channel_request_send_exit_status(*channel, (int)(next(s) * 0x01010101U));
		break;
	case STEP_SIGNAL:
		text = next_text(s, &n);
		ssh_channel_request_send_exit_signal(*channel, text, 0, text, "");
		break;
	case STEP_EOF:
		ssh_channel_send_eof(*channel);
		break;
	case STEP_CLOSE:
		ssh_channel_close(*channel);
		break;
	case STEP_ASK_EXEC:
		text = next_text(s, &n);
		ssh_channel_request_exec(*channel, text);
		break;
	default: /* STEP_FREE */
		ssh_channel_free(*channel);
		*channel = s->channels[--s->n_channels];
		break;
	}
}

static void
do_on_session(struct server *s, enum step step)
{
	size_t n = 0;
	g_autofree char *text = step == STEP_CUT ? NULL : next_text(s, &n);
	ssh_channel channel;
	switch (step) {
	case STEP_IGNORE:
		ssh_send_ignore(s->libssh, text);
		break;
	case STEP_DEBUG:
		ssh_send_debug(s->libssh, text, 1);
		break;
	case STEP_ASK_CHANNEL:
		channel = ssh_channel_new(s->libssh);
		if (n % 2)
			ssh_channel_open_x11(channel, text, 1);
		else
			ssh_channel_open_reverse_forward(channel, text, 1, text, 2);
		break; /* libssh frees it with the session */
	case STEP_DISCONNECT:
		ssh_session_set_disconnect_message(s->libssh, text);
		ssh_disconnect(s->libssh);
		s->n_channels = 0; /* it has freed them */
		break;
	default: /* STEP_CUT */
		server_end(s);
		break;
	}
}

/* FALSE: the input has no step any more. */
static gboolean
server_step(struct server *s)
{
	if (s->at == s->end)
		return FALSE;
	enum step step = next(s) % N_STEPS;
	if (step == STEP_TURN)
		return TRUE;
	if (step >= STEP_IGNORE && step != STEP_ASK_EXEC)
		do_on_session(s, step);
	else if (s->n_channels)
		do_on_channel(s, step, &s->channels[next(s) % s->n_channels]);
	return TRUE;
}

/* --- the client --- */

static void
require_message(const GError *error)
{
	g_autofree char *clean = text_line(error->message, '?');
	require(error->domain == SESSION_ERROR, "an error is ours", NULL);
	require(error->code != SESSION_ERROR_IMPOSTOR && error->code != SESSION_ERROR_HOST &&
		    error->code != SESSION_ERROR_KEY,
		"what a guest does is no fault of its key or of the host", NULL);
	require(!strcmp(error->message, clean), "a message can be shown", NULL);
	require(strlen(error->message) <= MESSAGE_MAX, "a message has a limit", NULL);
}

static void
ended(struct client *c, int status, const char *output, gsize most, const GError *error)
{
	c->ends++;
	require(strlen(output) <= most, "output has a limit", NULL);
	require(status >= -1 && status <= 255, "a status is one", NULL);
	require(!error || status == -1, "who fails has no status", NULL);
	if (error)
		require_message(error);
}

static void
on_done(struct ssh_session *session, int status, const char *output, const GError *error,
	void *data)
{
	ended(data, status, output, SSH_OUTPUT_MAX, error);
}

static void
on_limited_done(struct ssh_session *session, int status, const char *output, const GError *error,
		void *data)
{
	ended(data, status, output, MOST, error);
}

static void
on_stream_done(struct ssh_session *session, int status, const char *output, const GError *error,
	       void *data)
{
	ended(data, status, output, SSH_SAID_MAX, error);
}

static void
on_take(struct ssh_session *session, const char *bytes, gsize n, void *data)
{
	struct client *c = data;
	c->taken += n;
	require(n > 0 && bytes[n] == '\0', "a stream has bytes", NULL);
}

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	static char input[FEED];
	struct client *c = data;
	c->readies++;
	c->logged_in = !error;
	if (error) {
		require_message(error);
		return;
	}
	c->begun = 3;
	ssh_session_run(session, "true", NULL, LIMIT, on_done, c);
	ssh_session_feed(session, "cat", input, sizeof input, MOST, LIMIT, on_limited_done, c);
	ssh_session_stream(session, "guix repl", "input", 5, on_take, on_stream_done, c);
}

static void
on_closed(struct ssh_session *session, const GError *error, void *data)
{
	struct client *c = data;
	c->closes++;
	require(c->ends == c->begun, "commands end before their session", NULL);
	require_message(error);
}

/* --- both --- */

static void
turn(struct server *s)
{
	ev_run(loop, EVRUN_NOWAIT);
	if (!s->gone)
		server_turn(s);
}

static gboolean
over(const struct client *c)
{
	return c->readies && (!c->logged_in || c->closes);
}

static void
converse(struct server *s, const struct client *c)
{
	for (int i = 0; i < TURNS_MAX && !c->readies; i++)
		turn(s);
	for (int i = 0; i < STEPS_MAX && !over(c) && !s->gone; i++) {
		for (int j = 0; j < 3; j++)
			turn(s);
		if (!server_step(s))
			break;
	}
	server_end(s);
	while (!over(c))
		ev_run(loop, EVRUN_ONCE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct linger now = {.l_onoff = 1};
	struct ssh_session_spec spec = {.address = "127.0.0.1",
					.port = port,
					.user = "root",
					.private_key = key,
					.host_keys = host_keys,
					.limits = {LIMIT, LIMIT, LIMIT, LIMIT}};
	struct client c = {0};
	struct server server;
	int before = next_descriptor();
	c.session = ssh_session_new(loop, &spec, on_ready, on_closed, &c);
	ev_run(loop, EVRUN_NOWAIT);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	require(fd >= 0, "the session connects", NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	server_begin(&server, fd, data, size);
	converse(&server, &c);
	require(ssh_session_ended(c.session) && c.readies == 1 && c.closes == c.logged_in &&
		    c.ends == c.begun,
		"a session and its commands end once", NULL);
	ssh_session_free(c.session);
	require(!ev_run(loop, EVRUN_NOWAIT), "no watcher is left", NULL);
	require(next_descriptor() == before, "no descriptor is left", NULL);
	return 0;
}

static void
forget_keys(void)
{
	ssh_bind_free(server_keys);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	listener = fuzz_listen(&port);
	loop = ev_loop_new(EVFLAG_AUTO);
	key = g_build_filename(fuzz_folder(), "key", NULL); /* both ends' */
	g_autofree char *public_key = g_strconcat(key, ".pub", NULL);
	require(key_pair_ensure(key, KEY_PAIR_ED25519, "fuzz", NULL), "a key", NULL);
	host_keys[0] = key_pair_public_line(public_key, NULL);
	server_keys = ssh_bind_new();
	require(ssh_bind_options_set(server_keys, SSH_BIND_OPTIONS_HOSTKEY, key) == SSH_OK,
		"a host key", NULL);
	atexit(forget_keys);
	return 0;
}
