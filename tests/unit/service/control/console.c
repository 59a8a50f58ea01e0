/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Console: a connection that becomes a guest's serial line. The test is the guest's QEMU. */
#include <fcntl.h>

#include "tests/unit/service/control/bed.h"

#define CONSOLE                                                                                    \
	"{\"method\":\"org.childhurd.Console\",\"parameters\":{\"name\":\"beta1\"},\"upgrade\":"   \
	"true}"

static int qemu = -1;  /* QEMU's end of the last connection */
static gboolean taken; /* QEMU accepts no other connection */

static int
give_console(void *data, const char *name, GError **error)
{
	int ends[2];
	if (strcmp(name, "beta1") != 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it is stopped");
		return -1;
	}
	if (taken) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "somebody else is there");
		return -1;
	}
	if (qemu >= 0)
		close(qemu);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			==, 0);
	qemu = ends[1];
	return ends[0];
}

/* Connect the peer to beta1's console. */
static void
attend(struct bed *bed, struct peer *peer, const char *parameters)
{
	bed->control->hird.console = give_console;
	peer_call(peer, "Console", parameters, ",\"upgrade\":true");
	assert_next(peer, "{\"name\":\"beta1\"}");
}

/* Read n bytes from *fd, which may change while the loop runs. Caller frees. */
static char *
read_bytes(struct bed *bed, const int *fd, gsize n)
{
	char *bytes = g_malloc0(n + 1);
	for (gsize at = 0; at < n;) {
		gssize got = recv(*fd, bytes + at, n - at, MSG_DONTWAIT);
		at += (gsize)MAX(got, 0);
		if (got <= 0)
			bed_round(bed);
	}
	return bytes;
}

#define assert_bytes(bed, fd, expected)                                                            \
	do {                                                                                       \
		g_autofree char *assert_read = read_bytes(bed, fd, strlen(expected));              \
		g_assert_cmpstr(assert_read, ==, expected);                                        \
	} while (0)

/* The guest writes text, which QEMU appends to the log. */
static void
print(struct bed *bed, const char *text, gsize n)
{
	int fd = open(bed->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	g_assert_cmpint(write(fd, text, n), ==, (gssize)n);
	close(fd);
}

static void
type(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

/* Type until no more is taken. Returns the number of bytes. */
static gsize
type_all(struct bed *bed, int fd)
{
	g_autofree char *keys = g_strnfill(1000, 'k');
	gsize sent = 0;
	for (int idle = 0; idle < 50; ev_run(bed->loop, EVRUN_NOWAIT)) {
		gssize n = send(fd, keys, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += (gsize)MAX(n, 0);
		idle = n < 0 ? idle + 1 : 0;
	}
	return sent;
}

/* QEMU ends, and so does the stream, with a NUL and the reason. */
static void
assert_over(struct bed *bed, struct peer *peer)
{
	bed->pid = 0;
	bed_event(bed, 1, "stopped", "stopped by root");
	g_autofree char *nul = read_bytes(bed, &peer->fd, 1);
	g_assert_cmpint(*nul, ==, 0);
	assert_next(peer, "ConsoleEnded {\"name\":\"beta1\",\"why\":\"its QEMU has "
			  "ended\",\"by\":null}");
	assert_end(peer);
}

BED_TEST(test_both_ways)
{
	print(bed, "before\n", 7);
	attend(bed, peer, "\"name\":\"beta1\"");
	type(peer->fd, "uname\r{\"method\":");
	assert_bytes(bed, &qemu, "uname\r{\"method\":");
	print(bed, "GNU\r\n\033[1m\377", 10);
	assert_bytes(bed, &peer->fd, "GNU\r\n\033[1m\377");
	print(bed, "a\0b\0\0c", 6);
	assert_bytes(bed, &peer->fd, "abc");
	print(bed, "last words", 10);
	assert_bytes(bed, &peer->fd, "last words");
	assert_over(bed, peer);
}

/* QEMU is connected only while typed bytes are sent, and what it sends there is in the log, too. */
BED_TEST(test_short_connections)
{
	char byte;
	attend(bed, peer, "\"name\":\"beta1\"");
	type(peer->fd, "ls\r");
	while (recv(qemu, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		bed_round(bed);
	send(qemu, "ls\r\nfile\r\n", 10, MSG_NOSIGNAL); /* it may be closed already */
	assert_silence(peer);
	assert_bytes(bed, &qemu, "ls\r");
	while (recv(qemu, &byte, 1, MSG_DONTWAIT) != 0)
		bed_round(bed);
	type(peer->fd, "again");
	assert_bytes(bed, &qemu, "again");
	assert_over(bed, peer);
}

BED_TEST(test_typed_ahead)
{
	static const char call[] = CONSOLE "\0ls\r";
	bed->control->hird.console = give_console;
	g_assert_true(peer_send(peer, call, sizeof call - 1));
	assert_next(peer, "{\"name\":\"beta1\"}");
	assert_bytes(bed, &qemu, "ls\r");
}

BED_TEST(test_refusals)
{
	peer_call(peer, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	assert_next(
	    peer,
	    "org.varlink.service.MethodNotImplemented {\"method\":\"org.childhurd.Console\"}");
	bed->control->hird.console = give_console;
	peer_call(peer, "Console", "\"name\":\"beta1\"", "");
	assert_next_like(peer, "InvalidValue *\"upgrade\"*");
	peer_call(peer, "List", "\"names\":[]", ",\"upgrade\":true");
	assert_next_like(peer, "InvalidValue *\"upgrade\"*");
	peer_call(peer, "Console", "\"name\":\"alpha\"", ",\"upgrade\":true");
	assert_next(peer, "NotPossible {\"name\":\"alpha\",\"why\":\"it is stopped\"}");
	peer_call(peer, "Console", "\"name\":\"beta*\"", ",\"upgrade\":true");
	assert_next_like(peer, "InvalidValue *several*");
	peer_call(peer, "Console", "\"name\":\"nobody\"", ",\"upgrade\":true");
	assert_next(peer, "NoSuchGuest {\"name\":\"nobody\"}");
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_not_for_all)
{
	bed->control->hird.console = give_console;
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
	struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	client->trusted = FALSE;
	peer_call(peer, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	assert_next_like(peer, "PermissionDenied *");
}

BED_TEST(test_one_at_a_time)
{
	struct peer second;
	attend(bed, peer, "\"name\":\"beta1\"");
	peer_begin(&second, bed);
	peer_call(&second, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	g_autofree char *refusal = g_strdup_printf("NotPossible {\"name\":\"beta1\",\"why\":\"* "
						   "(process %d) has been at its console since "
						   "*; --force takes it over\"}",
						   (int)getpid());
	assert_next_like(&second, refusal);
	print(bed, "still here", 10);
	assert_bytes(bed, &peer->fd, "still here");
	attend(bed, &second, "\"name\":\"beta1\",\"force\":true");
	g_autofree char *nul = read_bytes(bed, &peer->fd, 1);
	g_assert_cmpint(*nul, ==, 0);
	assert_next_like(peer, "ConsoleEnded {\"name\":\"beta1\",\"why\":\"* has taken it "
			       "over\",\"by\":\"*\"}");
	assert_end(peer);
	type(second.fd, "mine");
	assert_bytes(bed, &qemu, "mine");
	peer_end(&second);
}

/* Read what was typed, until QEMU's connection is closed. */
static void
let_go(struct bed *bed)
{
	char bytes[1024];
	for (gssize n = -1; n != 0; n = recv(qemu, bytes, sizeof bytes, MSG_DONTWAIT))
		if (n < 0)
			bed_round(bed);
}

/* QEMU takes one connection, so the next session takes that one over, or waits. */
BED_TEST(test_force_is_enough)
{
	struct peer second, third;
	print(bed, "before\n", 7);
	attend(bed, peer, "\"name\":\"beta1\"");
	type_all(bed, peer->fd); /* so the connection stays */
	taken = TRUE;
	peer_begin(&second, bed);
	attend(bed, &second, "\"name\":\"beta1\",\"force\":true");
	let_go(bed);
	peer_begin(&third, bed);
	attend(bed, &third, "\"name\":\"beta1\",\"force\":true");
	print(bed, "prompt", 6);
	assert_bytes(bed, &third.fd, "prompt");
	type(third.fd, "now");
	bed_settle(bed);
	taken = FALSE;
	assert_bytes(bed, &qemu, "now");
	peer_end(&second);
	peer_end(&third);
}

/* A slow client only has a position in the log, so it misses nothing. */
BED_TEST(test_slow_reader)
{
	const gsize total = 2 * CONTROL_BACKLOG_MAX;
	g_autofree char *flood = g_strnfill(total, 'x');
	attend(bed, peer, "\"name\":\"beta1\"");
	print(bed, flood, total);
	bed_settle(bed);
	const struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	g_assert_cmpuint(client_backlog(client), <, 2 * CONTROL_LOW_WATER);
	g_autofree char *got = read_bytes(bed, &peer->fd, total);
	g_assert_cmpstr(got, ==, flood);
	g_assert_cmpint(truncate(bed->log, 0), ==, 0); /* rotated */
	print(bed, "go on", 5);
	assert_bytes(bed, &peer->fd, "go on");
}

/* While the guest does not read, typed bytes wait, at last in the client, and none is lost. */
BED_TEST(test_slow_guest)
{
	attend(bed, peer, "\"name\":\"beta1\"");
	gsize sent = type_all(bed, peer->fd);
	const struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	g_assert_true(client->request->full);
	print(bed, "prompt", 6);
	assert_bytes(bed, &peer->fd, "prompt");
	g_autofree char *got = read_bytes(bed, &qemu, sent);
	g_assert_cmpuint(strspn(got, "k"), ==, sent);
	type(peer->fd, "more");
	assert_bytes(bed, &qemu, "more");
}

static void
note_time(struct ev_loop *loop, ev_timer *watcher, int events)
{
	*(gboolean *)watcher->data = TRUE;
}

/* While QEMU is stopped, it is only checked now and then. */
BED_TEST(test_stopped_qemu)
{
	gboolean over = FALSE;
	guint rounds = 0;
	ev_timer second;
	attend(bed, peer, "\"name\":\"beta1\"");
	gsize sent = type_all(bed, peer->fd);
	ev_timer_init(&second, note_time, 2., 0.);
	second.data = &over;
	ev_timer_start(bed->loop, &second);
	while (!over) {
		bed_round(bed);
		rounds++;
	}
	g_assert_cmpuint(rounds, <, 40);
	g_autofree char *got = read_bytes(bed, &qemu, sent);
	g_assert_cmpuint(strspn(got, "k"), ==, sent);
}

/* A log full of NULs, which are not sent, is read only up to a limit. */
BED_TEST(test_last_words_of_nothing)
{
	attend(bed, peer, "\"name\":\"beta1\"");
	print(bed, "end", 3);
	g_assert_cmpint(truncate(bed->log, (off_t)1 << 36), ==, 0);
	assert_bytes(bed, &peer->fd, "end");
	assert_over(bed, peer);
}

/* Also while nothing is read from the client. */
BED_TEST(test_client_goes)
{
	struct peer second;
	bed->control->recheck = 0.02;
	peer_begin(&second, bed);
	attend(bed, &second, "\"name\":\"beta1\"");
	type_all(bed, second.fd);
	peer_end(&second);
	while (bed->control->clients->len > 1)
		bed_round(bed);
	attend(bed, peer, "\"name\":\"beta1\"");
}

/* The next session need not wait until the dead client is noticed. */
BED_TEST(test_client_went)
{
	struct peer second;
	peer_begin(&second, bed);
	attend(bed, &second, "\"name\":\"beta1\"");
	shutdown(second.fd, SHUT_WR);
	bed_settle(bed);
	peer_end(&second);
	attend(bed, peer, "\"name\":\"beta1\"");
	print(bed, "mine", 4);
	assert_bytes(bed, &peer->fd, "mine");
}

/* A client that only stops sending still gets the guest's output, and its typed bytes arrive. */
BED_TEST(test_half_closed)
{
	attend(bed, peer, "\"name\":\"beta1\"");
	type(peer->fd, "date\n");
	shutdown(peer->fd, SHUT_WR);
	assert_bytes(bed, &qemu, "date\n");
	bed_settle(bed);
	print(bed, "today", 5);
	assert_bytes(bed, &peer->fd, "today");
	assert_over(bed, peer);
}

BED_TEST(test_events_do_not_disturb)
{
	attend(bed, peer, "\"name\":\"beta1\"");
	bed_event(bed, 1, "draining", "drained by root");
	assert_silence(peer);
	print(bed, "still", 5);
	assert_bytes(bed, &peer->fd, "still");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control-console/bytes-go-both-ways-as-they-are", test_both_ways);
	g_test_add_func("/control-console/qemu-is-connected-to-for-typing-only",
			test_short_connections);
	g_test_add_func("/control-console/what-stands-behind-the-call-is-typed", test_typed_ahead);
	g_test_add_func("/control-console/refusals-leave-the-connection-as-it-is", test_refusals);
	g_test_add_func("/control-console/who-may-only-look-may-not-type", test_not_for_all);
	g_test_add_func("/control-console/one-at-a-time-unless-by-force", test_one_at_a_time);
	g_test_add_func("/control-console/force-is-enough-when-qemu-takes-no-other-connection",
			test_force_is_enough);
	g_test_add_func("/control-console/a-stopped-qemu-costs-little", test_stopped_qemu);
	g_test_add_func("/control-console/last-words-among-endless-nothing-end",
			test_last_words_of_nothing);
	g_test_add_func("/control-console/a-slow-reader-misses-nothing", test_slow_reader);
	g_test_add_func("/control-console/a-slow-guest-makes-the-client-wait", test_slow_guest);
	g_test_add_func("/control-console/a-client-that-is-gone-is-noticed", test_client_goes);
	g_test_add_func("/control-console/who-is-gone-keeps-nobody-out", test_client_went);
	g_test_add_func("/control-console/a-client-that-only-listens-is-served", test_half_closed);
	g_test_add_func("/control-console/events-do-not-disturb-it", test_events_do_not_disturb);
	return g_test_run();
}
