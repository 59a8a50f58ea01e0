/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the history loses as it ages, or grows. */
#include "tests/unit/childhurdd/history/bed.h"

#define TEST(name, function) g_test_add_func("/history-thin/" name, function)

static void
tidy(struct bed *bed, gint64 now, gint64 keep)
{
	g_autoptr(GError) error = NULL;
	ledger_tidy(bed->ledger, now, keep, &error);
	g_assert_no_error(error);
}

/* A sample each minute for two days: the first is as it was, the older ones are one each 15 min,
 * with their average. */
static void
samples_become_fewer_and_their_average_stays(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	for (int i = 0; i < 2 * 1440; i++)
		bed_sample(&bed, "a", START + i * 60 * SECOND, i % 15);
	bed_write(&bed);
	tidy(&bed, START + 2 * DAY, 90 * DAY);
	bed_assert(&bed, "SELECT level, count(*), sum(n) FROM sample GROUP BY level",
		   "0|1440|1440 1|96|1440");
	bed_assert(&bed,
		   "SELECT DISTINCT load, (end - begin) / 1000000 FROM sample WHERE level = 1",
		   "700|900");
	bed_assert(&bed, "SELECT DISTINCT disk_free, store_free, memory FROM sample",
		   "-|976563|488281");
	tidy(&bed, START + 2 * DAY, 90 * DAY); /* once more changes nothing */
	bed_assert(&bed, "SELECT level, count(*) FROM sample GROUP BY level", "0|1440 1|96");
	tidy(&bed, START + 9 * DAY, 90 * DAY);
	bed_assert(&bed, "SELECT level, count(*), sum(n) FROM sample GROUP BY level", "2|24|2880");
	bed_assert(&bed, "SELECT DISTINCT load, (end - begin) / 1000000 FROM sample", "700|7200");
	bed_free(&bed);
}

static void
an_average_counts_what_is_known(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_sample(&bed, "a", START, 1);
	bed_sample(&bed, "a", START + 60 * SECOND, NAN);
	bed_sample(&bed, "a", START + 120 * SECOND, 2);
	bed_write(&bed);
	tidy(&bed, START + 2 * DAY, 90 * DAY);
	bed_assert(&bed, "SELECT load, n FROM sample", "150|3");
	bed_free(&bed);
}

static void
a_day_of_everything(struct bed *bed, const char *guest, gint64 day, gint64 number)
{
	gint64 at = START + day * DAY;
	bed_event(bed, number, guest, at, "it happened");
	bed_state(bed, guest, at, day % 2 ? "ready" : "booting", TRUE);
	bed_note(bed, HISTORY_ENDED, guest, at)->text = g_strdup("restarted");
	bed_boot(bed, guest, at, at + SECOND, 1000);
	bed_builds(bed, guest, at + HOUR, 1, 0);
	bed_builds(bed, guest, at + 2 * HOUR, 0, 0);
	bed_sample(bed, guest, at, 1);
	bed_note(bed, HISTORY_FAILURE, guest, at)->text = g_strdup("it failed");
	bed_note(bed, HISTORY_RESTORE, guest, at)->text = g_strdup("reset by root");
}

static void
what_is_older_than_history_goes(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	for (gint64 day = 0; day < 10; day++)
		a_day_of_everything(&bed, "a", day, day + 1);
	bed_write(&bed);
	tidy(&bed, START + 10 * DAY, 3 * DAY);
	static const char *const counts[] = {
	    "SELECT count(*) FROM event",  "SELECT count(*) FROM failure",
	    "SELECT count(*) FROM build",  "SELECT count(*) FROM restore",
	    "SELECT count(*) FROM sample",
	};
	for (gsize i = 0; i < G_N_ELEMENTS(counts); i++)
		bed_assert(&bed, counts[i], "3");
	/* those that reach into it stay */
	bed_assert(&bed, "SELECT count(*), min(begin) / 86400000000 FROM state", "4|20006");
	bed_assert(&bed, "SELECT count(*), min(begin) / 86400000000 FROM boot", "4|20006");
	bed_assert(&bed, "SELECT min(day) FROM day", "20006");
	bed_free(&bed);
}

/* The numbers of events go on, however short the history is. */
static void
the_last_number_stays(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	bed_event(&bed, 41, "a", START, "before");
	bed_event(&bed, 42, "a", START, "the last");
	bed_write(&bed);
	tidy(&bed, START + 100 * DAY, DAY);
	bed_assert(&bed, "SELECT number FROM event", "42");
	g_assert_cmpint(ledger_last_number(bed.path), ==, 42);
	bed_free(&bed);
}

static gint64
size_of(const struct bed *bed)
{
	struct stat st;
	g_assert_cmpint(stat(bed->path, &st), ==, 0);
	return st.st_size;
}

/* Far more than it may have: the file stays within its bounds, the newest is there, the oldest is
 * not, and the room of what went is given back. */
static void
the_oldest_goes_when_the_file_is_full(void)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	const gint64 most = 2 * 1024 * 1024;
	gint64 number = 0, at = START;
	guint refused = 0, full = 0;
	bed.ledger = ledger_open(bed.path, most, &error);
	g_assert_no_error(error);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 1000; i++, at += SECOND)
			bed_event(&bed, ++number, "a", at,
				  "one of many things that happen to a guest in its life");
		if (!ledger_write(bed.ledger, bed.notes, NULL, &refused, &error)) {
			g_assert_error(error, LEDGER_ERROR, LEDGER_ERROR_FULL);
			g_clear_error(&error);
			full++;
			tidy(&bed, at, 90 * DAY);
			ledger_write(bed.ledger, bed.notes, NULL, &refused, &error);
			g_assert_no_error(error);
		}
		g_ptr_array_set_size(bed.notes, 0);
		g_assert_cmpint(size_of(&bed), <=, most);
	}
	g_assert_cmpuint(full, >, 0);
	tidy(&bed, at, 90 * DAY);
	bed_close(&bed);
	bed_assert(&bed, "SELECT max(number), min(number) > 20000, count(*) > 10000 FROM event",
		   "100000|1|1");
	bed_open(&bed);
	tidy(&bed, at + 100 * DAY, DAY);
	bed_close(&bed);
	g_assert_cmpint(size_of(&bed), <, most + 1);
	bed_free(&bed);
}

static void
room_is_given_back(void)
{
	struct bed bed = bed_new();
	bed_open(&bed);
	for (int i = 1; i <= 60000; i++)
		bed_event(&bed, i, "a", START + i, "one of many things that happen to a guest");
	bed_write(&bed);
	bed_close(&bed);
	gint64 before = size_of(&bed);
	bed_open(&bed);
	tidy(&bed, START + 100 * DAY, DAY);
	bed_close(&bed);
	g_assert_cmpint(size_of(&bed), <, before / 2);
	bed_free(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("samples-become-fewer-and-their-average-stays",
	     samples_become_fewer_and_their_average_stays);
	TEST("an-average-counts-what-is-known", an_average_counts_what_is_known);
	TEST("what-is-older-than-history-goes", what_is_older_than_history_goes);
	TEST("the-last-number-stays", the_last_number_stays);
	TEST("the-oldest-goes-when-the-file-is-full", the_oldest_goes_when_the_file_is_full);
	TEST("room-is-given-back", room_is_given_back);
	return g_test_run();
}
