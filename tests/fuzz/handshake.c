/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what a guest may send where its SSH server should be: anything up to the end of a key
 * exchange, of which bytes that were made before cannot fake the signature.
 *
 * Input: a byte that says in how large pieces the rest arrives, a byte that says whether a login
 * is wanted, and the guest's bytes. A real session connects to a socket that says them and closes.
 * The session has to end once, by itself, with a message that can be shown; nobody is ever taken
 * for the guest or for an impostor, and nothing is left behind.
 */
#include <arpa/inet.h>
#include <fcntl.h>
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
#include "ssh/wire.h"
#include "tests/fuzz/lib/fuzz.h"

#define PIECES_MAX  16
#define LIMIT	    5000 /* ms; the end of the guest's bytes comes long before */
#define MESSAGE_MAX 2000 /* bytes: libssh's own words are less than 1024 */
#define LOGIN	    1

static struct ev_loop *loop;
static char *key, *host_keys[2];
static int listener, port;

struct outcome {
	int times;
	gboolean good, timed_out;
	char *banner;
};

static void
require_line(const char *text, const char *what)
{
	g_autofree char *clean = text_line(text, '?');
	require(!strcmp(text, clean), what, NULL);
}

/* The next descriptor to be opened: the same as long as none is left open. */
static int
next_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	return fd;
}

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct outcome *outcome = data;
	outcome->times++;
	outcome->good = !error;
	outcome->banner = g_strdup(ssh_session_banner(session));
	require(ssh_session_ended(session), "a session that is not logged in is over", NULL);
	if (!error)
		return;
	require(error->domain == SESSION_ERROR && step <= SSH_STEP_LOGIN, "an error is ours", NULL);
	require(error->code != SESSION_ERROR_IMPOSTOR && error->code != SESSION_ERROR_DENIED,
		"what cannot sign is no impostor", NULL);
	require(error->code != SESSION_ERROR_HOST && error->code != SESSION_ERROR_KEY,
		"bytes of a guest are no fault of the host", NULL);
	outcome->timed_out = error->code == SESSION_ERROR_TIMEOUT;
	require_line(error->message, "a message can be shown");
	require(strlen(error->message) <= MESSAGE_MAX, "a message has a limit", NULL);
}

/* Let the session handle what has arrived. */
static void
turn(void)
{
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static void
say(int client, uint8_t pieces, const uint8_t *bytes, size_t size)
{
	size_t piece = MAX((size_t)pieces + 1, size / PIECES_MAX + 1);
	for (size_t at = 0; at < size; at += piece) {
		/* The session may have ended, and reset the connection. */
		if (send(client, bytes + at, MIN(piece, size - at), MSG_NOSIGNAL) < 0)
			return;
		turn();
	}
	shutdown(client, SHUT_WR);
}

static void
fuzz_session(uint8_t pieces, gboolean login, const uint8_t *bytes, size_t size)
{
	const struct linger now = {.l_onoff = 1};
	struct ssh_session_spec spec = {.address = "127.0.0.1",
					.port = port,
					.user = login ? "root" : NULL,
					.private_key = key,
					.host_keys = host_keys,
					.limits = {LIMIT, LIMIT, LIMIT, LIMIT}};
	struct outcome outcome = {0};
	int before = next_descriptor();
	struct ssh_session *session = ssh_session_new(loop, &spec, on_ready, NULL, &outcome);
	turn(); /* it connects */
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	require(client >= 0, "the session connects", NULL);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	say(client, pieces, bytes, size);
	while (!outcome.times)
		ev_run(loop, EVRUN_ONCE);
	require(!outcome.timed_out, "a closed connection is seen at once", NULL);
	require(!outcome.good || !login, "nobody logs in without a key exchange", NULL);
	if (outcome.good)
		require(g_str_has_prefix(outcome.banner, "SSH-2.0-") ||
			    g_str_has_prefix(outcome.banner, "SSH-1.99-"),
			"who greets is an SSH server", NULL);
	if (outcome.banner)
		require_line(outcome.banner, "a banner can be shown");
	ssh_session_free(session);
	require(outcome.times == 1, "a session ends once", NULL);
	require(!ev_run(loop, EVRUN_NOWAIT), "no watcher is left", NULL);
	close(client);
	require(next_descriptor() == before, "no descriptor is left", NULL);
	g_free(outcome.banner);
}

static void
check_excerpt(const uint8_t *bytes, size_t size)
{
	g_autofree char *text = wire_excerpt(bytes, size);
	require(*text == '"' && strlen(text) <= 4 * WIRE_EXCERPT_MAX + strlen("\"...\""),
		"an excerpt has a limit", NULL);
	for (const char *p = text; *p; p++)
		require(*p >= ' ' && *p <= '~', "an excerpt is ASCII", NULL);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	listener = fuzz_listen(&port);
	loop = ev_loop_new(EVFLAG_AUTO);
	key = g_build_filename(fuzz_folder(), "key", NULL);
	g_autofree char *public_key = g_strconcat(key, ".pub", NULL);
	require(key_pair_ensure(key, KEY_PAIR_ED25519, "fuzz", NULL), "a key", NULL);
	host_keys[0] = key_pair_public_line(public_key, NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	fuzz_session(data[0], data[1] & LOGIN, data + 2, size - 2);
	check_excerpt(data + 2, size - 2);
	return 0;
}
