/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history as the loop sees it: a file that can be written, one that cannot, and a damaged one.
 */
#include "tests/unit/childhurdd/history/bed.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TEST(name, function) g_test_add_func("/history/" name, function)

static GString *logged;

static void
on_log(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
	g_string_append_printf(logged, "%s\n", message);
}

struct keeper {
	struct bed bed;
	struct ev_loop *loop;
	struct history *history;
	guint agains;
	gint64 number;
	const char *expected; /* of is_written and is_logged */
};

static void
on_again(void *data)
{
	struct keeper *keeper = data;
	keeper->agains++;
}

static GMutex held; /* a picture is not read while it is locked */
static gint asked;  /* pictures that were to be read */

static GBytes *
on_picture(const char *path, GError **error)
{
	g_atomic_int_inc(&asked);
	g_mutex_lock(&held);
	g_mutex_unlock(&held);
	return NULL;
}

static void
keeper_begin(struct keeper *keeper)
{
	const struct history_setup setup = {.loop = keeper->loop,
					    .path = keeper->bed.path,
					    .bytes_max = LEDGER_BYTES_MAX,
					    .picture = on_picture,
					    .again = on_again,
					    .data = keeper,
					    .gather = 1,
					    .retry = 20,
					    .tidy = HISTORY_TIDY};
	keeper->history = history_new(&setup);
}

static void
keeper_new(struct keeper *keeper)
{
	*keeper = (struct keeper){.bed = bed_new(), .loop = ev_loop_new(EVFLAG_AUTO)};
	g_string_set_size(logged, 0);
	keeper_begin(keeper);
}

static void
keeper_free(struct keeper *keeper)
{
	history_free(keeper->history);
	ev_loop_destroy(keeper->loop);
	bed_free(&keeper->bed);
}

/* An event of now: of this year, or history would drop it. */
static void
note_at(struct keeper *keeper, gint64 time, const char *text)
{
	struct history_note *note = history_note_new(HISTORY_EVENT, "a", time);
	note->number = ++keeper->number;
	note->text = g_strdup(text);
	history_note(keeper->history, note);
}

static void
note(struct keeper *keeper, const char *text)
{
	note_at(keeper, g_get_real_time(), text);
}

static gboolean
is_written(void *data)
{
	const struct keeper *keeper = data;
	sqlite3 *db = ledger_read(keeper->bed.path, NULL);
	sqlite3_stmt *statement = NULL;
	gboolean good = FALSE;
	if (db &&
	    sqlite3_prepare_v2(db,
			       "SELECT group_concat(" LEDGER_WORD("event.text") ", ' ') FROM event",
			       -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		good =
		    !g_strcmp0((const char *)sqlite3_column_text(statement, 0), keeper->expected);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return good;
}

static void
assert_written(struct keeper *keeper, const char *expected)
{
	keeper->expected = expected;
	bed_run_until(keeper->loop, is_written, keeper);
}

static gboolean
is_logged(void *data)
{
	return strstr(logged->str, ((struct keeper *)data)->expected) != NULL;
}

static void
assert_logged(struct keeper *keeper, const char *expected)
{
	keeper->expected = expected;
	bed_run_until(keeper->loop, is_logged, keeper);
}

static gboolean
complains(void *data)
{
	return history_complaint(((struct keeper *)data)->history) != NULL;
}

static gboolean
is_content(void *data)
{
	return !complains(data);
}

static void
what_is_noted_is_written(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	note(&keeper, "too early");
	history_keep(keeper.history, 90 * 86400000LL);
	note(&keeper, "one");
	note(&keeper, "two");
	assert_written(&keeper, "one two");
	note(&keeper, "three");
	assert_written(&keeper, "one two three");
	g_assert_null(history_complaint(keeper.history));
	g_assert_cmpstr(logged->str, ==, "");
	keeper_free(&keeper);
}

static void
the_end_waits_for_the_last_write(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	for (int i = 0; i < 1000; i++)
		note(&keeper, "x");
	history_free(keeper.history);
	bed_assert(&keeper.bed, "SELECT count(*), max(number) FROM event", "1000|1000");
	keeper_begin(&keeper);
	keeper_free(&keeper);
}

static void
zero_keeps_nothing_and_makes_no_file(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 0);
	note(&keeper, "nothing");
	g_assert_false(history_is_on(keeper.history));
	history_free(keeper.history);
	g_assert_false(g_file_test(keeper.bed.path, G_FILE_TEST_EXISTS));
	keeper_begin(&keeper);
	keeper_free(&keeper);
}

static gboolean
was_asked_again(void *data)
{
	return ((struct keeper *)data)->agains > 0;
}

static void
it_can_be_switched_off_and_on(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	history_keep(keeper.history, 0);
	note(&keeper, "two");
	keeper.agains = 0;
	history_keep(keeper.history, 1000000);
	bed_run_until(keeper.loop, was_asked_again, &keeper);
	note(&keeper, "three");
	assert_written(&keeper, "one three");
	keeper_free(&keeper);
}

static void
a_damaged_file_is_put_aside(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	g_autofree char *aside = g_strconcat(keeper.bed.path, ".damaged", NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_set_contents(keeper.bed.path, "garbage", -1, NULL));
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	bed_run_until(keeper.loop, was_asked_again, &keeper);
	g_assert_true(g_file_get_contents(aside, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "garbage");
	assert_logged(&keeper, "the damaged history is now");
	g_assert_cmpuint(history_generation(keeper.history), ==, 1);
	keeper_free(&keeper);
}

/* While the daemon has it open. */
static void
a_file_that_is_deleted_is_made_again(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	keeper.agains = 0;
	g_remove(keeper.bed.path);
	note(&keeper, "two");
	assert_written(&keeper, "two");
	bed_run_until(keeper.loop, was_asked_again, &keeper);
	keeper_free(&keeper);
}

static void
garbage_under_its_hands_is_put_aside(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	/* in place: the same file, with other bytes, and no log that would replace them */
	g_autofree char *log = g_strconcat(keeper.bed.path, "-wal", NULL);
	FILE *file = fopen(keeper.bed.path, "r+");
	g_assert_nonnull(file);
	for (int i = 0; i < 100000; i++)
		fputc('x', file);
	fclose(file);
	g_assert_cmpint(truncate(log, 0), ==, 0);
	history_suspect(keeper.history);
	keeper.expected = "two";
	note(&keeper, "two");
	assert_written(&keeper, "two");
	assert_logged(&keeper, "the damaged history is now");
	keeper_free(&keeper);
}

static void
what_is_in_the_way_is_said_once_and_left(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	g_assert_cmpint(mkdir(keeper.bed.path, 0700), ==, 0);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	bed_run_until(keeper.loop, complains, &keeper);
	g_assert_nonnull(strstr(history_complaint(keeper.history), "is a folder; move it away"));
	note(&keeper, "two");
	g_assert_cmpint(rmdir(keeper.bed.path), ==, 0);
	assert_written(&keeper, "one two"); /* at the next try */
	bed_run_until(keeper.loop, is_content, &keeper);
	const char *first = strstr(logged->str, "is a folder");
	g_assert_true(first && !strstr(first + 1, "is a folder"));
	assert_logged(&keeper, "is written again");
	keeper_free(&keeper);
}

/* Not unknown since that daemon, which is this one, wrote last. */
static void
states_go_on_when_the_file_is_opened_again(void)
{
	struct keeper keeper;
	gint64 now = g_get_real_time();
	const struct {
		gint64 time;
		const char *state;
	} states[] = {{now - 3 * HOUR, "ready"}, {now, "draining"}};
	keeper_new(&keeper);
	history_keep(keeper.history, 90 * 86400000LL);
	for (gsize i = 0; i < G_N_ELEMENTS(states); i++) {
		struct history_note *state = history_note_new(HISTORY_STATE, "a", states[i].time);
		state->state = g_strdup(states[i].state);
		state->wanted = TRUE;
		history_note(keeper.history, state);
		note_at(&keeper, states[i].time, "x");
		assert_written(&keeper, i ? "x x" : "x");
		history_suspect(keeper.history);
	}
	history_free(keeper.history);
	bed_assert(&keeper.bed, "SELECT state, (end - begin) / 1000000 FROM state ORDER BY begin",
		   "ready|10800 draining|-");
	keeper_begin(&keeper);
	keeper_free(&keeper);
}

/* From now on a file system takes no byte more, by a limit for this process; the limit before. */
static struct rlimit
fill_disk(void)
{
	struct rlimit limit, small;
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	small = limit;
	small.rlim_cur = 1000;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	return limit;
}

static void
make_room(const struct rlimit *limit)
{
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, limit), ==, 0);
}

static void
note_beats(struct keeper *keeper, guint n)
{
	while (n--)
		history_note(keeper->history,
			     history_note_new(HISTORY_BEAT, NULL, g_get_real_time()));
}

static void
a_full_disk_is_tried_again(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	struct rlimit limit = fill_disk();
	note(&keeper, "two");
	bed_run_until(keeper.loop, complains, &keeper);
	note_beats(&keeper, HISTORY_WAITING_MAX + 10);
	note(&keeper, "dropped");
	keeper.agains = 0;
	make_room(&limit);
	assert_written(&keeper, "one two");
	bed_run_until(keeper.loop, is_content, &keeper);
	bed_run_until(keeper.loop, was_asked_again, &keeper);
	assert_logged(&keeper, "is written again; it lacks ");
	note(&keeper, "three");
	assert_written(&keeper, "one two three");
	keeper_free(&keeper);
}

static gboolean
picture_is_asked(void *data)
{
	return g_atomic_int_get(&asked) > 0;
}

/* While a write that will fail takes its time, as many notes come as may wait. */
static void
what_could_not_be_written_takes_no_more_room_than_what_waits(void)
{
	struct keeper keeper;
	keeper_new(&keeper);
	history_keep(keeper.history, 1000000);
	note(&keeper, "one");
	assert_written(&keeper, "one");
	struct rlimit limit = fill_disk();
	g_mutex_lock(&held);
	struct history_note *failure = history_note_new(HISTORY_FAILURE, "a", g_get_real_time());
	failure->picture = g_strdup("screen.png");
	history_note(keeper.history, failure);
	bed_run_until(keeper.loop, picture_is_asked, &keeper);
	note_beats(&keeper, HISTORY_WAITING_MAX);
	g_mutex_unlock(&held);
	bed_run_until(keeper.loop, complains, &keeper);
	make_room(&limit);
	assert_logged(&keeper, "is written again; it lacks 1 note\n");
	keeper_free(&keeper);
}

/* Each round a writer is killed at another moment; the file is sound, and has what it had. */
static void
a_kill_at_any_moment_leaves_a_whole_file(void)
{
	struct bed bed = bed_new();
	gint64 most = 0;
	for (int round = 0; round < 25; round++) {
		int ends[2];
		char byte;
		g_assert_cmpint(pipe(ends), ==, 0);
		pid_t pid = fork();
		g_assert_cmpint(pid, >=, 0);
		if (!pid) {
			guint refused = 0;
			struct ledger *ledger = ledger_open(bed.path, LEDGER_BYTES_MAX, NULL);
			gint64 number = ledger_last_number(bed.path);
			while (ledger) {
				g_ptr_array_set_size(bed.notes, 0);
				for (int i = 0; i < 50; i++)
					bed_event(&bed, ++number, "a", g_get_real_time(), "x");
				if (!ledger_write(ledger, bed.notes, NULL, &refused, NULL) ||
				    write(ends[1], "x", 1) < 0)
					break;
			}
			_exit(1);
		}
		close(ends[1]);
		int begun = g_random_int_range(1, 12);
		for (int i = 0; i < begun; i++)
			g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
		kill(pid, SIGKILL);
		while (read(ends[0], &byte, 1) == 1)
			begun++;
		close(ends[0]);
		int status;
		g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
		gint64 number = ledger_last_number(bed.path);
		g_assert_cmpint(number, >=, most + 50 * begun);
		g_assert_cmpint(number % 50, ==, 0);
		most = number;
		bed_open(&bed); /* looks it over */
		bed_close(&bed);
	}
	bed_free(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	logged = g_string_new(NULL);
	g_log_set_handler("childhurd", G_LOG_LEVEL_MASK, on_log, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
	TEST("what-is-noted-is-written", what_is_noted_is_written);
	TEST("the-end-waits-for-the-last-write", the_end_waits_for_the_last_write);
	TEST("zero-keeps-nothing-and-makes-no-file", zero_keeps_nothing_and_makes_no_file);
	TEST("it-can-be-switched-off-and-on", it_can_be_switched_off_and_on);
	TEST("a-damaged-file-is-put-aside", a_damaged_file_is_put_aside);
	TEST("a-file-that-is-deleted-is-made-again", a_file_that_is_deleted_is_made_again);
	TEST("garbage-under-its-hands-is-put-aside", garbage_under_its_hands_is_put_aside);
	TEST("what-is-in-the-way-is-said-once-and-left", what_is_in_the_way_is_said_once_and_left);
	TEST("states-go-on-when-the-file-is-opened-again",
	     states_go_on_when_the_file_is_opened_again);
	TEST("a-full-disk-is-tried-again", a_full_disk_is_tried_again);
	TEST("what-could-not-be-written-takes-no-more-room-than-what-waits",
	     what_could_not_be_written_takes_no_more_room_than_what_waits);
	TEST("a-kill-at-any-moment-leaves-a-whole-file", a_kill_at_any_moment_leaves_a_whole_file);
	return g_test_run();
}
