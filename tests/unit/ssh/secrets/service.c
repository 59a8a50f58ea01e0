/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deliveries to guests that behave, and to those that do not. */
#include "ssh/secrets/service.h"

#include "tests/unit/ssh/peer.h"

#define TEXT "(secrets (version 0) (files ((\"/k\" 3 33152))))abc"

struct trial {
	struct ev_loop *loop;
	struct peer peer;
	struct secret_service_limits limits;
	struct secret_delivery *delivery;
	gboolean over;
	int hellos, dones;
	gboolean free_in_hello, free_in_done, stranger;
	GError *error;
};

static gboolean
on_hello(struct secret_delivery *delivery, int fd, void *data)
{
	struct trial *trial = data;

	g_assert_cmpint(trial->dones, ==, 0);
	trial->hellos++;
	if (trial->free_in_hello) {
		secret_delivery_free(delivery);
		trial->delivery = NULL;
		trial->over = TRUE;
	}
	return !trial->stranger;
}

static void
on_done(struct secret_delivery *delivery, const GError *error, void *data)
{
	struct trial *trial = data;

	trial->dones++;
	trial->over = TRUE;
	trial->error = error ? g_error_copy(error) : NULL;
	if (trial->free_in_done) {
		secret_delivery_free(delivery);
		trial->delivery = NULL;
	}
}

/* Run a delivery of size bytes (0: TEXT) against trial->peer (port 0: start it). */
static void
run(struct trial *trial, GBytes *message, int port)
{
	trial->loop = ev_loop_new(EVFLAG_AUTO);
	if (trial->limits.silence == 0)
		trial->limits = (struct secret_service_limits){5000, 5000, 5000, 5000};
	if (!port)
		peer_open(&trial->peer, trial->loop);
	trial->delivery =
	    secret_delivery_new(trial->loop, "127.0.0.1", port ? port : trial->peer.port, message,
				&trial->limits, on_hello, on_done, trial);
	g_assert_cmpint(trial->dones, ==, 0);
	loop_until(trial->loop, &trial->over, 10.);
	g_assert_true(trial->over);
	g_assert_cmpint(trial->dones, ==, trial->free_in_hello ? 0 : 1);
	secret_delivery_free(trial->delivery);
}

static void
run_text(struct trial *trial)
{
	g_autoptr(GBytes) message = g_bytes_new_static(TEXT, sizeof TEXT - 1);

	run(trial, message, 0);
}

static void
finish(struct trial *trial)
{
	g_clear_error(&trial->error);
	if (trial->peer.loop)
		peer_close(&trial->peer);
	ev_loop_destroy(trial->loop);
}

static void
assert_failed(struct trial *trial, enum secret_service_error code, int hellos, const char *word)
{
	g_assert_error(trial->error, SECRET_SERVICE_ERROR, (int)code);
	g_assert_cmpint(trial->hellos, ==, hellos);
	if (!strstr(trial->error->message, word))
		g_error("\"%s\" does not say \"%s\"", trial->error->message, word);
	if (hellos == 0 && trial->peer.heard)
		g_assert_cmpuint(trial->peer.heard->len, ==, 0); /* nothing was sent */
	finish(trial);
}

/* As Guix' receiver: reads to the end, then closes. */
static void
close_at_end(struct peer *peer)
{
	if (peer->heard_end)
		peer_hang_up(peer);
}

static void
assert_delivered(struct trial *trial)
{
	g_assert_no_error(trial->error);
	g_assert_cmpint(trial->hellos, ==, 1);
	g_assert_cmpmem(trial->peer.heard->data, trial->peer.heard->len, TEXT, sizeof TEXT - 1);
	g_assert_true(trial->peer.heard_end);
	finish(trial);
}

static void
test_good(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_text,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	assert_delivered(&trial);
}

static void
test_pieces(void)
{
	struct trial trial = {.free_in_done = TRUE,
			      .peer = {.greet = peer_greet_slowly,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	assert_delivered(&trial);
}

static void
test_newline(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_text,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO " \r\n"}};

	run_text(&trial);
	assert_delivered(&trial);
}

static void
test_late_newline(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_slowly,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO "\n"}};

	run_text(&trial);
	assert_delivered(&trial);
}

static void
test_stranger(void)
{
	struct trial trial = {.stranger = TRUE,
			      .peer = {.greet = peer_greet_slowly,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	g_assert_cmpuint(trial.peer.heard->len, ==, 0);
	assert_failed(&trial, SECRET_SERVICE_ERROR_PROTOCOL, 1, "not this guest's QEMU");
}

static void
test_refused(void)
{
	struct trial trial = {.over = FALSE};
	g_autoptr(GBytes) message = g_bytes_new_static(TEXT, sizeof TEXT - 1);

	run(&trial, message, peer_free_port());
	assert_failed(&trial, SECRET_SERVICE_ERROR_ABSENT, 0, "refused");
}

static void
test_closes_at_once(void)
{
	struct trial trial = {.peer = {.greet = peer_hang_up}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_ABSENT, 0, "does not listen yet");
}

static void
test_resets_at_once(void)
{
	struct trial trial = {.free_in_done = TRUE, .peer = {.greet = peer_reset}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_ABSENT, 0, "does not listen yet");
}

static void
test_silent(void)
{
	struct trial trial = {.limits = {100, 5000, 5000, 5000}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_TIMEOUT, 0, "limit: silence");
}

static void
test_slow(void)
{
	struct trial trial = {.limits = {5000, 120, 5000, 5000},
			      .peer = {.greet = peer_greet_slowly, .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_TIMEOUT, 0, "limit: hello");
}

static void
test_garbage(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_text, .text = "SSH-2.0-OpenSSH\r\n"}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_PROTOCOL, 0, "\"SSH-2.0-OpenSSH\\x0d\\x0a\"");
}

static void
test_other_versions(void)
{
	static const char *const texts[] = {
	    "(secret-service-server (version 1))",  "(secret-service-server (version 0 1))",
	    "(secret-service-server  (version 0))", SECRET_SERVICE_HELLO "x",
	    SECRET_SERVICE_HELLO "\n(more)",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct trial trial = {.peer = {.greet = peer_greet_text, .text = texts[i]}};

		run_text(&trial);
		assert_failed(&trial, SECRET_SERVICE_ERROR_PROTOCOL, 0, "nothing was sent");
	}
}

static void
test_half_hello(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_text_and_close, .text = "(secret-ser"}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_PROTOCOL, 0, "in the middle of its hello");
}

/* More than all socket buffers hold. */
static GBytes *
large(void)
{
	gsize size = 32 << 20;
	char *bytes = g_malloc(size);

	for (gsize i = 0; i < size; i++)
		bytes[i] = (char)(i * 7 + (i >> 13));
	return g_bytes_new_take(bytes, size);
}

static void
hang_up_after_some(struct peer *peer)
{
	if (peer->heard->len > 0)
		peer_hang_up(peer);
}

static void
reset_after_some(struct peer *peer)
{
	if (peer->heard->len > 0)
		peer_reset(peer);
}

static void
test_closes_in_the_middle(void)
{
	void (*const ends[])(struct peer *) = {hang_up_after_some, reset_after_some};

	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autoptr(GBytes) message = large();
		struct trial trial = {.peer = {.greet = peer_greet_text,
					       .listen = ends[i],
					       .text = SECRET_SERVICE_HELLO}};

		run(&trial, message, 0);
		assert_failed(&trial, SECRET_SERVICE_ERROR_BROKEN, 1, "may have half");
	}
}

static void
test_resets_after_all(void)
{
	struct trial trial = {.peer = {.greet = peer_greet_text,
				       .listen = reset_after_some,
				       .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_BROKEN, 1, "may not have taken");
}

static void
stop_reading(struct peer *peer)
{
	ev_io_stop(peer->loop, &peer->client_io);
}

static void
test_takes_nothing(void)
{
	g_autoptr(GBytes) message = large();
	struct trial trial = {.limits = {5000, 5000, 150, 5000},
			      .peer = {.greet = peer_greet_text,
				       .listen = stop_reading,
				       .text = SECRET_SERVICE_HELLO}};

	run(&trial, message, 0);
	assert_failed(&trial, SECRET_SERVICE_ERROR_TIMEOUT, 1, "limit: progress");
}

static void
test_never_closes(void)
{
	struct trial trial = {.limits = {5000, 5000, 5000, 150},
			      .peer = {.greet = peer_greet_text, .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	g_assert_cmpuint(trial.peer.heard->len, ==, sizeof TEXT - 1);
	assert_failed(&trial, SECRET_SERVICE_ERROR_TIMEOUT, 1, "limit: close");
}

static void
test_large(void)
{
	g_autoptr(GBytes) message = large();
	struct trial trial = {.peer = {.greet = peer_greet_text,
				       .listen = close_at_end,
				       .text = SECRET_SERVICE_HELLO}};
	gsize size;

	run(&trial, message, 0);
	g_assert_no_error(trial.error);
	const guint8 *bytes = g_bytes_get_data(message, &size);
	g_assert_cmpuint(trial.peer.heard->len, ==, size);
	g_assert_true(memcmp(trial.peer.heard->data, bytes, size) == 0);
	finish(&trial);
}

static void
test_talks_on(void)
{
	struct trial trial = {
	    .peer = {.greet = peer_greet_slowly, .text = SECRET_SERVICE_HELLO "\nthanks"}};

	run_text(&trial);
	assert_failed(&trial, SECRET_SERVICE_ERROR_PROTOCOL, 1, "a receiver is silent");
}

static void
test_free_in_hello(void)
{
	struct trial trial = {.free_in_hello = TRUE,
			      .peer = {.greet = peer_greet_text, .text = SECRET_SERVICE_HELLO}};

	run_text(&trial);
	g_assert_cmpuint(trial.peer.heard->len, ==, 0);
	finish(&trial);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/secret-service/" name, function)
	TEST("a-guest-that-greets-gets-every-byte-and-an-end-of-file", test_good);
	TEST("a-hello-in-pieces-is-a-hello", test_pieces);
	TEST("blanks-after-the-hello-are-ignored", test_newline);
	TEST("a-newline-that-comes-late-does-no-harm", test_late_newline);
	TEST("who-is-not-the-guest-gets-nothing", test_stranger);
	TEST("a-refused-connection-is-an-absent-guest", test_refused);
	TEST("a-connection-closed-at-once-is-an-absent-guest", test_closes_at_once);
	TEST("a-connection-reset-at-once-is-an-absent-guest", test_resets_at_once);
	TEST("a-silent-guest-has-a-limit", test_silent);
	TEST("a-guest-that-says-its-hello-too-slowly-has-a-limit", test_slow);
	TEST("garbage-gets-nothing", test_garbage);
	TEST("anything-like-the-hello-gets-nothing", test_other_versions);
	TEST("half-a-hello-gets-nothing", test_half_hello);
	TEST("a-guest-that-closes-in-the-middle-is-broken", test_closes_in_the_middle);
	TEST("a-guest-that-resets-after-the-last-byte-is-broken", test_resets_after_all);
	TEST("a-guest-that-takes-nothing-has-a-limit", test_takes_nothing);
	TEST("a-guest-that-never-closes-has-a-limit", test_never_closes);
	TEST("a-large-secret-arrives-whole", test_large);
	TEST("a-guest-that-talks-after-its-hello-is-no-receiver", test_talks_on);
	TEST("a-delivery-can-be-freed-when-the-guest-greets", test_free_in_hello);
	return g_test_run();
}
