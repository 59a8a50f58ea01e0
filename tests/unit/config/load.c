/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration, by pairs in tests/config: NAME.ini and NAME.expected, which has the messages,
 * or, for a good configuration, the guests. UPDATE_EXPECTED=1 writes the expected side anew, to be
 * looked at.
 */
#include "config/config.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/atomic_file.h"
#include "config/keys.h"
#include "config/value.h"

/* Messages with the folder taken out, or the guests. */
static char *
answer_of(const char *path)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
	struct config *config = config_load(path, errors);
	for (guint i = 0; i < errors->len; i++)
		g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(errors, i));
	for (guint i = 0; config && i < config->guests->len; i++) {
		const struct config_guest *g = g_ptr_array_index(config->guests, i);
		g_autofree char *options = g_strjoinv("|", g->qemu_options);
		g_string_append_printf(
		    text,
		    "%s: id %d ports %d %d at %s, image %s (%s), memory %" G_GINT64_FORMAT
		    " cpus %d, options %s, clock %s, probe %" G_GINT64_FORMAT
		    " ms \"%s\", threshold %d%%\n",
		    g->name, g->id, g->ssh_port, g->secrets_port, g->listen_address,
		    g->image ? g->image : "none", g->image_format ? g->image_format : "probed",
		    g->memory_size, g->cpus, options, g->clock ? g->clock : "now",
		    g->probe_interval, g->probe_command, (int)(g->overload_threshold * 100 + 0.5));
		if (g->architecture || g->distribution) {
			static const char *const ways[] = {"secret-service", "image", "none"};
			g_autofree char *systems = g_strjoinv(" ", g->systems);
			g_string_append_printf(text,
					       "    machine %s, systems %s, inject %s, offloading "
					       "%s, user %s\n",
					       g->machine, systems, ways[g->inject],
					       g->offloading ? "yes" : "no", g->user);
		}
		if (g->kernel)
			g_string_append_printf(text, "    kernel %s <%s>\n", g->kernel,
					       g->kernel_arguments);
		for (guint f = 0; f < g->forwards->len; f++) {
			const struct config_forward *forward = g_ptr_array_index(g->forwards, f);
			g_string_append_printf(text, "    forward %s %d to %d\n",
					       forward->address ? forward->address : "-",
					       forward->host_port, forward->guest_port);
		}
		for (guint m = 0; m < g->modules->len; m++) {
			const struct config_module *module = g_ptr_array_index(g->modules, m);
			g_string_append_printf(text, "    module %s <%s>\n", module->file,
					       module->arguments);
		}
	}
	for (guint i = 0; config && i < config->coordinators->len; i++) {
		const struct config_coordinator *c = g_ptr_array_index(config->coordinators, i);
		g_string_append_printf(text, "coordinator %s: <%s>, signs with %s\n", c->name,
				       c->ssh_key, c->signing_key ? c->signing_key : "nothing");
	}
	for (guint i = 0; config && i < config->nodes->len; i++) {
		const struct config_node *n = g_ptr_array_index(config->nodes, i);
		g_string_append_printf(text,
				       "node %s: <%s> at <%s> port %d, key %s, published at <%s>, "
				       "lost after %" G_GINT64_FORMAT " ms\n",
				       n->name, n->user, n->host, n->port,
				       n->host_key ? n->host_key : "known", n->address,
				       n->lost_after);
	}
	g_assert_true((config == NULL) == (errors->len > 0));
	config_free(config);
	g_string_replace(text, absolute, "DIR", 0);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
test_pair(const void *data)
{
	const char *path = data;
	g_autofree char *answer = answer_of(path);
	g_autofree char *stem = g_strndup(path, strlen(path) - strlen(".ini"));
	g_autofree char *expected_path = g_strconcat(stem, ".expected", NULL);
	g_autofree char *expected = NULL;
	if (g_getenv("UPDATE_EXPECTED"))
		g_file_set_contents(expected_path, answer, -1, NULL);
	g_assert_true(g_file_get_contents(expected_path, &expected, NULL, NULL));
	g_assert_cmpstr(answer, ==, expected);
}

struct place {
	char *dir, *file;
};

static void
place_make(struct place *p)
{
	p->dir = g_dir_make_tmp("config-XXXXXX", NULL);
	p->file = g_build_filename(p->dir, "childhurd.ini", NULL);
}

static void
place_write(const struct place *p, const char *name, const char *text, gssize length)
{
	g_autofree char *path = g_build_filename(p->dir, name, NULL);
	g_assert_true(g_file_set_contents(path, text, length, NULL));
}

static void
place_clear(struct place *p)
{
	const char *const names[] = {"conf.d/10-a.ini", "conf.d/20-b.ini", "conf.d/ignored.conf",
				     "conf.d", "childhurd.ini"};
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(p->dir, names[i], NULL);
		g_remove(path);
	}
	g_rmdir(p->dir);
	g_free(p->dir);
	g_free(p->file);
}

static void
assert_refused(const char *file, const char *message)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_assert_null(config_load(file, errors));
	g_assert_cmpuint(errors->len, ==, 1);
	g_assert_cmpstr(g_ptr_array_index(errors, 0), ==, message);
}

static void
test_drop_ins(void)
{
	struct place p;
	place_make(&p);
	g_autofree char *folder = g_build_filename(p.dir, "conf.d", NULL);
	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	place_write(&p, "childhurd.ini",
		    "[guest a]\nimage=/i\nmemory-size=1G\nmodule=/x\nkernel=/k\n", -1);
	place_write(&p, "conf.d/10-a.ini", "[guest a]\nmemory-size=512M\nmodule=/y\nmodule=/z\n",
		    -1);
	place_write(&p, "conf.d/20-b.ini", "[guest a]\ncpus=2\n[guest b]\nimage=/b\n", -1);
	place_write(&p, "conf.d/ignored.conf", "nonsense", -1);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(p.file, errors);
	g_assert_nonnull(config);
	g_assert_cmpuint(config->guests->len, ==, 2);
	const struct config_guest *a = config_find_guest(config, "a");
	g_assert_cmpint(a->memory_size, ==, 512 << 20);
	g_assert_cmpint(a->cpus, ==, 2);
	g_assert_cmpuint(a->modules->len, ==, 2); /* the later file's modules are the modules */
	g_assert_null(config_find_guest(config, "c"));
	config_free(config);
	place_write(&p, "conf.d/20-b.ini", "[guest a]\ncpus=none\n", -1);
	g_assert_null(config_load(p.file, errors));
	g_assert_nonnull(
	    strstr(g_ptr_array_index(errors, 0), "conf.d/20-b.ini:2: [guest a] cpus: \"none\""));
	place_clear(&p);
}

/* Byte order, whatever the folder's own order is; hidden files and others are left alone. */
static void
test_order(void)
{
	static const char *const names[] = {"a.ini",  "Z.ini",	     "9.ini", "b.ini",
					    "10.ini", ".hidden.ini", "c.ini~"};
	static const char *const sorted[] = {"10.ini", "9.ini", "Z.ini", "a.ini", "b.ini"};
	struct place p;
	place_make(&p);
	g_autofree char *folder = g_build_filename(p.dir, "conf.d", NULL);
	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	place_write(&p, "childhurd.ini", "", 0);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = g_build_filename("conf.d", names[i], NULL);
		place_write(&p, name, "[guest a]\ncpus = none\n", -1);
	}
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_assert_null(config_load(p.file, errors));
	guint told = 0;
	for (guint i = 0; i < errors->len && told < G_N_ELEMENTS(sorted); i++) {
		g_autofree char *where =
		    g_strdup_printf("%s/%s:2: [guest a] cpus: ", folder, sorted[told]);
		told += g_str_has_prefix(g_ptr_array_index(errors, i), where);
	}
	g_assert_cmpuint(told, ==, G_N_ELEMENTS(sorted));
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(folder, names[i], NULL);
		g_assert_cmpint(g_remove(path), ==, 0);
	}
	for (guint i = 0; i < errors->len; i++)
		g_assert_null(strstr(g_ptr_array_index(errors, i), "hidden"));
	place_clear(&p);
}

static void
test_missing(void)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_assert_null(config_load("/nonexistent/childhurd.ini", errors));
	g_assert_nonnull(strstr(g_ptr_array_index(errors, 0), "/nonexistent/childhurd.ini"));
}

/* A folder, a file that does not end, a pipe that nobody writes to and would read as empty: an
 * error each, at once. */
static void
test_no_files(void)
{
	struct place p;
	place_make(&p);
	g_autofree char *folder = g_build_filename(p.dir, "conf.d", NULL);
	g_autofree char *drop_in = g_build_filename(folder, "10-a.ini", NULL);
	g_autofree char *fifo = g_strdup_printf("%s: is a fifo, not a regular file", p.file);
	g_autofree char *fifo_in = g_strdup_printf("%s: is a fifo, not a regular file", drop_in);
	assert_refused("/", "/: is a directory, not a regular file");
	assert_refused("/dev/zero", "/dev/zero: is a device, not a regular file");
	g_assert_cmpint(mkfifo(p.file, 0600), ==, 0);
	assert_refused(p.file, fifo);
	g_assert_cmpint(g_remove(p.file), ==, 0);
	place_write(&p, "childhurd.ini", "", 0);
	g_assert_cmpint(truncate(p.file, 1 << 30), ==, 0);
	g_autofree char *large =
	    g_strdup_printf("%s: is too large; a configuration has at most 1048576 bytes", p.file);
	assert_refused(p.file, large);
	place_write(&p, "childhurd.ini", "[guest a]\nimage = /a\n", -1);
	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_cmpint(mkfifo(drop_in, 0600), ==, 0);
	assert_refused(p.file, fifo_in);
	/* /dev/null is how a drop-in is masked. */
	g_assert_cmpint(g_remove(drop_in), ==, 0);
	g_assert_cmpint(symlink("/dev/null", drop_in), ==, 0);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(p.file, errors);
	g_assert_nonnull(config);
	g_assert_cmpuint(config->guests->len, ==, 1);
	g_assert_null(config_missing(config));
	g_assert_cmpuint(config->files->len, ==, 2);
	config_free(config);
	place_clear(&p);
}

/* A folder of drop-ins that cannot be read is not none: guests would vanish on a reload. */
static void
test_no_folder(void)
{
	struct place p;
	place_make(&p);
	place_write(&p, "childhurd.ini", "[guest a]\nimage = /a\ncpus = none\n", -1);
	place_write(&p, "conf.d", "", 0);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_assert_null(config_load(p.file, errors));
	g_assert_cmpuint(errors->len, ==, 2); /* in the order of files */
	g_assert_nonnull(strstr(g_ptr_array_index(errors, 0), "childhurd.ini:3: [guest a] cpus: "));
	g_assert_nonnull(
	    strstr(g_ptr_array_index(errors, 1), "conf.d: cannot be read: Not a directory"));
	place_clear(&p);
}

/* More guests than there are ports by id, each with ports of its own. */
static void
test_many_guests(void)
{
	struct place p;
	place_make(&p);
	g_autoptr(GString) text = g_string_new("[defaults]\nimage = /i\n");
	for (int i = 0; i < 1000; i++)
		g_string_append_printf(text, "[guest g%d]\nssh-port = %d\nsecrets-port = %d\n", i,
				       20000 + i, 30000 + i);
	place_write(&p, "childhurd.ini", text->str, -1);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(p.file, errors);
	g_assert_nonnull(config);
	g_assert_cmpuint(config->guests->len, ==, 1000);
	g_assert_cmpint(config_find_guest(config, "g999")->secrets_port, ==, 30999);
	config_free(config);
	g_string_append(text, "[guest one-more]\n");
	place_write(&p, "childhurd.ini", text->str, -1);
	g_assert_null(config_load(p.file, errors));
	g_assert_cmpuint(errors->len, ==, 1);
	g_assert_nonnull(strstr(g_ptr_array_index(errors, 0),
				":3003: [guest one-more]: there are more than 1000 guests"));
	place_clear(&p);
}

/* A few lines, and each of a thousand guests would have a megabyte of them. */
static void
test_large(void)
{
	struct place p;
	place_make(&p);
	g_autoptr(GString) text = g_string_new("[defaults]\nkernel = /k\n");
	for (int i = 0; i < 60000; i++)
		g_string_append(text, "module = a b\n");
	g_string_append(text, "[guest a]\ncount = 50\n");
	place_write(&p, "childhurd.ini", text->str, -1);
	g_autofree char *modules = g_strdup_printf(
	    "%s:67: [defaults] module: one too many; a guest has at most 64 modules", p.file);
	assert_refused(p.file, modules);

	g_autofree char *value = g_strnfill(16384, 'x');
	g_string_printf(text, "[guest a]\nkernel = /k\nkernel-arguments =%s\n", value);
	place_write(&p, "childhurd.ini", text->str, -1);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(p.file, errors);
	g_assert_nonnull(config);
	config_free(config);
	g_string_insert(text, (gssize)text->len - 1, "x");
	place_write(&p, "childhurd.ini", text->str, -1);
	g_assert_null(config_load(p.file, errors));
	g_assert_nonnull(strstr(g_ptr_array_index(errors, 0), ":3: \"kernel-arguments =xxx"));
	g_assert_nonnull(strstr(g_ptr_array_index(errors, 0),
				"the value is too long; it has at most 16384 bytes"));

	g_string_assign(text, "[guest a]\nimage = /i\nqemu-options =");
	for (int i = 0; i < 257; i++)
		g_string_append(text, " -s");
	place_write(&p, "childhurd.ini", text->str, -1);
	g_autofree char *words = g_strdup_printf(
	    "%s:3: [guest a] qemu-options: has 257 words; it has at most 256", p.file);
	assert_refused(p.file, words);

	g_string_assign(text, "[defaults]\nkernel = /k\n");
	for (int i = 0; i < 60; i++)
		g_string_append_printf(text, "module = %.16000s\n", value);
	for (int i = 0; i < 100; i++)
		g_string_append_printf(text, "[guest g%d]\nssh-port=%d\nsecrets-port=%d\n", i,
				       20000 + i, 30000 + i);
	place_write(&p, "childhurd.ini", text->str, -1);
	g_autofree char *all = g_strdup_printf(
	    "%s:270: [guest g69]: the values of all guests up to here have more than "
	    "64 MiB; make them shorter, or have fewer guests",
	    p.file);
	assert_refused(p.file, all);
	place_clear(&p);
}

/* Wherever a # or a blank stands in a long line, nothing of it is lost. */
static void
test_long_value_whole(void)
{
	struct place p;
	place_make(&p);
	for (gsize length = 150; length < 420; length++) {
		g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
		g_autofree char *left = g_strnfill(length, 'x');
		g_autofree char *blanks = g_strnfill(length - 149, ' ');
		g_autofree char *value = g_strdup_printf("%s#[=:%s#y", left, blanks);
		g_autofree char *text = g_strdup_printf(
		    "[guest a]\nkernel = /k\nkernel-arguments = %s\ncpus = 3\n", value);
		place_write(&p, "childhurd.ini", text, -1);
		struct config *config = config_load(p.file, errors);
		g_assert_nonnull(config);
		const struct config_guest *a = config_find_guest(config, "a");
		g_assert_cmpstr(a->kernel_arguments, ==, value);
		g_assert_cmpint(a->cpus, ==, 3);
		config_free(config);
	}
	place_clear(&p);
}

static void
test_bytes(void)
{
	struct place p;
	place_make(&p);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	static const char nul[] = "[guest a]\nimage = /a\0b\n";
	place_write(&p, "childhurd.ini", nul, sizeof nul - 1);
	g_assert_null(config_load(p.file, errors));
	g_assert_nonnull(strstr(g_ptr_array_index(errors, errors->len - 1), ":2: a NUL byte"));

	place_write(&p, "childhurd.ini",
		    "\xef\xbb\xbf[guest a]\r\nimage = /a\r\nprobe-command = test \xc3\xa9", -1);
	struct config *config = config_load(p.file, errors);
	g_assert_nonnull(config);
	const struct config_guest *a = config_find_guest(config, "a");
	g_assert_cmpstr(a->image, ==, "/a");
	g_assert_cmpstr(a->probe_command, ==, "test \xc3\xa9");
	config_free(config);

	g_autoptr(GPtrArray) more = g_ptr_array_new_with_free_func(g_free);
	place_write(&p, "childhurd.ini", "[guest a]\nimage = /\xff\n", -1);
	g_assert_null(config_load(p.file, more));
	g_assert_true(
	    g_utf8_validate(g_ptr_array_index(more, 0), -1, NULL)); /* it can be printed */
	place_clear(&p);
}

/* Only the first is one; the next belongs to the line. */
static void
test_second_mark(void)
{
	static const char before[] =
	    "stands before the first section; put it below [daemon], [defaults] or [guest NAME]";
	static const char *const lines[][3] = {
	    {"[guest b]", "\"\\xfeff[guest b]\"", "neither [SECTION] nor KEY = VALUE"},
	    {"[guest b =", "\\xfeff[guest b", before},
	    {"[guest=b]", "\\xfeff[guest", before},
	    {"cpus = 2", "\\xfeffcpus", before},
	};
	struct place p;
	place_make(&p);
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autofree char *text = g_strdup_printf(
		    "\xef\xbb\xbf\xef\xbb\xbf%s\n[guest a]\nimage = /a\n", lines[i][0]);
		g_autofree char *wrong =
		    g_strdup_printf("%s:1: %s: %s", p.file, lines[i][1], lines[i][2]);
		place_write(&p, "childhurd.ini", text, -1);
		assert_refused(p.file, wrong);
	}
	place_clear(&p);
}

static void
test_long_line(void)
{
	struct place p;
	place_make(&p);
	for (gsize length = 100; length < 6000; length += 37) {
		g_autoptr(GString) text =
		    g_string_new("[guest a]\nkernel = /k\nkernel-arguments = ");
		g_autoptr(GString) value = g_string_new(NULL);
		g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
		while (value->len < length)
			g_string_append_printf(value, "%sword%zu=a;b", value->len ? " " : "",
					       value->len);
		g_string_append_printf(text, "%s\t; a comment\ncpus = 3\n", value->str);
		place_write(&p, "childhurd.ini", text->str, -1);
		struct config *config = config_load(p.file, errors);
		g_assert_nonnull(config);
		const struct config_guest *a = config_find_guest(config, "a");
		g_assert_cmpstr(a->kernel_arguments, ==, value->str);
		g_assert_cmpint(a->cpus, ==, 3);
		config_free(config);
	}
	place_clear(&p);
}

static void
test_locale(void)
{
	struct config_guest guest = {0};
	setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is there, 1,8 is how a number is written */
	g_assert_null(value_set(key_find("speed", KEY_GUEST), "1.5", "/", &guest));
	g_assert_cmpint((int)(guest.speed * 10), ==, 15);
	setlocale(LC_ALL, "C");
}

static void
test_forgotten_unit(void)
{
	static const char *const cases[][2] = {
	    {"256", "\"256\" is out of range; it is 16M to 1024G (256 bytes; did you mean 256M?)"},
	    {"2", "\"2\" is out of range; it is 16M to 1024G (2 bytes; did you mean 2G?)"},
	    {"256K", "\"256K\" is out of range; it is 16M to 1024G"},
	    {"0", "\"0\" is out of range; it is 16M to 1024G"},
	    {"-5", "\"-5\" is out of range; it is 16M to 1024G"},
	    {"9999999999999999", "\"9999999999999999\" is out of range; it is 16M to 1024G"}};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct config_guest guest = {0};
		g_autofree char *what =
		    value_set(key_find("memory-size", KEY_GUEST), cases[i][0], "/", &guest);
		g_assert_cmpstr(what, ==, cases[i][1]);
	}
}

static void
test_differences(void)
{
	struct place p;
	place_make(&p);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	place_write(&p, "childhurd.ini",
		    "[guest a]\nimage=/i\n[guest b]\nimage=/i\nmemory-size=1G\nsystems=i586-gnu "
		    "x86_64-gnu\n",
		    -1);
	struct config *config = config_load(p.file, errors);
	const struct config_guest *a = config_find_guest(config, "a"),
				  *b = config_find_guest(config, "b");
	g_auto(GStrv) same = config_guest_differences(a, a);
	g_auto(GStrv) differ = config_guest_differences(a, b);
	g_autofree char *list = g_strjoinv(" ", differ);
	g_assert_cmpuint(g_strv_length(same), ==, 0);
	g_assert_cmpstr(list, ==, "id ssh-port secrets-port memory-size systems");
	config_free(config);
	place_clear(&p);
}

static void
test_owners(void)
{
	struct place p;
	place_make(&p);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	place_write(&p, "childhurd.ini", "[guest a]\nimage=/i\n[guest b]\nimage=/i\n", -1);
	struct config *config = config_load(p.file, errors);
	const struct config_guest *a = config_guest_ref(config_find_guest(config, "a"));
	g_assert_cmpuint(a->owners, ==, 2);
	g_assert_cmpuint(config_find_guest(config, "b")->owners, ==, 1);
	config_free(config);
	g_assert_cmpuint(a->owners, ==, 1);
	g_assert_cmpstr(a->name, ==, "a");
	config_guest_unref(a);
	config_guest_unref(config_guest_ref(NULL));
	struct config_guest uncounted = {.name = NULL};
	config_guest_unref(config_guest_ref(&uncounted));
	g_assert_cmpuint(uncounted.owners, ==, 0);
	place_clear(&p);
}

/* As text, and made of it again, a guest is the same; what the text does not name is another's. */
static void
test_words(void)
{
	const char *const files[] = {
	    "values", "template-and-multiboot", "comments", "odd-bytes", "long-lines", "ports",
	    "forward"};
	guint seen = 0;
	for (gsize f = 0; f < G_N_ELEMENTS(files); f++) {
		g_autofree char *path = g_strdup_printf("tests/config/%s.ini", files[f]);
		g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
		struct config *config = config_load(path, errors);
		for (guint i = 0; config && i < config->guests->len; i++) {
			const struct config_guest *guest = g_ptr_array_index(config->guests, i);
			g_auto(GStrv) words = config_guest_words(guest);
			struct config_guest *again =
			    config_guest_from(guest->name, (const char *const *)words, NULL);
			g_assert_nonnull(again);
			g_auto(GStrv) differ = config_guest_differences(guest, again);
			g_assert_null(differ[0]);
			g_assert_cmpstr(again->name, ==, guest->name);
			config_guest_unref(again);
			const char *const few[] = {"cpus",	  "7", "image", "",
						   "no-such-key", "x", NULL};
			again = config_guest_from(guest->name, few, guest);
			g_assert_nonnull(again);
			g_assert_cmpint(again->cpus, ==, 7);
			g_assert_null(again->image);
			g_assert_cmpint(again->ssh_port, ==, guest->ssh_port);
			config_guest_unref(again);
			seen++;
		}
		config_free(config);
	}
	g_assert_cmpuint(seen, >, 5);
	const char *const damaged[] = {"ssh-port", "x", NULL}, *const none[] = {NULL};
	g_assert_null(config_guest_from("a", damaged, NULL));
	g_assert_null(config_guest_from("a", none, NULL)); /* it has no ports */
	const char *const forward[] = {"ssh-port", "1000", "secrets-port", "2000", "forward",
				       "x",	   NULL};
	g_assert_null(config_guest_from("a", forward, NULL));
}

/* A record that another program has written may have too many of them. */
static void
test_too_many(void)
{
	struct config_guest guest = {0};
	const struct key *forward = key_find("forward", KEY_GUEST);
	for (int i = 0; i < VALUE_FORWARDS_MAX; i++)
		g_assert_null(value_set(forward, "8080 -> 80", "/", &guest));
	g_autofree char *what = value_set(forward, "8080 -> 80", "/", &guest);
	g_autofree char *expected =
	    g_strdup_printf("one too many; a guest has at most %d forwards", VALUE_FORWARDS_MAX);
	g_assert_cmpstr(what, ==, expected);
	value_clear(forward, &guest);
}

/* In a shell, such a line has no words. */
static void
test_no_words(void)
{
	struct config_guest guest = {0};
	const struct key *options = key_find("qemu-options", KEY_GUEST);
	g_assert_null(value_set(options, "# -s", "/", &guest));
	g_assert_nonnull(guest.qemu_options);
	g_assert_null(guest.qemu_options[0]);
	value_clear(options, &guest);
}

static void
test_modules_differ(void)
{
	const struct key *module = key_find("module", KEY_GUEST_ONLY);
	const char *const lines[][2] = {{"/a x", NULL}, {"/a y", NULL}, {"/a x", "/b"}};
	struct config_guest guests[G_N_ELEMENTS(lines)] = {{0}};
	if (!module)
		module = key_find("module", KEY_GUEST);
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
		for (gsize j = 0; j < 2 && lines[i][j]; j++)
			g_assert_null(value_set(module, lines[i][j], "/", &guests[i]));
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
		for (gsize j = 0; j < G_N_ELEMENTS(lines); j++)
			g_assert_cmpint(value_equal(module, &guests[i], &guests[j]), ==, i == j);
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
		value_clear(module, &guests[i]);
}

static void
test_reached_at(void)
{
	struct config_guest guest = {.listen_address = (char *)"0.0.0.0"};
	g_assert_cmpstr(config_guest_reached_at(&guest), ==, "127.0.0.1");
	guest.listen_address = (char *)"192.0.2.1";
	g_assert_cmpstr(config_guest_reached_at(&guest), ==, "192.0.2.1");
}

/* A file whose content cannot be read: a process's memory, at 0. */
static void
test_unreadable(void)
{
	assert_refused("/proc/self/mem", "/proc/self/mem: cannot be read: Input/output error");
}

/* One name for a folder, however it is written, and before it is there. */
static void
test_resolve(void)
{
	struct place p;
	place_make(&p);
	g_autofree char *link = g_build_filename(p.dir, "link", NULL);
	g_autofree char *real = realpath(p.dir, NULL);
	g_assert_cmpint(symlink(p.dir, link), ==, 0);
	const char *const spelled[][2] = {{"link", ""}, {"link/new/state", "/new/state"}};
	for (gsize i = 0; i < G_N_ELEMENTS(spelled); i++) {
		struct config config = {.state_directory =
					    g_build_filename(p.dir, spelled[i][0], NULL)};
		g_autofree char *expected = g_strconcat(real, spelled[i][1], NULL);
		config_resolve(&config);
		g_assert_cmpstr(config.state_directory, ==, expected);
		g_free(config.state_directory);
	}
	/* below a file there is no folder: as it is written */
	place_write(&p, "childhurd.ini", "", -1);
	struct config config = {.state_directory = g_build_filename(p.file, "state", NULL)};
	config_resolve(&config);
	g_autofree char *expected = g_build_filename(p.file, "state", NULL);
	g_assert_cmpstr(config.state_directory, ==, expected);
	g_free(config.state_directory);
	g_unlink(link);
	place_clear(&p);
}

static void
test_table(void)
{
	for (gsize i = 0; i < n_keys; i++) {
		g_assert_nonnull(keys[i].meaning);
		for (gsize j = 0; j < i; j++)
			g_assert_cmpstr(keys[i].name, !=, keys[j].name);
	}
	g_assert_cmpstr(key_suggest("memory", KEY_GUEST), ==, "memory-size");
	g_assert_cmpstr(key_suggest("imgae", KEY_GUEST), ==, "image");
	g_assert_null(key_suggest("quite-another-thing", KEY_GUEST));
}

static void
test_ordinary_user(void)
{
	if (g_test_subprocess()) {
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		g_setenv("XDG_CONFIG_HOME", "/c", TRUE);
		g_setenv("XDG_STATE_HOME", "/s", TRUE);
		g_setenv("XDG_RUNTIME_DIR", "/r", TRUE);
		g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
		struct config *config = config_load(NULL, errors);
		g_assert_nonnull(config);
		g_autofree char *missing = config_missing(config);
		g_assert_true(g_str_has_prefix(
		    missing, "no configuration: /c/childhurd/childhurd.ini does not exist; "));
		g_assert_cmpstr(config->state_directory, ==, "/s/childhurd");
		g_assert_cmpstr(config->runtime_directory, ==, "/r/childhurd");
		g_assert_cmpstr(config->secrets_directory, ==, "/c/childhurd/secrets");
		config_free(config);
		g_unsetenv("XDG_RUNTIME_DIR");
		g_setenv("XDG_STATE_HOME", "relative",
			 TRUE); /* ignored, as the specification says */
		g_setenv("XDG_CACHE_HOME", "/cache", TRUE);
		config = config_load(NULL, errors);
		g_assert_nonnull(config);
		g_autofree char *state =
		    g_build_filename(g_get_home_dir(), ".local/state/childhurd", NULL);
		g_assert_cmpstr(config->state_directory, ==, state);
		g_assert_cmpstr(config->runtime_directory, ==, "/cache/childhurd");
		config_free(config);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

static void
test_service_manager(void)
{
	if (g_test_subprocess()) {
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		g_setenv("XDG_CONFIG_HOME", "/c", TRUE);
		g_setenv("XDG_STATE_HOME", "/s", TRUE);
		g_setenv("XDG_RUNTIME_DIR", "/r", TRUE);
		g_setenv("CONFIGURATION_DIRECTORY", "/etc/other:/etc/childhurd", TRUE);
		g_setenv("STATE_DIRECTORY", "/var/lib/world", TRUE); /* another service's */
		g_setenv("RUNTIME_DIRECTORY", "/run/childhurd", TRUE);
		g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
		struct config *config = config_load(NULL, errors);
		g_assert_nonnull(config);
		g_assert_cmpstr(config->secrets_directory, ==, "/etc/childhurd/secrets");
		g_assert_cmpstr(config->state_directory, ==, "/s/childhurd");
		g_assert_cmpstr(config->runtime_directory, ==, "/run/childhurd");
		config_free(config);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

/* What is not given follows from what the image turns out to be. */
static void
test_settle(void)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load("tests/config/kinds.ini", errors);
	g_assert_nonnull(config);
	const struct config_guest *open = config_find_guest(config, "unknown");
	const struct config_guest *given = config_find_guest(config, "other");
	const char *key;
	struct config_guest *settled =
	    config_guest_settle(open, CONFIG_ARCHITECTURE_X86_64, CONFIG_DISTRIBUTION_DEBIAN);
	g_auto(GStrv) differ = config_guest_differences(open, settled);
	g_autofree char *list = g_strjoinv(" ", differ);
	g_assert_cmpstr(list, ==, "machine inject offloading user systems");
	g_assert_cmpstr(settled->machine, ==, "q35");
	g_assert_cmpstr(settled->systems[0], ==, "x86_64-gnu");
	g_assert_cmpint(settled->inject, ==, CONFIG_INJECT_IMAGE);
	g_assert_true(config_guest_is_64(settled));
	g_assert_cmpstr(settled->file, ==, open->file);
	g_assert_cmpint(settled->line, ==, open->line);
	struct config_guest *back =
	    config_guest_settle(settled, CONFIG_ARCHITECTURE_AUTO, CONFIG_DISTRIBUTION_AUTO);
	g_auto(GStrv) none = config_guest_differences(open, back);
	g_assert_null(*none);
	struct config_guest *same =
	    config_guest_settle(given, CONFIG_ARCHITECTURE_X86_64, CONFIG_DISTRIBUTION_DEBIAN);
	g_auto(GStrv) nothing = config_guest_differences(given, same);
	g_assert_null(*nothing);
	/* 4 GiB may be too much, once that is known */
	const struct config_guest *large = config_find_guest(config, "large");
	struct config_guest *fits =
	    config_guest_settle(large, CONFIG_ARCHITECTURE_X86_64, CONFIG_DISTRIBUTION_AUTO);
	g_autofree char *misfit = config_guest_misfit(large, &key);
	g_autofree char *good = config_guest_misfit(fits, &key);
	g_assert_nonnull(misfit);
	g_assert_null(good);
	config_guest_unref(settled);
	config_guest_unref(back);
	config_guest_unref(same);
	config_guest_unref(fits);
	config_free(config);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GDir) dir = g_dir_open("tests/config", 0, NULL);
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	const char *name;
	while (dir && (name = g_dir_read_name(dir))) {
		if (!g_str_has_suffix(name, ".ini"))
			continue;
		g_autofree char *test = g_strdup_printf("/config/pairs/%s", name);
		char *path = g_build_filename("tests/config", name, NULL);
		g_ptr_array_add(paths, path);
		g_test_add_data_func(test, path, test_pair);
	}
	g_test_add_func("/config/drop-ins-are-read-in-order-and-override", test_drop_ins);
	g_test_add_func("/config/drop-ins-are-read-in-byte-order-of-their-names", test_order);
	g_test_add_func("/config/a-named-file-has-to-be-there", test_missing);
	g_test_add_func("/config/what-is-no-file-is-not-read-for-ever", test_no_files);
	g_test_add_func("/config/a-folder-that-cannot-be-read-is-an-error", test_no_folder);
	g_test_add_func("/config/a-thousand-guests-and-no-more", test_many_guests);
	g_test_add_func("/config/a-small-configuration-costs-little", test_large);
	g_test_add_func("/config/a-long-value-stays-whole", test_long_value_whole);
	g_test_add_func("/config/nul-bytes-crlf-byte-order-marks-and-bad-utf8", test_bytes);
	g_test_add_func("/config/a-file-has-one-byte-order-mark", test_second_mark);
	g_test_add_func("/config/lines-may-be-long", test_long_line);
	g_test_add_func("/config/numbers-do-not-depend-on-the-locale", test_locale);
	g_test_add_func("/config/a-size-without-its-unit-is-known", test_forgotten_unit);
	g_test_add_func("/config/two-guests-are-compared-by-key", test_differences);
	g_test_add_func("/config/a-guest-stays-until-its-last-owner-goes", test_owners);
	g_test_add_func("/config/a-guest-is-kept-as-text", test_words);
	g_test_add_func("/config/a-kept-guest-has-limits-too", test_too_many);
	g_test_add_func("/config/options-may-be-a-comment", test_no_words);
	g_test_add_func("/config/modules-differ-by-file-arguments-and-number", test_modules_differ);
	g_test_add_func("/config/a-guest-on-all-addresses-is-reached-at-the-loopback",
			test_reached_at);
	g_test_add_func("/config/a-file-that-cannot-be-read-is-an-error", test_unreadable);
	g_test_add_func("/config/the-state-directory-has-one-name", test_resolve);
	g_test_add_func("/config/what-is-not-given-follows-from-the-image", test_settle);
	g_test_add_func("/config/the-table-is-sound-and-suggests", test_table);
	g_test_add_func("/config/an-ordinary-user-has-the-xdg-folders", test_ordinary_user);
	g_test_add_func("/config/folders-that-a-service-manager-made-for-us-come-first",
			test_service_manager);
	return g_test_run();
}
