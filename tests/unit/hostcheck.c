/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --check`: what it says of a host. */
#include "childhurdd/hostcheck.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct host {
	char *dir, *file, *state;
};

/* A configuration with one guest, whose emulator runs and has no KVM; no state directory. */
static void
host_begin(struct host *h)
{
	h->dir = g_dir_make_tmp("hostcheck-XXXXXX", NULL);
	h->file = g_build_filename(h->dir, "childhurd.ini", NULL);
	h->state = g_build_filename(h->dir, "state", NULL);
	g_autofree char *text =
	    g_strdup_printf("[daemon]\nstate-directory = state\nruntime-directory = run\n"
			    "control-group = childhurd-no-such-group\n"
			    "[guest a]\nkernel = /dev/null\nemulator = /bin/false\n");
	g_assert_true(g_file_set_contents(h->file, text, -1, NULL));
}

static void
host_end(struct host *h)
{
	g_remove(h->file);
	g_assert_cmpint(g_rmdir(h->dir), ==, 0); /* the check left nothing there */
	g_free(h->dir);
	g_free(h->file);
	g_free(h->state);
}

static char *
host_check(const struct host *h)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(h->file, errors);
	g_assert_nonnull(config);
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	hostcheck_run(config, out);
	fclose(out);
	config_free(config);
	return text;
}

static void
assert_says(const char *text, const char *line)
{
	if (!strstr(text, line))
		g_error("\"%s\" is not in: %s", line, text);
}

static void
assert_says_not(const char *text, const char *line)
{
	if (strstr(text, line))
		g_error("\"%s\" is in: %s", line, text);
}

/* Nothing of ours is left in the folder for temporary files either. */
static void
assert_tidy(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)))
		assert_says_not(name, "childhurd-check-");
}

static void
test_new_host(void)
{
	struct host h;
	host_begin(&h);
	g_autofree char *text = host_check(&h);
	assert_says(text, "childhurd.ini: 1 guest\n");
	assert_says(text, "KVM: ");
	assert_says_not(text, "cannot write its boot sector");
	assert_says(text, "state can be written to");
	g_assert_false(g_file_test(h.state, G_FILE_TEST_EXISTS));
	assert_tidy(g_get_tmp_dir());
	host_end(&h);
}

static void
test_group(void)
{
	struct host h;
	if (g_test_subprocess()) {
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		host_begin(&h);
		g_autofree char *text = host_check(&h);
		assert_says_not(text, "childhurd-no-such-group");
		host_end(&h);
		return;
	}
	if (geteuid() == 0) {
		host_begin(&h);
		g_autofree char *text = host_check(&h);
		assert_says(text, "group childhurd-no-such-group does not exist");
		host_end(&h);
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	char tmp[] = "/tmp/hostcheck-XXXXXX";
	g_test_init(&argc, &argv, NULL);
	if (!g_test_subprocess()) { /* in one, the folder is inherited */
		g_assert_nonnull(g_mkdtemp_full(tmp, 0700));
		g_assert_cmpint(chmod(tmp, 01777), ==, 0); /* for the ordinary user, too */
		g_setenv("TMPDIR", tmp, TRUE);
	}
	g_test_add_func("/hostcheck/a-host-without-a-state-directory-is-probed-all-the-same",
			test_new_host);
	g_test_add_func("/hostcheck/only-a-root-daemon-misses-the-group", test_group);
	int failed = g_test_run();
	if (!g_test_subprocess())
		g_rmdir(tmp);
	return failed;
}
