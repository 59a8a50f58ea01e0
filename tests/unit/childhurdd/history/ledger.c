/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history's file: what is written, and what may be there in its place. */
#include "tests/unit/childhurdd/history/bed.h"

#include <signal.h>
#include <sys/resource.h>

#define TEST(name, function) g_test_add_func("/history-ledger/" name, function)

static void
the_file_is_private(void)
{
	struct bed bed = bed_new();
	struct stat st;
	mode_t mask = umask(0);
	bed_open(&bed);
	umask(mask);
	bed_event(&bed, 1, NULL, START, "begun");
	bed_write(&bed);
	static const char *const ends[] = {"", "-wal", "-shm"};
	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *file = g_strconcat(bed.path, ends[i], NULL);
		g_assert_cmpint(stat(file, &st), ==, 0);
		g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	}
	bed_free(&bed);
}

static void
states_follow_without_a_gap(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_event(&bed, 7, "a", START, "autostart");
	bed_state(&bed, "a", START, "starting", TRUE);
	((struct history_note *)g_ptr_array_index(bed.notes, 1))->number = 7;
	bed_state(&bed, "a", START + 10 * SECOND, "ready", TRUE);
	bed_write(&bed);
	bed_state(&bed, "a", START + 30 * SECOND, "stopped", FALSE);
	bed_write(&bed);
	bed_assert(&bed,
		   "SELECT (begin - 1728000000000000) / 1000000, (end - begin) / 1000000, state,"
		   " wanted, event FROM state ORDER BY begin",
		   "0|10|starting|1|7 10|20|ready|1|- 30|-|stopped|0|-");
	bed_assert(&bed, "SELECT wanted, up FROM day", "30000|20000");
	bed_free(&bed);
}

static void
time_without_a_daemon_is_unknown(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_state(&bed, "a", START, "ready", TRUE);
	bed_boot(&bed, "a", START - SECOND, START, 1000);
	bed_note(&bed, HISTORY_BEAT, NULL, START + 60 * SECOND);
	bed_write(&bed);
	bed_close(&bed); /* it was killed, then or later */
	bed_open(&bed);
	bed_state(&bed, "a", START + 100 * SECOND, "unresponsive", TRUE);
	bed_state(&bed, "a", START + 110 * SECOND, "ready", TRUE);
	bed_write(&bed);
	bed_assert(&bed,
		   "SELECT (begin - 1728000000000000) / 1000000, (end - begin) / 1000000, state"
		   " FROM state ORDER BY begin",
		   "0|60|ready 60|40|unknown 100|10|unresponsive 110|-|ready");
	bed_assert(&bed, "SELECT wanted, up FROM day", "70000|60000");
	bed_free(&bed);
}

/* After an error the same notes come again, and a guest's states must not begin a second life. */
static void
a_transaction_that_fails_leaves_no_trace(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	guint refused = 0;
	struct rlimit limit, small = {0};
	bed_open(&bed);
	bed_state(&bed, "a", START, "starting", TRUE);
	bed_write(&bed);
	bed_state(&bed, "a", START + SECOND, "booting", TRUE);
	bed_state(&bed, "b", START + SECOND, "booting", TRUE);
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	small.rlim_max = limit.rlim_max;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	g_assert_false(ledger_write(bed.ledger, bed.notes, NULL, &refused, &error));
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	g_assert_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED);
	bed_write(&bed);
	bed_assert(&bed,
		   "SELECT name, state, end IS NULL FROM state JOIN guest ON guest.id = guest",
		   "a|starting|0 a|booting|1 b|booting|1");
	bed_free(&bed);
}

static void
a_clock_that_is_set_back_makes_no_negative_time(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_state(&bed, "a", START, "starting", TRUE);
	bed_state(&bed, "a", START - 60 * SECOND, "ready", TRUE);
	bed_state(&bed, "a", START + SECOND, "stopped", TRUE);
	bed_write(&bed);
	bed_assert(&bed, "SELECT count(*) FROM state WHERE end < begin", "0");
	bed_assert(&bed, "SELECT wanted, up FROM day", "1000|1000");
	bed_free(&bed);
}

/* It was years ahead: what it says now must not wait for those years. */
static void
a_clock_that_was_far_ahead_hides_nothing(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_state(&bed, "a", START, "starting", TRUE);
	bed_state(&bed, "a", START + 5000 * DAY, "booting", TRUE);
	bed_state(&bed, "a", START + 10 * SECOND, "ready", TRUE);
	bed_state(&bed, "a", START + 20 * SECOND, "stopped", TRUE);
	bed_write(&bed);
	bed_assert(&bed,
		   "SELECT state, (begin - 1728000000000000) / 1000000 FROM state"
		   " WHERE begin > 1728000000000000",
		   "ready|10 stopped|20");
	bed_assert(&bed, "SELECT max(day) FROM day", "20000");
	bed_assert(&bed, "SELECT max(end) - 1728000000000000 FROM state", "20000000");
	bed_free(&bed);
}

static void
a_state_is_summed_up_by_days(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_state(&bed, "a", START - HOUR, "ready", TRUE);
	bed_state(&bed, "a", START + DAY + 2 * HOUR, "stopped", FALSE);
	bed_write(&bed);
	bed_assert(&bed, "SELECT day, wanted / 3600000, up / 3600000 FROM day",
		   "19999|1|1 20000|24|24 20001|2|2");
	bed_free(&bed);
}

static void
boots_have_an_end(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_boot(&bed, "a", START, 0, 0);
	bed_boot(&bed, "a", START, START + 17 * SECOND, 17000);
	bed_note(&bed, HISTORY_ENDED, "a", START + HOUR)->text = g_strdup("stopped by root");
	bed_boot(&bed, "a", START + 2 * HOUR, 0, 0);
	bed_note(&bed, HISTORY_BEAT, NULL, START + 3 * HOUR);
	bed_write(&bed);
	bed_close(&bed);
	bed_open(&bed); /* another daemon, which has not seen it begin */
	bed_note(&bed, HISTORY_READY, "a", START + 3 * HOUR + 30 * SECOND);
	bed_write(&bed);
	bed_assert(&bed, "SELECT ms, (end - begin) / 1000000, ended FROM boot",
		   "17000|3600|stopped by root 3630000|-|-");
	bed_note(&bed, HISTORY_ENDED, "a", 0)->text = g_strdup("while no daemon ran");
	bed_write(&bed);
	bed_assert(&bed, "SELECT (end - begin) / 1000000, ended FROM boot WHERE ms > 20000",
		   "3600|while no daemon ran");
	bed_free(&bed);
}

static void
builds_are_the_slots_that_are_taken(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_boot(&bed, "a", START, START + SECOND, 1000);
	bed_builds(&bed, "a", START + 10 * SECOND, 1, 0);
	bed_builds(&bed, "a", START + 20 * SECOND, 1 | G_GUINT64_CONSTANT(1) << 63, 1);
	bed_write(&bed);
	bed_close(&bed);
	bed_open(&bed); /* they go on over a restart of the daemon */
	bed_builds(&bed, "a", START + 40 * SECOND, G_GUINT64_CONSTANT(1) << 63, 1);
	bed_builds(&bed, "a", START + 50 * SECOND, 0, 0);
	bed_write(&bed);
	bed_assert(&bed,
		   "SELECT (begin - 1728000000000000) / 1000000, slot, (end - begin) / 1000000"
		   " FROM build ORDER BY begin, slot",
		   "10|0|30 20|-1|30 20|63|30");
	bed_assert(&bed, "SELECT builds, build_ms FROM boot", "3|90000");
	bed_assert(&bed, "SELECT builds, build_ms FROM day", "3|90000");
	bed_free(&bed);
}

static GBytes *
read_picture(const char *path, GError **error)
{
	gsize size = (gsize)g_ascii_strtoull(path, NULL, 10);
	return g_bytes_new_take(g_malloc0(size), size);
}

static void
note_failure(struct bed *bed, gint64 time, const char *size)
{
	struct history_note *note = bed_note(bed, HISTORY_FAILURE, "a", time);
	note->state = g_strdup("booting");
	note->reason = g_strdup("panic");
	note->text = g_strdup("panic: no root");
	note->picture = g_strdup(size);
}

static void
pictures_are_bounded(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	guint refused = 0;
	bed_open(&bed);
	note_failure(&bed, START, "262145"); /* a byte too large */
	for (gint64 i = 1; i <= 40; i++)
		note_failure(&bed, START + i, "262144");
	ledger_write(bed.ledger, bed.notes, read_picture, &refused, &error);
	g_assert_no_error(error);
	bed_assert(&bed, "SELECT count(*), sum(size), min(id) FROM picture", "32|8388608|9");
	bed_assert(&bed, "SELECT count(*), count(picture) FROM failure", "41|40");
	g_ptr_array_set_size(bed.notes, 0);
	for (gint64 i = 1; i <= 300; i++)
		note_failure(&bed, START + SECOND + i, "10");
	ledger_write(bed.ledger, bed.notes, read_picture, &refused, &error);
	g_assert_no_error(error);
	bed_assert(&bed, "SELECT count(*) FROM picture", "256");
	bed_free(&bed);
}

static void
a_long_text_is_cut_between_characters(void)
{
	struct bed bed = bed_new();
	g_autofree char *text = g_strnfill(3000, 'x');
	memcpy(text + 1022, "€", 3);
	text[2000] = (char)0xff; /* no UTF-8 */
	bed_open(&bed);
	bed_event(&bed, 1, "a", START, text);
	bed_write(&bed);
	bed_assert(&bed, "SELECT length(text) FROM event", "1022");
	bed_free(&bed);
}

/* --- what may be there in its place --- */

static void
put(const struct bed *bed, const char *bytes, gssize n)
{
	g_autoptr(GError) error = NULL;
	g_file_set_contents(bed->path, bytes, n, &error);
	g_assert_no_error(error);
}

static void
assert_refused(const struct bed *bed, enum ledger_error code, const char *words)
{
	g_autoptr(GError) error = NULL;
	struct ledger *ledger = ledger_open(bed->path, LEDGER_BYTES_MAX, &error);
	g_assert_null(ledger);
	g_assert_error(error, LEDGER_ERROR, (int)code);
	g_assert_true(g_str_has_prefix(error->message, bed->path));
	if (!strstr(error->message, words))
		g_error("\"%s\" has no \"%s\"", error->message, words);
	g_assert_cmpint(ledger_last_number(bed->path), ==, 0);
}

static void
garbage_is_damage(void)
{
	struct bed bed = bed_new();
	g_autofree char *garbage = g_malloc(100000);
	for (int i = 0; i < 100000; i++)
		garbage[i] = (char)g_random_int();
	put(&bed, garbage, 100000);
	assert_refused(&bed, LEDGER_ERROR_DAMAGED, "not a database");
	bed_free(&bed);
}

static void
fill(struct bed *bed)
{
	bed_open(bed);
	for (int i = 1; i <= 2000; i++)
		bed_event(bed, i, "a", START + i, "something happened, as it does each day");
	bed_write(bed);
	bed_close(bed);
}

/* At any place: the file is refused as damaged, or is used, and nothing crashes. */
static void
a_file_that_is_cut_off_is_damage(void)
{
	struct bed bed = bed_new();
	g_autofree char *whole = NULL;
	gsize size;
	guint refused = 0;
	fill(&bed);
	g_assert_true(g_file_get_contents(bed.path, &whole, &size, NULL));
	g_assert_cmpuint(size, >, 100000);
	for (gsize n = 100; n < size; n += 7919) {
		g_autoptr(GError) error = NULL;
		put(&bed, whole, (gssize)n);
		struct ledger *ledger = ledger_open(bed.path, LEDGER_BYTES_MAX, &error);
		refused += ledger == NULL;
		g_assert_true(ledger || error->code == LEDGER_ERROR_DAMAGED);
		ledger_close(ledger);
	}
	g_assert_cmpuint(refused, >, 10);
	bed_free(&bed);
}

static void
a_page_of_garbage_is_damage(void)
{
	struct bed bed = bed_new();
	g_autofree char *whole = NULL;
	gsize size;
	fill(&bed);
	g_assert_true(g_file_get_contents(bed.path, &whole, &size, NULL));
	memset(whole + size / 2 / 4096 * 4096, 0x55, 4096);
	put(&bed, whole, (gssize)size);
	g_autoptr(GError) error = NULL;
	struct ledger *ledger = ledger_open(bed.path, LEDGER_BYTES_MAX, &error);
	g_assert_null(ledger);
	g_assert_error(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED);
	bed_free(&bed);
}

static void
run_sql(const struct bed *bed, const char *sql)
{
	sqlite3 *db;
	g_assert_cmpint(sqlite3_open(bed->path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

static void
a_later_version_is_left_alone(void)
{
	struct bed bed = bed_new();
	fill(&bed);
	run_sql(&bed, "PRAGMA user_version = 99");
	assert_refused(&bed, LEDGER_ERROR_NEWER, "later version of childhurdd");
	run_sql(&bed, "PRAGMA user_version = 1");
	g_assert_cmpint(ledger_last_number(bed.path), ==, 2000);
	bed_free(&bed);
}

static void
another_database_is_no_history(void)
{
	struct bed bed = bed_new();
	run_sql(&bed, "CREATE TABLE recipes (name TEXT)");
	assert_refused(&bed, LEDGER_ERROR_DAMAGED, "is no history");
	bed_free(&bed);
}

static void
tables_that_are_missing_are_damage(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	guint refused = 0;
	fill(&bed);
	run_sql(&bed, "DROP TABLE event");
	bed_open(&bed);
	bed_event(&bed, 1, "a", START, "lost");
	g_assert_false(ledger_write(bed.ledger, bed.notes, NULL, &refused, &error));
	g_assert_error(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED);
	bed_free(&bed);
}

static void
a_link_is_not_followed(void)
{
	struct bed bed = bed_new();
	g_autofree char *other = g_build_filename(bed.folder, "other", NULL);
	g_assert_cmpint(symlink("other", bed.path), ==, 0);
	assert_refused(&bed, LEDGER_ERROR_FAILED, "link, which is not followed; move it away");
	g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
	bed_free(&bed);
}

static void
a_folder_in_its_place_stays(void)
{
	struct bed bed = bed_new();
	g_assert_cmpint(mkdir(bed.path, 0700), ==, 0);
	assert_refused(&bed, LEDGER_ERROR_FAILED, "is a folder; move it away");
	g_assert_true(g_file_test(bed.path, G_FILE_TEST_IS_DIR));
	bed_free(&bed);
}

/* A reader must not wait for whoever might write to it. */
static void
a_fifo_is_not_opened(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(mkfifo(bed.path, 0600), ==, 0);
	assert_refused(&bed, LEDGER_ERROR_FAILED, "is no file; move it away");
	g_assert_null(ledger_read(bed.path, &error));
	g_assert_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED);
	g_assert_nonnull(strstr(error->message, "is no file; move it away"));
	bed_free(&bed);
}

static void
an_empty_file_becomes_a_history(void)
{
	struct bed bed = bed_new();
	put(&bed, "", 0);
	fill(&bed);
	g_assert_cmpint(ledger_last_number(bed.path), ==, 2000);
	bed_free(&bed);
}

/* Where the last number cannot be known, none comes twice. */
static void
numbers_go_on_from_the_clock(void)
{
	struct bed bed = bed_new();
	gint64 least = 100000000; /* of the clock, since the year 2023 */
	g_assert_cmpint(ledger_number_before(bed.path, FALSE), ==, 0);
	g_assert_cmpint(ledger_number_before(bed.path, TRUE), >, least);
	put(&bed, "garbage", -1);
	g_assert_cmpint(ledger_number_before(bed.path, FALSE), >, least);
	put(&bed, "", 0);
	fill(&bed);
	g_assert_cmpint(ledger_number_before(bed.path, FALSE), ==, 2000);
	g_assert_cmpint(ledger_number_before(bed.path, TRUE), ==, 2000);
	bed_free(&bed);
}

static void
the_beginning_is_noted_once(void)
{
	struct bed bed = bed_new();
	enum ledger_before before;
	gint64 begun;
	for (int i = 0; i < 2; i++) {
		struct ledger *ledger = ledger_open(bed.path, LEDGER_BYTES_MAX, NULL);
		g_assert_nonnull(ledger);
		g_assert_true(ledger_begin(ledger, START + i,
					   i ? LEDGER_BEFORE_GONE : LEDGER_BEFORE_DAMAGED, NULL));
		g_assert_true(ledger_beginning(ledger, &begun, &before, NULL));
		g_assert_cmpint(begun, ==, START);
		g_assert_cmpint(before, ==, LEDGER_BEFORE_DAMAGED);
		ledger_close(ledger);
	}
	bed_free(&bed);
}

static void
one_damaged_file_is_kept(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *aside = g_strconcat(bed.path, ".damaged", NULL);
	g_autofree char *log = g_strconcat(bed.path, "-wal", NULL);
	g_autofree char *text = NULL;
	static const char *const contents[] = {"first", "second"};
	for (gsize i = 0; i < G_N_ELEMENTS(contents); i++) {
		put(&bed, contents[i], -1);
		g_assert_true(g_file_set_contents(log, "its log", -1, NULL));
		ledger_put_aside(bed.path, &error);
		g_assert_no_error(error);
		g_assert_false(g_file_test(bed.path, G_FILE_TEST_EXISTS));
		g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS));
	}
	g_assert_true(g_file_get_contents(aside, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "second");
	bed_free(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("the-file-is-private", the_file_is_private);
	TEST("states-follow-without-a-gap", states_follow_without_a_gap);
	TEST("time-without-a-daemon-is-unknown", time_without_a_daemon_is_unknown);
	TEST("a-transaction-that-fails-leaves-no-trace", a_transaction_that_fails_leaves_no_trace);
	TEST("a-clock-that-is-set-back-makes-no-negative-time",
	     a_clock_that_is_set_back_makes_no_negative_time);
	TEST("a-clock-that-was-far-ahead-hides-nothing", a_clock_that_was_far_ahead_hides_nothing);
	TEST("a-state-is-summed-up-by-days", a_state_is_summed_up_by_days);
	TEST("boots-have-an-end", boots_have_an_end);
	TEST("builds-are-the-slots-that-are-taken", builds_are_the_slots_that_are_taken);
	TEST("pictures-are-bounded", pictures_are_bounded);
	TEST("a-long-text-is-cut-between-characters", a_long_text_is_cut_between_characters);
	TEST("garbage-is-damage", garbage_is_damage);
	TEST("a-file-that-is-cut-off-is-damage", a_file_that_is_cut_off_is_damage);
	TEST("a-page-of-garbage-is-damage", a_page_of_garbage_is_damage);
	TEST("a-later-version-is-left-alone", a_later_version_is_left_alone);
	TEST("another-database-is-no-history", another_database_is_no_history);
	TEST("tables-that-are-missing-are-damage", tables_that_are_missing_are_damage);
	TEST("a-link-is-not-followed", a_link_is_not_followed);
	TEST("a-folder-in-its-place-stays", a_folder_in_its_place_stays);
	TEST("a-fifo-is-not-opened", a_fifo_is_not_opened);
	TEST("an-empty-file-becomes-a-history", an_empty_file_becomes_a_history);
	TEST("numbers-go-on-from-the-clock", numbers_go_on_from_the_clock);
	TEST("the-beginning-is-noted-once", the_beginning_is_noted_once);
	TEST("one-damaged-file-is-kept", one_damaged_file_is_kept);
	return g_test_run();
}
