/* SPDX-License-Identifier: GPL-3.0-or-later */
/* History and HistoryScreenshot. The test is the hird, and answers when it likes. */
#include "tests/unit/service/control/bed.h"

#include "service/control/internal.h"

/* The hird's end of the one reading. */
static struct {
	gboolean open;
	struct control_history wanted;
	char *patterns;
	guint asked; /* pieces that were asked for */
	control_records_fn done;
	void *done_data;
	void (*picture_done)(GBytes *png, const GError *error, void *done_data);
	void *picture_data;
	gint64 id;
} reading;

static int
kind_of(const char *name)
{
	return !strcmp(name, "event") ? 0 : !strcmp(name, "boot") ? 2 : -1;
}

static void *
open_reading(void *data, const struct control_history *wanted, char **why)
{
	if (wanted->since == 13) {
		*why = g_strdup("nothing is kept");
		return NULL;
	}
	reading.open = TRUE;
	reading.wanted = *wanted;
	g_free(reading.patterns);
	reading.patterns = wanted->patterns ? g_strjoinv(" ", wanted->patterns) : NULL;
	reading.asked = 0;
	return &reading;
}

static void
next_piece(void *data, void *which, control_records_fn done, void *done_data)
{
	g_assert_true(which == &reading && reading.open && !reading.done);
	reading.asked++;
	reading.done = done;
	reading.done_data = done_data;
}

static void
close_reading(void *data, void *which)
{
	g_assert_true(which == &reading && reading.open);
	reading.open = FALSE;
	reading.done = NULL;
}

static void
give_picture(void *data, gint64 id, void (*done)(GBytes *, const GError *, void *), void *done_data)
{
	reading.id = id;
	reading.picture_done = done;
	reading.picture_data = done_data;
}

static void
serve(struct bed *bed)
{
	bed->control->hird.history_kind = kind_of;
	bed->control->hird.history_open = open_reading;
	bed->control->hird.history_next = next_piece;
	bed->control->hird.history_close = close_reading;
	bed->control->hird.history_picture = give_picture;
}

/* Wait until a piece is asked for, and answer. */
static void
answer(struct bed *bed, const char *records, gboolean last, const char *unknown, const char *why)
{
	const struct control_no_records no = {.unknown = unknown, .why = why};
	while (!reading.done)
		bed_round(bed);
	control_records_fn done = reading.done;
	reading.done = NULL;
	done(records, last, &no, reading.done_data);
}

BED_TEST(test_pieces)
{
	serve(bed);
	peer_call(peer, "History",
		  "\"names\":[\"beta*\",\"old\"],\"since\":5,\"until\":7,\"kinds\":[\"boot\"]",
		  ",\"more\":true");
	answer(bed, "[{\"kind\":\"boot\",\"time\":5}]", FALSE, NULL, NULL);
	g_assert_cmpint(reading.wanted.since, ==, 5);
	g_assert_cmpint(reading.wanted.until, ==, 7);
	g_assert_cmpuint(reading.wanted.kinds, ==, 1 << 2);
	g_assert_cmpstr(reading.patterns, ==, "beta* old");
	assert_next(peer, "+{\"records\":[{\"kind\":\"boot\",\"time\":5}]}");
	answer(bed, "[]", TRUE, NULL, NULL);
	assert_next(peer, "{\"records\":[]}");
	g_assert_false(reading.open);
	peer_call(peer, "List", "\"names\":[\"alpha\"]", ""); /* the connection goes on */
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_everything)
{
	serve(bed);
	peer_call(peer, "History", "\"names\":[]", ",\"more\":true");
	answer(bed, "[]", TRUE, NULL, NULL);
	assert_next(peer, "{\"records\":[]}");
	g_assert_null(reading.patterns);
	g_assert_cmpint(reading.wanted.since, ==, 0);
	g_assert_cmpint(reading.wanted.until, ==, G_MAXINT64);
	g_assert_cmpuint(reading.wanted.kinds, ==, G_MAXUINT);
}

BED_TEST(test_wrong)
{
	serve(bed);
	peer_call(peer, "History", "", "");
	assert_next_like(peer, "org.varlink.service.ExpectedMore*");
	peer_call(peer, "History", "\"kinds\":[\"odd\"]", ",\"more\":true");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"kinds\",\"why\":\"there are event,*");
	peer_call(peer, "History", "\"kinds\":\"event\"", ",\"more\":true");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"kinds\"}");
	peer_call(peer, "History", "\"names\":[7]", ",\"more\":true");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"names\"}");
	peer_call(peer, "History", "\"since\":8,\"until\":7", ",\"more\":true");
	assert_next(peer, "InvalidValue {\"parameter\":\"since\",\"why\":\"later than until\"}");
	peer_call(peer, "History", "\"since\":-1", ",\"more\":true");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"since\"*");
	peer_call(peer, "History", "\"since\":13", ",\"more\":true");
	assert_next(peer, "NoHistory {\"why\":\"nothing is kept\"}");
	peer_call(peer, "History", "\"names\":[\"nobody\"]", ",\"more\":true");
	answer(bed, NULL, TRUE, "nobody", "nobody");
	assert_next(peer, "NoSuchGuest {\"name\":\"nobody\"}");
	peer_call(peer, "History", "", ",\"more\":true");
	answer(bed, NULL, TRUE, NULL, "history.db: disk I/O error");
	assert_next(peer, "NoHistory {\"why\":\"history.db: disk I/O error\"}");
	g_assert_false(reading.open);
}

/* While the client does not read, no more than what fits is asked for, and it is not cut off. */
BED_TEST(test_slow_reader)
{
	g_autofree char *filler = g_strnfill(60000, 'x');
	g_autofree char *records = g_strdup_printf("[{\"text\":\"%s\"}]", filler);
	guint given = 0, got = 0;
	serve(bed);
	peer_call(peer, "History", "", ",\"more\":true");
	for (;;) {
		bed_settle(bed);
		if (!reading.done)
			break;
		answer(bed, records, FALSE, NULL, NULL);
		g_assert_cmpuint(++given, <, 100);
	}
	struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	g_assert_cmpuint(client_backlog(client), <, CONTROL_BACKLOG_MAX / 4);
	for (; got < 300; got++) {
		if (got == given) {
			answer(bed, records, FALSE, NULL, NULL);
			given++;
		}
		struct varlink_message *m = peer_next(peer);
		g_assert_true(m && m->continues);
		varlink_message_free(m);
	}
	answer(bed, "[]", TRUE, NULL, NULL);
	assert_next(peer, "{\"records\":[]}");
}

BED_TEST(test_gone)
{
	struct peer other;
	serve(bed);
	peer_begin(&other, bed);
	peer_call(&other, "History", "", ",\"more\":true");
	while (!reading.done)
		bed_round(bed);
	peer_end(&other);
	while (reading.open)
		bed_round(bed);
	peer_call(peer, "History", "", ",\"more\":true"); /* one is under way at the end */
	while (!reading.done)
		bed_round(bed);
}

BED_TEST(test_picture)
{
	g_autoptr(GBytes) png = g_bytes_new("\211PNG", 4);
	g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "it cannot be read");
	serve(bed);
	peer_call(peer, "HistoryScreenshot", "\"id\":7", "");
	assert_silence(peer);
	g_assert_cmpint(reading.id, ==, 7);
	reading.picture_done(png, NULL, reading.picture_data);
	assert_next(peer, "{\"png\":\"iVBORw==\"}");
	peer_call(peer, "HistoryScreenshot", "\"id\":8", "");
	assert_silence(peer);
	reading.picture_done(NULL, NULL, reading.picture_data);
	assert_next_like(peer, "NoHistory {\"why\":\"there is no such picture*");
	peer_call(peer, "HistoryScreenshot", "\"id\":8", "");
	assert_silence(peer);
	reading.picture_done(NULL, error, reading.picture_data);
	assert_next(peer, "NoHistory {\"why\":\"it cannot be read\"}");
	peer_call(peer, "HistoryScreenshot", "", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"id\"}");
}

BED_TEST(test_none)
{
	peer_call(peer, "History", "", ",\"more\":true");
	assert_next(
	    peer,
	    "org.varlink.service.MethodNotImplemented {\"method\":\"org.childhurd.History\"}");
	peer_call(peer, "HistoryScreenshot", "\"id\":1", "");
	assert_next_like(peer, "org.varlink.service.MethodNotImplemented*");
}

/* Numbers that an earlier daemon has given: who waits for the next one misses nothing. */
BED_TEST(test_numbers_go_on)
{
	control_number(bed->control, 41);
	peer_call(peer, "Events", "", "");
	assert_next(peer, "{\"events\":[],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":40", "");
	assert_next(peer, "{\"events\":[],\"lost\":0}");
	bed->number = 41;
	bed_event(bed, 1, NULL, "it happened");
	peer_call(peer, "Events", "", "");
	assert_next_like(peer, "{\"events\":[{\"number\":42,*}],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":42", "");
	assert_next_like(peer, "{\"events\":[{\"number\":42,*}],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":40", "");
	assert_next_like(peer, "{\"events\":[{\"number\":42,*}],\"lost\":2}");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control-history/it-comes-in-pieces", test_pieces);
	g_test_add_func("/control-history/without-parameters-it-is-everything", test_everything);
	g_test_add_func("/control-history/what-is-wrong-is-named", test_wrong);
	g_test_add_func("/control-history/a-slow-reader-is-waited-for", test_slow_reader);
	g_test_add_func("/control-history/a-client-that-is-gone-reads-no-more", test_gone);
	g_test_add_func("/control-history/a-picture-is-in-base64", test_picture);
	g_test_add_func("/control-history/a-hird-without-one", test_none);
	g_test_add_func("/control-history/numbers-go-on", test_numbers_go_on);
	return g_test_run();
}
