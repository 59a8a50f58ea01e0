/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is read of the history: records, a piece at a time, and figures. */
#include "tests/unit/childhurdd/history/bed.h"

#include <fcntl.h>

#include "childhurdd/history/figures.h"
#include "childhurdd/history/json.h"

#define TEST(name, function) g_test_add_func("/history-reading/" name, function)

#define ALL	   G_MAXUINT
#define KIND(kind) (1u << READING_##kind)

struct answer {
	GString *records; /* without the brackets of the pieces */
	guint pieces;
	gboolean last;
	char *error;
	int code;
	GBytes *png;
};

struct library {
	struct bed bed;
	struct ev_loop *loop;
	struct history *history;
	struct readers *readers;
	struct answer answer;
};

static void
library_new(struct library *library)
{
	*library = (struct library){.bed = bed_new(), .loop = ev_loop_new(EVFLAG_AUTO)};
	const struct history_setup setup = {.loop = library->loop,
					    .path = library->bed.path,
					    .bytes_max = LEDGER_BYTES_MAX,
					    .gather = 1,
					    .retry = 1,
					    .tidy = HISTORY_TIDY};
	library->history = history_new(&setup); /* keeps nothing: the bed writes */
	library->readers = readers_new(library->loop, library->history);
	library->answer.records = g_string_new(NULL);
	bed_open(&library->bed);
}

static void
library_free(struct library *library)
{
	readers_free(library->readers);
	history_free(library->history);
	ev_loop_destroy(library->loop);
	g_string_free(library->answer.records, TRUE);
	g_free(library->answer.error);
	g_clear_pointer(&library->answer.png, g_bytes_unref);
	bed_free(&library->bed);
}

static void
on_records(const char *records, gboolean last, const GError *error, void *data)
{
	struct answer *answer = data;
	answer->pieces++;
	answer->last = last;
	answer->error = error ? g_strdup(error->message) : NULL;
	answer->code = error ? error->code : 0;
	if (!records)
		return;
	g_assert_true(g_str_has_prefix(records, "[") && g_str_has_suffix(records, "]"));
	if (strlen(records) > 2)
		g_string_append_printf(answer->records, "%s%.*s", answer->records->len ? "," : "",
				       (int)strlen(records) - 2, records + 1);
}

static gboolean
has_piece(void *data)
{
	struct answer *answer = data;
	return answer->pieces > 0;
}

/* All records of the query, as text. */
static const char *
ask(struct library *library, guint kinds, gint64 since, gint64 until, const char *pattern)
{
	char *patterns[] = {(char *)pattern, NULL}, *known[] = {(char *)"silent", NULL};
	const struct reading_query query = {.patterns = pattern ? patterns : NULL,
					    .known = known,
					    .since = since,
					    .until = until,
					    .kinds = kinds};
	struct reading *reading = reading_new(library->readers, &query);
	struct answer *answer = &library->answer;
	guint pieces = 0;
	g_string_set_size(answer->records, 0);
	g_clear_pointer(&answer->error, g_free);
	do {
		answer->pieces = 0;
		reading_next(reading, on_records, NULL, answer);
		bed_run_until(library->loop, has_piece, answer);
		g_assert_cmpuint(answer->pieces, ==, 1);
		pieces++;
	} while (!answer->last);
	answer->pieces = pieces;
	reading_free(reading);
	return answer->records->str;
}

static guint
count(const char *text, const char *words)
{
	guint n = 0;
	for (const char *at = text; (at = strstr(at, words)); at++)
		n++;
	return n;
}

static void
each_kind_has_its_members(void)
{
	struct library library;
	library_new(&library);
	struct bed *bed = &library.bed;
	bed_event(bed, 1, "a", START, "a \"quoted\"\n\x01 text");
	bed_state(bed, "a", START, "ready", TRUE);
	bed_boot(bed, "a", START, START + 17 * SECOND, 17000);
	bed_builds(bed, "a", START + SECOND, 4, 0);
	bed_builds(bed, "a", START + 3 * SECOND, 0, 0);
	bed_sample(bed, "a", START, 1.25);
	struct history_note *note = bed_note(bed, HISTORY_FAILURE, "a", START + SECOND);
	note->state = g_strdup("booting");
	note->reason = g_strdup("panic");
	note->text = g_strdup("panic: no root");
	note = bed_note(bed, HISTORY_RESTORE, "a", START + 2 * SECOND);
	note->ms = 1500;
	note->text = g_strdup("reset by root");
	bed_write(bed);
	static const struct {
		guint kind;
		const char *record;
	} expected[] = {
	    {KIND(EVENT),
	     "{\"kind\":\"event\",\"guest\":\"a\",\"time\":1728000000000000,\"number\":1,"
	     "\"text\":\"a \\\"quoted\\\"\\u000a\\u0001 text\"}"},
	    {KIND(STATE), "{\"kind\":\"state\",\"guest\":\"a\",\"time\":1728000000000000,"
			  "\"state\":\"ready\",\"wanted\":true}"},
	    {KIND(BOOT),
	     "{\"kind\":\"boot\",\"guest\":\"a\",\"time\":1728000000000000,\"how\":\"cold\","
	     "\"ready\":1728000017000000,\"ms\":17000,\"phases\":[{\"name\":\"start\",\"ms\":1000},"
	     "{\"name\":\"boot\",\"ms\":9000}],\"builds\":1,\"build_seconds\":2}"},
	    {KIND(FAILURE),
	     "{\"kind\":\"failure\",\"guest\":\"a\",\"time\":1728000001000000,"
	     "\"phase\":\"booting\",\"type\":\"panic\",\"reason\":\"panic: no root\"}"},
	    {KIND(BUILD), "{\"kind\":\"build\",\"guest\":\"a\",\"time\":1728000001000000,"
			  "\"end\":1728000003000000,\"slot\":2}"},
	    {KIND(SAMPLE), "{\"kind\":\"sample\",\"guest\":\"a\",\"time\":1728000000000000,"
			   "\"end\":1728000060000000,\"probe_ms\":20,\"load\":1.25,"
			   "\"store_free\":1000000512,\"memory\":499999744,\"cpu\":0.5}"},
	    {KIND(RESTORE), "{\"kind\":\"restore\",\"guest\":\"a\",\"time\":1728000002000000,"
			    "\"ms\":1500,\"reason\":\"reset by root\"}"},
	    {KIND(FIGURES),
	     "{\"kind\":\"figures\",\"guest\":\"a\",\"time\":1728000000000000,"
	     "\"end\":1728000100000000,\"availability\":1,\"wanted_seconds\":100,\"boots\":1,"
	     "\"median_boot_ms\":17000,\"warm_starts\":0,\"failures\":1,\"builds\":1,\"build_"
	     "seconds\":2,"
	     "\"mtbf_s\":100}"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
		g_assert_cmpstr(ask(&library, expected[i].kind, START, START + 100 * SECOND, NULL),
				==, expected[i].record);
	const char *all = ask(&library, ALL, START, START + 100 * SECOND, NULL);
	g_assert_cmpuint(count(all, "\"kind\":"), ==, G_N_ELEMENTS(expected) + 1);
	library_free(&library);
}

static void
what_lasts_belongs_to_each_period_it_touches(void)
{
	struct library library;
	library_new(&library);
	bed_state(&library.bed, "a", START, "ready", TRUE);
	bed_state(&library.bed, "a", START + DAY, "stopped", FALSE);
	bed_state(&library.bed, "a", START + 2 * DAY, "ready", TRUE);
	bed_write(&library.bed);
	const char *found = ask(&library, KIND(STATE), START + HOUR, START + 2 * HOUR, NULL);
	g_assert_cmpuint(count(found, "kind"), ==, 1);
	g_assert_nonnull(strstr(found, "\"time\":1728000000000000,\"end\":1728086400000000"));
	found = ask(&library, KIND(STATE), START + DAY, START + 3 * DAY, NULL);
	g_assert_cmpuint(count(found, "kind"), ==, 2);
	g_assert_cmpuint(count(found, "\"end\""), ==, 1);
	g_assert_cmpstr(ask(&library, KIND(STATE), START - DAY, START, NULL), ==, "");
	library_free(&library);
}

/* More than one piece: each record comes once, in order. */
static void
a_long_answer_comes_in_pieces(void)
{
	struct library library;
	library_new(&library);
	for (int i = 0; i < 3000; i++) {
		g_autofree char *guest = g_strdup_printf("guest%d", i % 3);
		bed_event(&library.bed, i + 1, guest, START + i, "something happened");
		bed_sample(&library.bed, guest, START + i * 60 * SECOND, i);
		bed_builds(&library.bed, guest, START + i * SECOND, i % 2 ? 7 : 0, 0);
	}
	bed_write(&library.bed);
	const char *found = ask(&library, KIND(EVENT), 0, START + DAY, NULL);
	g_assert_cmpuint(library.answer.pieces, >, 3);
	g_assert_cmpuint(count(found, "kind"), ==, 3000);
	const char *at = found;
	for (int i = 1; i <= 3000; i++) {
		g_autofree char *number = g_strdup_printf("\"number\":%d,", i);
		at = strstr(at, number);
		g_assert_nonnull(at);
	}
	found = ask(&library, KIND(SAMPLE), 0, START + 9 * DAY, NULL);
	g_assert_cmpuint(library.answer.pieces, >, 3);
	g_assert_cmpuint(count(found, "kind"), ==, 3000);
	found = ask(&library, KIND(BUILD), 0, START + 9 * DAY, NULL);
	g_autofree char *builds = bed_rows(&library.bed, "SELECT count(*) FROM build");
	g_assert_cmpuint(count(found, "kind"), ==, (guint)g_ascii_strtoull(builds, NULL, 10));
	library_free(&library);
}

static void
patterns_choose_guests(void)
{
	struct library library;
	library_new(&library);
	bed_event(&library.bed, 1, NULL, START, "the daemon");
	bed_event(&library.bed, 2, "hurd1", START, "one");
	bed_event(&library.bed, 3, "hurd2", START, "two");
	bed_event(&library.bed, 4, "other", START, "another");
	bed_write(&library.bed);
	g_assert_cmpuint(count(ask(&library, KIND(EVENT), 0, START + 1, NULL), "kind"), ==, 4);
	const char *found = ask(&library, KIND(EVENT), 0, START + 1, "hurd*");
	g_assert_cmpuint(count(found, "kind"), ==, 2);
	g_assert_null(strstr(found, "daemon"));
	g_assert_cmpuint(count(ask(&library, KIND(EVENT), 0, START + 1, "other"), "kind"), ==, 1);
	/* one that is configured, and of which nothing is kept yet */
	g_assert_cmpstr(ask(&library, ALL, 0, START + 1, "silent"), ==, "");
	g_assert_null(library.answer.error);
	ask(&library, ALL, 0, START + 1, "nobody");
	g_assert_cmpstr(library.answer.error, ==, "nobody");
	g_assert_cmpint(library.answer.code, ==, READING_ERROR_UNKNOWN);
	library_free(&library);
}

static void
without_a_file_there_is_an_error(void)
{
	struct library library;
	library_new(&library);
	bed_close(&library.bed);
	g_remove(library.bed.path);
	ask(&library, ALL, 0, START, NULL);
	g_assert_nonnull(strstr(library.answer.error, "history.db: "));
	library_free(&library);
}

static void
a_reading_may_be_closed_while_it_reads(void)
{
	struct library library;
	library_new(&library);
	bed_event(&library.bed, 1, "a", START, "it happened");
	bed_write(&library.bed);
	const struct reading_query query = {.until = START + DAY, .kinds = ALL};
	for (int i = 0; i < 20; i++) {
		struct reading *reading = reading_new(library.readers, &query);
		reading_next(reading, on_records, g_free, g_malloc(1));
		reading_free(reading);
	}
	g_assert_cmpuint(count(ask(&library, KIND(EVENT), 0, START + 1, NULL), "kind"), ==, 1);
	library_free(&library);
}

/* The sums of days, and the parts of days at both ends, give what the rows give. */
static void
figures_are_those_of_the_rows(void)
{
	struct library library;
	library_new(&library);
	g_autoptr(GRand) random = g_rand_new_with_seed(7);
	gint64 at = START;
	gboolean ready = FALSE;
	while (at < START + 6 * DAY) {
		bed_state(&library.bed, "a", at, ready ? "ready" : "booting",
			  g_rand_int_range(random, 0, 4) > 0);
		bed_builds(&library.bed, "a", at, ready ? 0 : 1, 0);
		ready = !ready;
		at += g_rand_int_range(random, 1, 20) * HOUR;
	}
	bed_write(&library.bed);
	sqlite3 *db = ledger_read(library.bed.path, NULL);
	struct counter *counter = figures_counter(db);
	for (int i = 0; i < 200; i++) {
		gint64 since = START + g_rand_int_range(random, -10, 160) * HOUR;
		gint64 until = since + g_rand_int_range(random, 0, 160) * HOUR, now = at;
		struct figures sums, rows = {0};
		figures_init(&sums);
		g_assert_true(figures_count(counter, 1, since, until, now, &sums));
		g_autofree char *sql = g_strdup_printf(
		    "SELECT ifnull(sum(ms), 0), ifnull(sum(ms * (state = 'ready')), 0) FROM (SELECT"
		    " state, (min(ifnull(end, %" G_GINT64_FORMAT "), %" G_GINT64_FORMAT
		    ") - max(begin, %" G_GINT64_FORMAT ")) / 1000 AS ms"
		    " FROM state WHERE wanted) WHERE ms > 0",
		    now, until, since);
		g_autofree char *text = bed_rows(&library.bed, sql);
		g_assert_cmpint(
		    sscanf(text, "%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT, &rows.wanted, &rows.up),
		    ==, 2);
		g_assert_cmpint(sums.wanted, ==, rows.wanted);
		g_assert_cmpint(sums.up, ==, rows.up);
		g_autofree char *built = g_strdup_printf(
		    "SELECT count(*), ifnull(sum(ifnull(end, %" G_GINT64_FORMAT
		    ") - begin) / 1000, 0) FROM build WHERE begin >= %" G_GINT64_FORMAT
		    " AND begin < %" G_GINT64_FORMAT,
		    now, since, until);
		g_autofree char *builds = bed_rows(&library.bed, built);
		g_autofree char *counted = g_strdup_printf("%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT,
							   sums.builds, sums.build_ms);
		if (until >= now) /* one that runs is counted up to now */
			g_assert_cmpstr(counted, ==, builds);
		figures_clear(&sums);
	}
	figures_counter_free(counter);
	sqlite3_close(db);
	library_free(&library);
}

static void
the_median_is_in_the_middle(void)
{
	static const gint64 ms[] = {30, 10, 1000, 20};
	struct figures figures;
	figures_init(&figures);
	g_assert_cmpint(figures_median(&figures), ==, -1);
	g_array_append_vals(figures.boot_ms, ms, 3);
	g_assert_cmpint(figures_median(&figures), ==, 30);
	g_array_append_val(figures.boot_ms, ms[3]);
	g_assert_cmpint(figures_median(&figures), ==, 25);
	figures_clear(&figures);
}

static void
days_are_sums_over_the_guests(void)
{
	struct library library;
	library_new(&library);
	static const char *const guests[] = {"a", "b"};
	for (gsize i = 0; i < G_N_ELEMENTS(guests); i++) {
		bed_state(&library.bed, guests[i], START + HOUR, "ready", TRUE);
		bed_state(&library.bed, guests[i], START + DAY + HOUR, "stopped", FALSE);
		bed_boot(&library.bed, guests[i], START + HOUR, START + 2 * HOUR, 1000);
	}
	bed_note(&library.bed, HISTORY_FAILURE, "b", START + DAY)->reason = g_strdup("panic");
	bed_note(&library.bed, HISTORY_FAILURE, "b", START + DAY + 1)->reason = g_strdup("host");
	bed_write(&library.bed);
	const char *found = ask(&library, KIND(DAY), 0, START + 10 * DAY, NULL);
	g_assert_cmpuint(count(found, "kind"), ==, 2);
	g_assert_nonnull(strstr(found,
				"\"time\":1728000000000000,\"end\":1728086400000000,"
				"\"availability\":1,\"wanted_seconds\":165600,\"boots\":2,"));
	g_assert_nonnull(
	    strstr(found, "\"wanted_seconds\":7200,\"boots\":0,\"warm_starts\":0,\"failures\":1,"));
	library_free(&library);
}

/* A start from a warm state takes a tenth of a boot, and a median of both is like neither. */
static void
boots_are_those_from_the_disk(void)
{
	static const char *const how[] = {"cold", "warm", "wake", "cold", "warm"};
	static const gint64 ms[] = {23600, 1200, 900, 20000, 1100};
	static const guint kinds[] = {KIND(FIGURES), KIND(DAY)};
	struct library library;
	library_new(&library);
	bed_state(&library.bed, "a", START, "ready", TRUE);
	for (gsize i = 0; i < G_N_ELEMENTS(how); i++) {
		gint64 at = START + (gint64)(i + 1) * HOUR;
		bed_boot(&library.bed, "a", at, at + ms[i] * 1000, ms[i]);
		struct history_note *note = g_ptr_array_index(library.bed.notes, i + 1);
		g_free(note->how);
		note->how = g_strdup(how[i]);
	}
	bed_write(&library.bed);
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		g_assert_nonnull(strstr(ask(&library, kinds[i], START, START + DAY, NULL),
					"\"boots\":2,\"median_boot_ms\":21800,\"warm_starts\":3,"));
	library_free(&library);
}

static void
a_guest_that_was_never_up_has_no_time_between_failures(void)
{
	struct library library;
	library_new(&library);
	bed_state(&library.bed, "a", START, "backoff", TRUE);
	bed_note(&library.bed, HISTORY_FAILURE, "a", START + 1)->reason = g_strdup("start");
	bed_write(&library.bed);
	const char *found = ask(&library, KIND(FIGURES) | KIND(DAY), START, START + HOUR, NULL);
	g_assert_cmpuint(count(found, "\"failures\":1,"), ==, 2);
	g_assert_cmpuint(count(found, "mtbf_s"), ==, 0);
	library_free(&library);
}

/* The first and the last day are those parts of them that were asked for, as the figures are. */
static void
days_are_within_the_period(void)
{
	struct library library;
	library_new(&library);
	bed_state(&library.bed, "a", START, "ready", TRUE);
	for (int i = 0; i < 72; i++) /* one each hour */
		bed_boot(&library.bed, "a", START + i * HOUR, START + i * HOUR + SECOND, 1000);
	bed_state(&library.bed, "a", START + 3 * DAY, "stopped", FALSE);
	bed_write(&library.bed);
	const char *found =
	    ask(&library, KIND(DAY), START + 22 * HOUR, START + 2 * DAY + 3 * HOUR, NULL);
	static const char *const days[] = {
	    "\"time\":1728079200000000,\"end\":1728086400000000,\"availability\":1,"
	    "\"wanted_seconds\":7200,\"boots\":2,",
	    "\"time\":1728086400000000,\"end\":1728172800000000,\"availability\":1,"
	    "\"wanted_seconds\":86400,\"boots\":24,",
	    "\"time\":1728172800000000,\"end\":1728183600000000,\"availability\":1,"
	    "\"wanted_seconds\":10800,\"boots\":3,"};
	g_assert_cmpuint(count(found, "kind"), ==, G_N_ELEMENTS(days));
	for (gsize i = 0; i < G_N_ELEMENTS(days); i++)
		g_assert_nonnull(strstr(found, days[i]));
	found = ask(&library, KIND(DAY), START + HOUR, START + 3 * HOUR, NULL); /* in one day */
	g_assert_cmpuint(count(found, "kind"), ==, 1);
	g_assert_nonnull(strstr(found, "\"wanted_seconds\":7200,\"boots\":2,"));
	library_free(&library);
}

static void
on_picture(GBytes *png, const GError *error, void *data)
{
	struct answer *answer = data;
	g_assert_no_error(error);
	answer->pieces = 1;
	g_clear_pointer(&answer->png, g_bytes_unref);
	answer->png = png ? g_bytes_ref(png) : NULL;
}

static GBytes *
read_picture(const char *path, GError **error)
{
	return g_bytes_new("a picture", 9);
}

static void
a_failures_picture_is_read_by_its_id(void)
{
	struct library library;
	guint refused = 0;
	library_new(&library);
	bed_note(&library.bed, HISTORY_FAILURE, "a", START)->picture = g_strdup("screen.png");
	g_assert_true(
	    ledger_write(library.bed.ledger, library.bed.notes, read_picture, &refused, NULL));
	g_assert_nonnull(
	    strstr(ask(&library, KIND(FAILURE), 0, START + 1, NULL), ",\"screenshot\":1}"));
	for (gint64 id = 1; id <= 2; id++) {
		library.answer.pieces = 0;
		reading_picture(library.readers, id, on_picture, &library.answer);
		bed_run_until(library.loop, has_piece, &library.answer);
		g_assert_true((library.answer.png != NULL) == (id == 1));
	}
	library_free(&library);
}

static void
json_has_no_bare_control_characters(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	json_text(out, "a", "\x7f\xff\t\\");
	json_real(out, "b", NAN);
	json_phases(out, "c", "start 1 boot");
	g_assert_cmpstr(out->str, ==,
			",\"a\":\"\\u007f\357\277\275\\u0009\\\\\",\"b\":null,\"c\":[{\"name\":"
			"\"start\",\"ms\":1}]");
}

/* A FIFO without a writer is as a file system that does not answer. Its thread uses the loop and
 * the history after all else is gone. */
static void
the_end_does_not_wait_for_a_dead_file_system(void)
{
	static struct library library;
	const struct reading_query query = {.until = G_MAXINT64, .kinds = ALL};
	library_new(&library);
	bed_close(&library.bed);
	g_assert_cmpint(remove(library.bed.path), ==, 0);
	g_assert_cmpint(mkfifo(library.bed.path, 0600), ==, 0);
	struct reading *reading = reading_new(library.readers, &query);
	reading_next(reading, on_records, NULL, &library.answer);
	reading_free(reading);
	readers_free(library.readers);
	history_free(library.history);
	int fd = open(library.bed.path, O_RDWR | O_CLOEXEC); /* it answers */
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_string_free(library.answer.records, TRUE);
	bed_free(&library.bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("each-kind-has-its-members", each_kind_has_its_members);
	TEST("what-lasts-belongs-to-each-period-it-touches",
	     what_lasts_belongs_to_each_period_it_touches);
	TEST("a-long-answer-comes-in-pieces", a_long_answer_comes_in_pieces);
	TEST("patterns-choose-guests", patterns_choose_guests);
	TEST("without-a-file-there-is-an-error", without_a_file_there_is_an_error);
	TEST("a-reading-may-be-closed-while-it-reads", a_reading_may_be_closed_while_it_reads);
	TEST("the-end-does-not-wait-for-a-dead-file-system",
	     the_end_does_not_wait_for_a_dead_file_system);
	TEST("figures-are-those-of-the-rows", figures_are_those_of_the_rows);
	TEST("the-median-is-in-the-middle", the_median_is_in_the_middle);
	TEST("boots-are-those-from-the-disk", boots_are_those_from_the_disk);
	TEST("a-guest-that-was-never-up-has-no-time-between-failures",
	     a_guest_that_was_never_up_has_no_time_between_failures);
	TEST("days-are-within-the-period", days_are_within_the_period);
	TEST("days-are-sums-over-the-guests", days_are_sums_over_the_guests);
	TEST("a-failures-picture-is-read-by-its-id", a_failures_picture_is_read_by_its_id);
	TEST("json-has-no-bare-control-characters", json_has_no_bare_control_characters);
	return g_test_run();
}
