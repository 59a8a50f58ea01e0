/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes the control socket, the daemon's end of it: a real server with a made-up hird, and a
 * client that says anything.
 *
 * Input: a byte that says in how large pieces the client says the rest, and whether it goes before
 * it has heard all. What it hears are messages of Varlink, none of them larger than a client takes.
 * Whatever it said, the next client is answered.
 */
#include "config/base/text.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/unit/service/control/bed.h"

#define FLAG_LEAVES  0x80
#define QUIET_ROUNDS 20 /* of the loop, after which nothing more comes */

static struct bed bed;

static void
end_bed(void)
{
	bed_end(&bed);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char log[] = "GNU Mach 1.8\n\033[31mred\nlogin: ";
	bed_begin(&bed);
	bed.reloads = TRUE;
	g_file_set_contents(bed.log, log, -1, NULL);
	bed_listen(&bed, NULL);
	for (int i = 0; i < BED_GUESTS; i++)
		bed_event(&bed, i, bed.guests[i].state, "it happened");
	atexit(end_bed);
	return 0;
}

/* What a daemon does behind its hird. */
static void
answer(void)
{
	static const struct control_finding finding = {0};
	g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "it is not possible");
	if (bed.check_done)
		bed.check_done(TRUE, &finding, 0, bed.check_data);
	if (bed.invite_done)
		bed.invite_done(NULL, error, bed.invite_data);
	if (bed.shot_done)
		bed.shot_done(NULL, error, bed.shot_data);
	bed.check_done = NULL;
	bed.invite_done = NULL;
	bed.shot_done = NULL;
}

static void
turn(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		ev_run(bed.loop, EVRUN_NOWAIT);
		answer();
	}
}

/* FALSE: the daemon has closed it. */
static gboolean
hear(int fd, GByteArray *heard)
{
	char bytes[65536];
	ssize_t n;
	while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		g_byte_array_append(heard, (const guint8 *)bytes, (guint)n);
	return n < 0 && errno == EAGAIN;
}

static void
check_heard(const GByteArray *heard)
{
	struct varlink_buffer buffer;
	g_autoptr(GError) error = NULL;
	const char *text;
	varlink_buffer_init(&buffer, 1 << 20);
	varlink_buffer_append(&buffer, heard->data, heard->len);
	while ((text = varlink_buffer_take(&buffer, &error))) {
		require(g_utf8_validate(text, -1, NULL), "a reply is text", text);
		for (const char *at = text; *at; at = g_utf8_next_char(at))
			require(!text_acts(g_utf8_get_char(at)), "a reply can be shown", text);
		struct varlink_message *m = varlink_parse(text, NULL);
		require(m && !m->method, "a reply is one", text);
		varlink_message_free(m);
	}
	require(!error, "a reply is not too long", NULL);
	varlink_buffer_clear(&buffer);
}

static void
say(const uint8_t *data, size_t size, size_t piece, gboolean leaves)
{
	g_autoptr(GByteArray) heard = g_byte_array_new();
	int fd = peer_socket(bed.path);
	gboolean open = TRUE;
	for (size_t at = 0; open && at < size; at += piece) {
		ssize_t n = send(fd, data + at, MIN(piece, size - at), MSG_DONTWAIT | MSG_NOSIGNAL);
		turn(2);
		open = hear(fd, heard) && n >= 0;
	}
	if (!leaves) {
		shutdown(fd, SHUT_WR);
		for (int quiet = 0; open && quiet < QUIET_ROUNDS; quiet++) {
			guint before = heard->len;
			turn(1);
			open = hear(fd, heard);
			if (heard->len > before)
				quiet = 0;
		}
	}
	close(fd);
	check_heard(heard);
}

static void
check_next(void)
{
	static const char call[] = "{\"method\":\"org.childhurd.List\"}";
	struct peer peer;
	peer_begin(&peer, &bed);
	require(peer_send(&peer, call, sizeof call), "the next client is heard", NULL);
	struct varlink_message *m = peer_next(&peer);
	require(m && !m->error && json_object_has_member(m->parameters, "guests"),
		"the next client is answered", m ? m->error : NULL);
	varlink_message_free(m);
	peer_end(&peer);
	turn(4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	ev_timer_stop(bed.loop, &bed.patience);
	ev_timer_set(&bed.patience, BED_PATIENCE, 0.);
	ev_timer_start(bed.loop, &bed.patience);
	g_string_truncate(bed.commands, 0);
	/* Small pieces are many. */
	size_t piece = data[0] & 0x40 ? size : (size_t)(data[0] & 0x3f) + 1;
	say(data + 1, size - 1, piece, (data[0] & FLAG_LEAVES) != 0);
	check_next();
	return 0;
}
