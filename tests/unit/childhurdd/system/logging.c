/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the journal gets, and what any other output gets. */
#include "childhurdd/system/logging.h"

#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

/* JOURNAL_STREAM as systemd sets it for what is behind stderr now, off by `off` inodes. */
static void
set_stream(guint64 off)
{
	struct stat st;
	g_assert_cmpint(fstat(STDERR_FILENO, &st), ==, 0);
	g_autofree char *stream = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
						  (guint64)st.st_dev, (guint64)st.st_ino + off);
	g_setenv("JOURNAL_STREAM", stream, TRUE);
}

static void
speak(void)
{
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR); /* a test framework makes warnings fatal */
	g_assert_true(logging_start("info"));
	logging_plain("a.ini:1: wrong");
	g_message("as it should");
	g_warning("not as it should");
	g_debug("nobody asked");
}

static void
test_journal(void)
{
	if (g_test_subprocess()) {
		set_stream(0);
		speak();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("<3>a.ini:1: wrong\n<6>as it should\n<4>not as it should\n");
}

static void
test_inherited(void)
{
	if (g_test_subprocess()) {
		set_stream(1);
		speak();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr(
	    "a.ini:1: wrong\n20* *:*:* as it should\n20* *:*:* warning: not as it should\n");
}

static void
test_levels(void)
{
	g_assert_false(logging_start("loud"));
	g_assert_false(logging_start(""));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/logging/the-journal-gets-priorities", test_journal);
	g_test_add_func("/logging/an-inherited-stream-that-is-not-stderr-is-none", test_inherited);
	g_test_add_func("/logging/a-level-that-is-none-is-refused", test_levels);
	return g_test_run();
}
