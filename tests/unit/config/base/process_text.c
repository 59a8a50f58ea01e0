/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a message names a process. */
#include "config/base/process_text.h"

#include <glib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void
test_text(void)
{
	g_assert_cmpint(prctl(PR_SET_NAME, "its name"), ==, 0);
	g_autofree char *own = process_text(getpid());
	g_autofree char *expected = g_strdup_printf("process %d (its name)", (int)getpid());
	g_assert_cmpstr(own, ==, expected);
	g_autofree char *unknown = process_text(0);
	g_assert_cmpstr(unknown, ==, "another process");
	g_autofree char *none = process_text(G_MAXINT32); /* beyond the kernel's largest pid */
	g_assert_cmpstr(none, ==, "process 2147483647 (?)");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/process-text/a-process-is-named-if-it-is-known", test_text);
	return g_test_run();
}
