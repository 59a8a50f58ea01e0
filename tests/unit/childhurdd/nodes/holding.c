/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slots of a node's guests, locked by a coordinator: real files, and a child that builds. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/nodes/holding.h"
#include "service/varlink.h"

#define ADDRESS "192.0.2.7"

struct bed {
	char *folder;
	struct holding *holding;
};

static void
bed_begin(struct bed *bed)
{
	bed->folder = g_dir_make_tmp("holding-XXXXXX", NULL);
	bed->holding = holding_new(bed->folder, ADDRESS);
}

static void
bed_end(struct bed *bed)
{
	const char *const argv[] = {"rm", "-rf", bed->folder, NULL};
	holding_free(bed->holding);
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(bed->folder);
}

/* The node sends this list of held guests. */
static void
set(struct bed *bed, const char *held)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text =
	    g_strdup_printf("{\"parameters\":{\"machines\":[],\"held\":[%s]}}", held);
	struct varlink_message *message = varlink_parse(text, &error);
	g_assert_no_error(error);
	struct offers *offers = offers_parse("node", message->parameters, &error);
	g_assert_no_error(error);
	holding_set(bed->holding, offers);
	offers_unref(offers);
	varlink_message_free(message);
}

#define A(number) "{\"name\":\"a\",\"number\":" #number ",\"port\":11022,\"parallel_builds\":2}"

static void
assert_reports(struct bed *bed, const char *expected)
{
	g_autoptr(GByteArray) reports = holding_reports(bed->holding, "farm");
	g_autoptr(GString) text = g_string_new(NULL);
	for (guint at = 0; reports && at < reports->len;) {
		const char *call = (const char *)reports->data + at;
		struct varlink_message *message = varlink_parse(call, NULL);
		g_assert_cmpstr(message->method, ==, "org.childhurd.Held");
		g_assert_cmpstr(json_object_get_string_member(message->parameters, "coordinator"),
				==, "farm");
		g_string_append_printf(
		    text, "%s %d: %d;", json_object_get_string_member(message->parameters, "name"),
		    (int)json_object_get_int_member(message->parameters, "number"),
		    (int)json_object_get_int_member(message->parameters, "builds"));
		varlink_message_free(message);
		at += (guint)strlen(call) + 1;
	}
	g_assert_cmpstr(text->str, ==, expected);
}

/* As `guix offload` does it, in another process. TRUE: the slot was free. It is given back by
 * giving until to give_back. */
static gboolean
take_slot(struct bed *bed, int slot, int *until)
{
	int up[2], down[2];
	char answer;
	g_assert_cmpint(pipe(up), ==, 0);
	g_assert_cmpint(pipe(down), ==, 0);
	if (fork() == 0) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		g_autofree char *machine =
		    g_strdup_printf("%s/offload/" ADDRESS ":11022", bed->folder);
		g_autofree char *file = g_strdup_printf("%s/%d", machine, slot);
		close(down[1]);
		g_mkdir_with_parents(machine, 0755);
		int fd = open(file, O_WRONLY | O_CREAT, 0644);
		answer = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
		if (write(up[1], &answer, 1) == 1 && answer == 'y')
			(void)!read(down[0], &answer, 1);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	g_assert_cmpint(read(up[0], &answer, 1), ==, 1);
	close(up[0]);
	*until = down[1];
	if (answer == 'y')
		return TRUE;
	close(down[1]);
	wait(NULL);
	return FALSE;
}

static void
give_back(int until)
{
	close(until);
	wait(NULL);
}

static void
test_free(void)
{
	struct bed bed;
	int until;
	bed_begin(&bed);
	g_assert_false(holding_look(bed.holding));
	assert_reports(&bed, "");
	set(&bed, A(7));
	assert_reports(&bed, "a 7: 0;");
	assert_reports(&bed, "");
	g_assert_false(take_slot(&bed, 0, &until));
	g_assert_false(take_slot(&bed, 1, &until));
	set(&bed, "");
	g_assert_false(holding_look(bed.holding));
	g_assert_true(take_slot(&bed, 0, &until));
	give_back(until);
	bed_end(&bed);
}

static void
test_build(void)
{
	struct bed bed;
	int until, other;
	bed_begin(&bed);
	g_assert_true(take_slot(&bed, 0, &until));
	set(&bed, A(7));
	assert_reports(&bed, "a 7: 1;");
	g_assert_false(take_slot(&bed, 1, &other));
	g_assert_true(holding_look(bed.holding));
	assert_reports(&bed, "");
	give_back(until);
	g_assert_true(holding_look(bed.holding));
	assert_reports(&bed, "a 7: 0;");
	g_assert_false(take_slot(&bed, 0, &other));
	bed_end(&bed);
}

/* In between nothing is free. */
static void
test_again(void)
{
	struct bed bed;
	int until;
	bed_begin(&bed);
	set(&bed, A(7));
	assert_reports(&bed, "a 7: 0;");
	set(&bed, A(8));
	g_assert_false(take_slot(&bed, 0, &until));
	assert_reports(&bed, "a 8: 0;");
	holding_forget(bed.holding);
	assert_reports(&bed, "a 8: 0;");
	bed_end(&bed);
}

/* One guest at ever other ports is many guests, and only those of the last list are held. */
static void
test_many(void)
{
	struct bed bed;
	bed_begin(&bed);
	for (int port = 2000; port < 2010; port++) {
		g_autofree char *held = g_strdup_printf(
		    "{\"name\":\"a\",\"number\":1,\"port\":%d,\"parallel_builds\":1}", port);
		set(&bed, held);
		assert_reports(&bed, "a 1: 0;");
	}
	holding_forget(bed.holding);
	assert_reports(&bed, "a 1: 0;");
	bed_end(&bed);
}

/* What cannot be seen is not reported as free. */
static void
test_unseen(void)
{
	struct bed bed;
	bed_begin(&bed);
	g_autofree char *offload = g_build_filename(bed.folder, "offload", NULL);
	g_assert_true(g_file_set_contents(offload, "", 0, NULL));
	set(&bed, A(7));
	assert_reports(&bed, "");
	g_unlink(offload);
	g_assert_true(holding_look(bed.holding));
	assert_reports(&bed, "a 7: 0;");
	bed_end(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/holding/free-slots-are-locked-and-reported", test_free);
	g_test_add_func("/holding/a-build-is-reported-and-then-its-end", test_build);
	g_test_add_func("/holding/a-guest-that-is-held-again-stays-locked", test_again);
	g_test_add_func("/holding/only-the-last-list-is-held", test_many);
	g_test_add_func("/holding/slots-that-cannot-be-seen-are-not-reported", test_unseen);
	return g_test_run();
}
