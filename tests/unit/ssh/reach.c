/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What counts as an answer of a guest's network, and what does not. */
#include "ssh/reach.h"

#include "tests/unit/ssh/peer.h"

struct outcome {
	struct reach *reach;
	gboolean answered;
	int times;
	gboolean free_within;
};

static void
on_answer(struct reach *reach, void *data)
{
	struct outcome *outcome = data;

	g_assert_true(reach == outcome->reach);
	outcome->answered = TRUE;
	outcome->times++;
	if (outcome->free_within) {
		reach_free(reach);
		outcome->reach = NULL;
	}
}

static void
test_close(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct peer peer = {.greet = peer_hang_up};
	struct outcome outcome = {.free_within = TRUE};

	peer_open(&peer, loop);
	outcome.reach = reach_new(loop, "127.0.0.1", peer.port, on_answer, &outcome);
	g_assert_cmpint(outcome.times, ==, 0);
	loop_until(loop, &outcome.answered, 5.);
	g_assert_cmpint(outcome.times, ==, 1);
	peer_close(&peer);
	ev_loop_destroy(loop);
}

static void
test_reset(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct peer peer = {.greet = peer_reset};
	struct outcome outcome = {.reach = NULL};

	peer_open(&peer, loop);
	outcome.reach = reach_new(loop, "127.0.0.1", peer.port, on_answer, &outcome);
	loop_until(loop, &outcome.answered, 5.);
	g_assert_cmpint(outcome.times, ==, 1);
	reach_free(outcome.reach);
	peer_close(&peer);
	ev_loop_destroy(loop);
}

static void
test_talk(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct peer peer = {.greet = peer_greet_text, .text = "x"};
	struct outcome outcome = {.reach = NULL};

	peer_open(&peer, loop);
	outcome.reach = reach_new(loop, "127.0.0.1", peer.port, on_answer, &outcome);
	loop_until(loop, &outcome.answered, 5.);
	g_assert_cmpint(outcome.times, ==, 1);
	reach_free(outcome.reach);
	peer_close(&peer);
	ev_loop_destroy(loop);
}

static void
test_silence(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct peer peer = {.greet = NULL};
	struct outcome outcome = {.reach = NULL};
	guint before = descriptors();

	peer_open(&peer, loop);
	outcome.reach = reach_new(loop, "127.0.0.1", peer.port, on_answer, &outcome);
	loop_until(loop, &outcome.answered, 0.7);
	g_assert_cmpint(outcome.times, ==, 0);
	g_assert_cmpint(peer.accepted, >=, 2); /* and was tried again */
	reach_free(outcome.reach);
	peer_close(&peer);
	g_assert_cmpuint(descriptors(), ==, before);
	ev_loop_destroy(loop);
}

static void
test_refused(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct outcome outcome = {.reach = NULL};

	outcome.reach = reach_new(loop, "127.0.0.1", peer_free_port(), on_answer, &outcome);
	loop_until(loop, &outcome.answered, 0.5);
	g_assert_cmpint(outcome.times, ==, 0);
	reach_free(outcome.reach);
	ev_loop_destroy(loop);
}

static void
test_nowhere(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct outcome outcome = {.reach = NULL};

	outcome.reach = reach_new(loop, "no address", 1, on_answer, &outcome);
	loop_until(loop, &outcome.answered, 0.3);
	g_assert_cmpint(outcome.times, ==, 0);
	reach_free(outcome.reach);
	reach_free(NULL);
	ev_loop_destroy(loop);
}

static void
hang_up_later(struct peer *peer)
{
	if (peer->accepted > 1)
		peer_hang_up(peer);
}

static void
test_second(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct peer peer = {.greet = NULL};
	struct outcome outcome = {.reach = NULL};

	peer.greet = hang_up_later;
	peer_open(&peer, loop);
	outcome.reach = reach_new(loop, "127.0.0.1", peer.port, on_answer, &outcome);
	loop_until(loop, &outcome.answered, 5.);
	g_assert_cmpint(outcome.times, ==, 1);
	g_assert_cmpint(peer.accepted, ==, 2);
	reach_free(outcome.reach);
	peer_close(&peer);
	ev_loop_destroy(loop);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reach/a-connection-that-is-closed-by-the-guest-is-an-answer", test_close);
	g_test_add_func("/reach/a-connection-that-is-reset-by-the-guest-is-an-answer", test_reset);
	g_test_add_func("/reach/a-guest-that-talks-is-an-answer", test_talk);
	g_test_add_func("/reach/an-accepted-connection-alone-is-no-answer-and-is-tried-again",
			test_silence);
	g_test_add_func("/reach/a-refused-connection-is-no-answer", test_refused);
	g_test_add_func("/reach/a-later-attempt-can-bring-the-answer", test_second);
	g_test_add_func("/reach/an-address-that-is-none-is-never-reached", test_nowhere);
	return g_test_run();
}
