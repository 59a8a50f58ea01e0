/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Console: a connection that becomes a guest's serial line. The test is the guest's QEMU. */
#include <fcntl.h>

#include "tests/unit/control_bed.h"

#define CONSOLE                                                                                    \
	"{\"method\":\"org.childhurd.Console\",\"parameters\":{\"name\":\"beta1\"},\"upgrade\":"   \
	"true}"

static int qemu = -1; /* its end of the serial line */

static int
give_console(void *data, const char *name, GError **error)
{
	int ends[2];
	if (strcmp(name, "beta1") != 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it is stopped");
		return -1;
	}
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			==, 0);
	qemu = ends[1];
	return ends[0];
}

/* The peer is at beta1's console. */
static int
attend(struct bed *bed, struct peer *peer, const char *parameters)
{
	bed->hird.console = bed->control->hird.console = give_console;
	peer_call(peer, "Console", parameters, ",\"upgrade\":true");
	assert_next(peer, "{\"name\":\"beta1\"}");
	return qemu;
}

/* Read n bytes of fd while the loop goes round. Caller frees. */
static char *
read_bytes(struct bed *bed, int fd, gsize n)
{
	char *bytes = g_malloc0(n + 1);
	for (gsize at = 0; at < n;) {
		gssize got = recv(fd, bytes + at, n - at, MSG_DONTWAIT);
		g_assert_true(got > 0 || (got < 0 && errno == EAGAIN));
		at += (gsize)MAX(got, 0);
		if (got < 0)
			bed_round(bed);
	}
	return bytes;
}

#define assert_bytes(bed, fd, expected)                                                            \
	do {                                                                                       \
		g_autofree char *assert_read = read_bytes(bed, fd, strlen(expected));              \
		g_assert_cmpstr(assert_read, ==, expected);                                        \
	} while (0)

static void
say(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

/* The stream's end: a NUL, and why. */
static void
assert_over(struct bed *bed, struct peer *peer, const char *expected)
{
	g_autofree char *nul = read_bytes(bed, peer->fd, 1);
	g_assert_cmpint(*nul, ==, 0);
	assert_next(peer, expected);
	assert_end(peer);
}

BED_TEST(test_both_ways)
{
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	say(peer->fd, "uname\r{\"method\":");
	assert_bytes(bed, fd, "uname\r{\"method\":");
	say(fd, "GNU\r\n\033[1m\377");
	assert_bytes(bed, peer->fd, "GNU\r\n\033[1m\377");
	g_assert_cmpint(send(fd, "a\0b\0\0c", 6, MSG_NOSIGNAL), ==, 6);
	assert_bytes(bed, peer->fd, "abc");
	close(fd);
	assert_over(bed, peer,
		    "ConsoleEnded {\"name\":\"beta1\",\"why\":\"its QEMU has ended\",\"by\":null}");
}

BED_TEST(test_typed_ahead)
{
	static const char call[] = CONSOLE "\0ls\r";
	bed->control->hird.console = give_console;
	g_assert_true(peer_send(peer, call, sizeof call - 1));
	assert_next(peer, "{\"name\":\"beta1\"}");
	assert_bytes(bed, qemu, "ls\r");
	close(qemu);
}

BED_TEST(test_refusals)
{
	peer_call(peer, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	assert_next(
	    peer,
	    "org.varlink.service.MethodNotImplemented {\"method\":\"org.childhurd.Console\"}");
	bed->control->hird.console = give_console;
	peer_call(peer, "Console", "\"name\":\"beta1\"", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter *\"upgrade\"*");
	peer_call(peer, "List", "\"names\":[]", ",\"upgrade\":true");
	assert_next_like(peer, "org.varlink.service.InvalidParameter *\"upgrade\"*");
	peer_call(peer, "Console", "\"name\":\"alpha\"", ",\"upgrade\":true");
	assert_next(peer, "NotPossible {\"name\":\"alpha\",\"why\":\"it is stopped\"}");
	peer_call(peer, "Console", "\"name\":\"beta*\"", ",\"upgrade\":true");
	assert_next_like(peer, "org.varlink.service.InvalidParameter *several*");
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
	client->may_change = FALSE;
	peer_call(peer, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	assert_next_like(peer, "PermissionDenied *");
}

BED_TEST(test_one_at_a_time)
{
	struct peer second;
	int first = attend(bed, peer, "\"name\":\"beta1\"");
	peer_begin(&second, bed);
	peer_call(&second, "Console", "\"name\":\"beta1\"", ",\"upgrade\":true");
	g_autofree char *refusal = g_strdup_printf("NotPossible {\"name\":\"beta1\",\"why\":\"* "
						   "(process %d) has been at its console since "
						   "*; --force takes it over\"}",
						   (int)getpid());
	assert_next_like(&second, refusal);
	say(first, "still here");
	assert_bytes(bed, peer->fd, "still here");
	int other = attend(bed, &second, "\"name\":\"beta1\",\"force\":true");
	g_autofree char *nul = read_bytes(bed, peer->fd, 1);
	g_assert_cmpint(*nul, ==, 0);
	assert_next_like(peer, "ConsoleEnded {\"name\":\"beta1\",\"why\":\"* has taken it "
			       "over\",\"by\":\"*\"}");
	assert_end(peer);
	char byte;
	g_assert_cmpint(recv(first, &byte, 1, 0), ==, 0);
	say(second.fd, "mine");
	assert_bytes(bed, other, "mine");
	close(first);
	close(other);
	peer_end(&second);
}

/* QEMU never waits for a client, and the client learns what it missed. */
BED_TEST(test_slow_reader)
{
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	const gsize total = 4 * CONTROL_SHOWN_MAX;
	g_autofree char *flood = g_strnfill(1000, 'x');
	gsize sent = 0, left_out = 0, shown = 0;
	while (sent < total) {
		gssize n = send(fd, flood, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += (gsize)MAX(n, 0);
		if (n < 0)
			bed_round(bed);
	}
	bed_settle(bed);
	struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	g_assert_cmpuint(client_backlog(client), <, 2 * CONTROL_SHOWN_MAX);
	for (;;) {
		g_autofree char *byte = read_bytes(bed, peer->fd, 1);
		if (*byte == '\r')
			break;
		shown++;
	}
	assert_bytes(bed, peer->fd, "\n[childhurdd: ");
	for (;;) {
		g_autofree char *byte = read_bytes(bed, peer->fd, 1);
		if (!g_ascii_isdigit(*byte))
			break;
		left_out = 10 * left_out + (gsize)g_ascii_digit_value(*byte);
	}
	g_assert_cmpuint(shown + left_out, ==, sent);
	assert_bytes(bed, peer->fd, "bytes left out here; the log has them]\r\n");
	say(fd, "go on");
	assert_bytes(bed, peer->fd, "go on");
	close(fd);
}

/* The guest does not read: what is typed waits, at last in the client, and nothing is lost. */
BED_TEST(test_slow_guest)
{
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	g_autofree char *keys = g_strnfill(1000, 'k');
	gsize sent = 0;
	for (int idle = 0; idle < 50;) {
		gssize n = send(peer->fd, keys, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += (gsize)MAX(n, 0);
		idle = n < 0 ? idle + 1 : 0;
		ev_run(bed->loop, EVRUN_NOWAIT);
	}
	const struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	g_assert_true(client->request->full);
	say(fd, "prompt");
	assert_bytes(bed, peer->fd, "prompt");
	g_autofree char *got = read_bytes(bed, fd, sent);
	g_assert_cmpuint(strspn(got, "k"), ==, sent);
	say(peer->fd, "more");
	assert_bytes(bed, fd, "more");
	close(fd);
}

/* While nothing is read of it, too. */
BED_TEST(test_client_goes)
{
	struct peer second;
	bed->control->recheck = 0.02;
	peer_begin(&second, bed);
	int fd = attend(bed, &second, "\"name\":\"beta1\"");
	g_autofree char *keys = g_strnfill(1000, 'k');
	for (int idle = 0; idle < 50; ev_run(bed->loop, EVRUN_NOWAIT))
		idle = send(second.fd, keys, 1000, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? idle + 1 : 0;
	peer_end(&second);
	while (bed->control->clients->len > 1)
		bed_round(bed);
	close(fd);
	fd = attend(bed, peer, "\"name\":\"beta1\"");
	close(fd);
}

/* Nobody has to wait until that is noticed. */
BED_TEST(test_client_went)
{
	struct peer second;
	peer_begin(&second, bed);
	int first = attend(bed, &second, "\"name\":\"beta1\"");
	shutdown(second.fd, SHUT_WR);
	bed_settle(bed);
	peer_end(&second);
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	say(fd, "mine");
	assert_bytes(bed, peer->fd, "mine");
	close(first);
	close(fd);
}

/* What was typed reaches the guest, and what it answers the client, who only sends no more. */
BED_TEST(test_half_closed)
{
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	say(peer->fd, "date\n");
	shutdown(peer->fd, SHUT_WR);
	assert_bytes(bed, fd, "date\n");
	bed_settle(bed);
	say(fd, "today");
	assert_bytes(bed, peer->fd, "today");
	close(fd);
	assert_over(bed, peer,
		    "ConsoleEnded {\"name\":\"beta1\",\"why\":\"its QEMU has "
		    "ended\",\"by\":null}");
}

BED_TEST(test_events_do_not_disturb)
{
	int fd = attend(bed, peer, "\"name\":\"beta1\"");
	bed_event(bed, 1, "draining", "drained by root");
	assert_silence(peer);
	say(fd, "still");
	assert_bytes(bed, peer->fd, "still");
	close(fd);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control-console/bytes-go-both-ways-as-they-are", test_both_ways);
	g_test_add_func("/control-console/what-stands-behind-the-call-is-typed", test_typed_ahead);
	g_test_add_func("/control-console/refusals-leave-the-connection-as-it-is", test_refusals);
	g_test_add_func("/control-console/who-may-only-look-may-not-type", test_not_for_all);
	g_test_add_func("/control-console/one-at-a-time-unless-by-force", test_one_at_a_time);
	g_test_add_func("/control-console/a-slow-reader-misses-some-and-is-told", test_slow_reader);
	g_test_add_func("/control-console/a-slow-guest-makes-the-client-wait", test_slow_guest);
	g_test_add_func("/control-console/a-client-that-is-gone-is-noticed", test_client_goes);
	g_test_add_func("/control-console/who-is-gone-keeps-nobody-out", test_client_went);
	g_test_add_func("/control-console/a-client-that-only-listens-is-served", test_half_closed);
	g_test_add_func("/control-console/events-do-not-disturb-it", test_events_do_not_disturb);
	return g_test_run();
}
