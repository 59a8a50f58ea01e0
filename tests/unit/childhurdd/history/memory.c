/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SQLite gets no memory, once, at any of its allocations. It undoes a transaction then, in the
 * midst of it: nothing of it may be written alone, the file must not pass for damaged, and the same
 * notes are written whole when they come again.
 */
#include "tests/unit/childhurdd/history/bed.h"

#define TEST(name, function) g_test_add_func("/history-memory/" name, function)

#define STEP 23 /* one allocation of so many fails; all of them take a minute under a sanitizer */

static sqlite3_mem_methods real;
static gint64 countdown; /* allocations until one fails; 0: none does */

static gboolean
fails(void)
{
	return countdown && --countdown == 0;
}

static void *
allocate(int n)
{
	return fails() ? NULL : real.xMalloc(n);
}

static void *
reallocate(void *memory, int n)
{
	return fails() ? NULL : real.xRealloc(memory, n);
}

/* Of each kind, with texts that come again, which become words. */
static void
add_notes(struct bed *bed)
{
	bed_event(bed, 1, NULL, START, "begun");
	for (gint64 i = 1; i < 4; i++) {
		bed_event(bed, 2 * i, "a", START + i * SECOND, "restarted by root");
		bed_state(bed, "a", START + i * SECOND, i % 2 ? "booting" : "ready", TRUE);
	}
	bed_boot(bed, "a", START, START + 2 * SECOND, 2000);
	bed_builds(bed, "a", START + 2 * SECOND, 3, 1);
	bed_builds(bed, "a", START + 3 * SECOND, 0, 0);
	bed_sample(bed, "a", START, 0.5);
	struct history_note *note = bed_note(bed, HISTORY_FAILURE, "b", START);
	note->reason = g_strdup("crash");
	note->picture = g_strdup("screen.png");
}

static GBytes *
read_picture(const char *path, GError **error)
{
	return g_bytes_new_static("a picture", 9);
}

static gboolean
write_notes(struct bed *bed, GError **error)
{
	guint refused = 0;
	gboolean good = ledger_write(bed->ledger, bed->notes, read_picture, &refused, error);
	g_assert_cmpuint(refused, ==, 0);
	return good;
}

static void
assert_all(const struct bed *bed)
{
	bed_assert(bed, "SELECT number, text FROM event",
		   "1|begun 2|restarted by root 4|restarted by root 6|restarted by root");
	bed_assert(bed, "SELECT state, end IS NULL FROM state ORDER BY begin",
		   "booting|0 ready|0 booting|1");
	bed_assert(bed, "SELECT wanted, up, builds, build_ms FROM day", "2000|1000|3|3000");
	bed_assert(bed, "SELECT count(*), max(ms) FROM boot", "1|2000");
	bed_assert(bed, "SELECT count(*), sum(end - begin) FROM build", "3|3000000");
	bed_assert(bed, "SELECT load FROM sample", "50");
	bed_assert(bed, "SELECT reason, png FROM failure JOIN picture ON id = picture",
		   "crash|a picture");
}

/* FALSE: fewer allocations are made than that. */
static gboolean
survives(gint64 allocation)
{
	struct bed bed = bed_new();
	g_autoptr(GError) error = NULL;
	add_notes(&bed);
	countdown = allocation;
	bed.ledger = ledger_open(bed.path, LEDGER_BYTES_MAX, &error);
	gboolean written = bed.ledger && write_notes(&bed, &error);
	gboolean failed = countdown == 0;
	countdown = 0;
	if (!written) {
		if (!g_error_matches(error, LEDGER_ERROR, LEDGER_ERROR_FAILED))
			g_error("allocation %" G_GINT64_FORMAT ": %s", allocation, error->message);
		bed_close(&bed);
		bed_open(&bed);
		g_clear_error(&error);
		write_notes(&bed, &error);
		g_assert_no_error(error);
	}
	assert_all(&bed);
	bed_free(&bed);
	return failed;
}

static void
a_write_without_memory_is_made_later(void)
{
	gint64 allocation = 1, step = g_test_slow() ? 1 : STEP; /* -m slow */
	while (survives(allocation))
		allocation += step;
	g_assert_cmpint(allocation, >, 100 * step);
}

int
main(int argc, char **argv)
{
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
	sqlite3_mem_methods methods = real;
	methods.xMalloc = allocate;
	methods.xRealloc = reallocate;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* each allocation is one */
	g_test_init(&argc, &argv, NULL);
	TEST("a-write-without-memory-is-made-later", a_write_without_memory_is_made_later);
	return g_test_run();
}
