/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report does to a folder: its own files, and no others. */
#include "service/report/report.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/report/folder.h"
#include "tests/unit/service/report/made.h"

struct place {
	char *dir, *report;
	guint asked; /* screenshots */
	gboolean gone;
};

static void
place_make(struct place *p, gconstpointer data)
{
	p->dir = g_dir_make_tmp("report-XXXXXX", NULL);
	g_assert_nonnull(p->dir);
	g_autofree char *above = g_build_filename(p->dir, "www", NULL);
	p->report = g_build_filename(above, "hurd", NULL);
	g_assert_cmpint(g_mkdir(above, 0777), ==, 0);
}

static void
remove_all(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *inner = g_build_filename(path, name, NULL);
		if (g_file_test(inner, G_FILE_TEST_IS_DIR) &&
		    !g_file_test(inner, G_FILE_TEST_IS_SYMLINK))
			remove_all(inner);
		else
			g_unlink(inner);
	}
	if (dir)
		g_dir_close(dir);
	g_rmdir(path);
}

static void
place_clear(struct place *p, gconstpointer data)
{
	remove_all(p->dir);
	g_free(p->dir);
	g_free(p->report);
}

static GBytes *
on_screenshot(gpointer data, gint64 id, GError **error)
{
	struct place *p = data;
	g_autofree char *text = g_strdup_printf("picture %" G_GINT64_FORMAT, id);
	p->asked++;
	return p->gone ? NULL : g_bytes_new(text, strlen(text));
}

static gboolean
write_report(struct place *p, const struct records *records, GError **error)
{
	return report_write(records, p->report, on_screenshot, p, error);
}

static void
write_good(struct place *p, const struct records *records)
{
	g_autoptr(GError) error = NULL;
	gboolean good = write_report(p, records, &error);
	g_assert_no_error(error);
	g_assert_true(good);
}

static void
add_failure(struct records *records, const char *name, gint64 before, guint screenshot)
{
	made_guest(records, name, "ready");
	made_add(records,
		 "{'kind':'failure','guest':'%s','time':%" G_GINT64_FORMAT ",'screenshot':%u}",
		 name, NOW - before, screenshot);
}

static int
compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
assert_files(const struct place *p, const char *expected)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GDir *dir = g_dir_open(p->report, 0, NULL);
	g_assert_nonnull(dir);
	for (const char *name; (name = g_dir_read_name(dir));)
		g_ptr_array_add(names, g_strdup(name));
	g_dir_close(dir);
	g_ptr_array_sort(names, compare);
	g_ptr_array_add(names, NULL);
	g_autofree char *all = g_strjoinv(" ", (char **)names->pdata);
	g_assert_cmpstr(all, ==, expected);
}

static char *
path_in(const struct place *p, const char *name)
{
	return g_build_filename(p->report, name, NULL);
}

static void
put_file(const struct place *p, const char *name, const char *text)
{
	g_autofree char *path = path_in(p, name);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
assert_text(const struct place *p, const char *name, const char *expected)
{
	g_autofree char *path = path_in(p, name), *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

static void
test_made(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	add_failure(records, "a", H, 7);
	mode_t mask = umask(027);
	write_good(p, records);
	umask(mask);
	assert_files(p, "childhurd-report.list failure-7-1795953600.png guest-a.html index.html");
	assert_text(p, "failure-7-1795953600.png", "picture 7");
	struct stat status;
	g_autofree char *path = path_in(p, "index.html");
	g_assert_cmpint(stat(path, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 07777, ==, 0640);
	records_free(records);
}

/* What a report has no longer goes; what is still shown is not asked for again. */
static void
test_again(struct place *p, gconstpointer data)
{
	struct records *first = made_new(), *second = made_new();
	add_failure(first, "a", 2 * H, 7);
	add_failure(first, "b", H, 8);
	write_good(p, first);
	g_assert_cmpuint(p->asked, ==, 2);
	put_file(p, "guest-c.html", "somebody's");
	put_file(p, "notes.txt", "somebody's");
	add_failure(second, "b", H, 8);
	add_failure(second, "b", H / 2, 9);
	write_good(p, second);
	g_assert_cmpuint(p->asked, ==, 3);
	assert_files(p, "childhurd-report.list failure-8-1795953600.png failure-9-1795955400.png "
			"guest-b.html guest-c.html "
			"index.html notes.txt");
	assert_text(p, "guest-c.html", "somebody's");
	records_free(first);
	records_free(second);
}

/* A file that somebody else has put there stays, and nothing has changed. */
static void
test_foreign(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	made_guest(records, "a", "ready");
	g_assert_cmpint(g_mkdir_with_parents(p->report, 0777), ==, 0);
	put_file(p, "index.html", "somebody's");
	g_autoptr(GError) error = NULL;
	g_assert_false(write_report(p, records, &error));
	g_assert_nonnull(
	    strstr(error->message, "/index.html: was not written by childhurdctl report"));
	assert_files(p, "index.html");
	assert_text(p, "index.html", "somebody's");
	records_free(records);
}

/* A link in the place of a page is replaced, not followed; one that nobody listed is foreign. */
static void
test_link(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	made_guest(records, "a", "ready");
	write_good(p, records);
	g_autofree char *page = path_in(p, "index.html"),
			*victim = g_build_filename(p->dir, "victim", NULL);
	g_assert_true(g_file_set_contents(victim, "somebody's", -1, NULL));
	g_assert_cmpint(g_unlink(page), ==, 0);
	g_assert_cmpint(symlink(victim, page), ==, 0);
	write_good(p, records);
	g_assert_false(g_file_test(page, G_FILE_TEST_IS_SYMLINK));
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "somebody's");
	records_free(records);
}

/* The list is a file that somebody can write; it leads nowhere. */
static void
test_list(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	made_guest(records, "a", "ready");
	write_good(p, records);
	g_autofree char *path = path_in(p, FOLDER_LIST), *text = NULL,
			*victim = g_build_filename(p->dir, "www", "victim", NULL);
	g_assert_true(g_file_set_contents(victim, "somebody's", -1, NULL));
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_autofree char *more = g_strconcat(
	    text, "../victim\nguest-/../../victim.html\nnotes.txt\nguest-gone.html\n", NULL);
	g_assert_true(g_file_set_contents(path, more, -1, NULL));
	put_file(p, "notes.txt", "somebody's");
	write_good(p, records);
	g_assert_true(g_file_test(victim, G_FILE_TEST_EXISTS));
	assert_files(p, "childhurd-report.list guest-a.html index.html notes.txt");
	assert_text(p, FOLDER_LIST, text);
	g_autoptr(GError) error = NULL;
	put_file(p, FOLDER_LIST, "a list of somebody's\nindex.html\n");
	g_assert_false(write_report(p, records, &error));
	g_assert_nonnull(strstr(error->message, "not the list of a report"));
	records_free(records);
}

/* What never ends, or is more than any list, is not read. */
static void
test_no_list(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	g_autofree char *path = path_in(p, FOLDER_LIST);
	made_guest(records, "a", "ready");
	g_assert_cmpint(g_mkdir_with_parents(p->report, 0777), ==, 0);
	for (int i = 0; i < 3; i++) {
		g_autoptr(GError) error = NULL;
		g_assert_cmpint(i == 0	 ? mkfifo(path, 0666)
				: i == 1 ? symlink("/dev/zero", path)
					 : g_mkdir(path, 0777),
				==, 0);
		g_assert_false(write_report(p, records, &error));
		g_assert_nonnull(strstr(error->message, "not the list of a report"));
		assert_files(p, FOLDER_LIST);
		g_assert_cmpint(remove(path), ==, 0);
	}
	records_free(records);
}

/* The history may have dropped a screenshot meanwhile: the page then does not show it. */
static void
test_gone(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	add_failure(records, "a", H, 7);
	p->gone = TRUE;
	write_good(p, records);
	assert_files(p, "childhurd-report.list guest-a.html index.html");
	g_autofree char *path = path_in(p, "guest-a.html"), *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_null(strstr(text, "<img"));
	records_free(records);
}

static void
assert_fails(struct place *p, const struct records *records, const char *message)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(write_report(p, records, &error));
	g_assert_cmpstr(error->message, ==, message);
}

/* One folder is made, and none above it. */
static void
test_errors(struct place *p, gconstpointer data)
{
	struct records *records = made_new();
	g_autofree char *above = g_build_filename(p->dir, "www", NULL);
	g_autofree char *file =
	    g_strdup_printf("%s: cannot be made: %s: Not a directory", p->report, above);
	g_autofree char *missing =
	    g_strdup_printf("%s: cannot be made: %s: No such file or directory", p->report, above);
	g_autofree char *itself = g_strdup_printf("%s: is not a directory", p->report);
	g_assert_cmpint(g_rmdir(above), ==, 0);
	assert_fails(p, records, missing);
	g_assert_false(g_file_test(above, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_set_contents(above, "a file", -1, NULL));
	assert_fails(p, records, file);
	g_assert_cmpint(g_unlink(above), ==, 0);
	g_assert_cmpint(g_mkdir(above, 0777), ==, 0);
	g_assert_true(g_file_set_contents(p->report, "a file", -1, NULL));
	assert_fails(p, records, itself);
	records_free(records);
}

/* A process that was killed between two files leaves what the next report knows. */
static void
test_killed(struct place *p, gconstpointer data)
{
	struct records *first = made_new(), *second = made_new();
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GError) error = NULL;
	add_failure(first, "a", H, 7);
	made_guest(second, "b", "ready");
	write_good(p, first);
	g_hash_table_add(names, g_strdup("index.html"));
	g_hash_table_add(names, g_strdup("guest-c.html"));
	struct folder *folder = folder_begin(p->report, names, &error);
	g_assert_no_error(error);
	g_assert_true(folder_write(folder, "guest-c.html", "c", 1, &error));
	folder_free(folder);
	write_good(p, second);
	assert_files(p, "childhurd-report.list guest-b.html index.html");
	records_free(first);
	records_free(second);
}

#define ADD(name, test)                                                                            \
	g_test_add("/report/" name, struct place, NULL, place_make, test, place_clear)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a-folder-is-made", test_made);
	ADD("what-is-old-goes-and-what-is-there-is-not-asked-for", test_again);
	ADD("a-file-of-somebody-else-stays", test_foreign);
	ADD("a-link-is-replaced", test_link);
	ADD("the-list-leads-nowhere", test_list);
	ADD("what-is-no-list-is-not-read", test_no_list);
	ADD("a-screenshot-may-be-gone", test_gone);
	ADD("errors-name-the-path", test_errors);
	ADD("a-killed-report-leaves-nothing-behind", test_killed);
	return g_test_run();
}
