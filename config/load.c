/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From files to a checked configuration: which files, defaults, templates. All errors are
 * collected, and reported in the order of files and lines.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/image_name.h"
#include "config/kinds.h"
#include "config/load_internal.h"
#include "config/value.h"

#define GUESTS_BYTES_MAX (64 * 1024 * 1024) /* of the values of all guests */
#define SOCKET_PATH_MAX	 107		    /* unix(7): sun_path */
#define SSH_PORT	 10022
#define SECRETS_PORT	 11004
#define PORT_STEP	 1000
#define PORT_MAX	 65535

/* --- messages --- */

void
load_fault(struct loader *l, const char *file, int line, const char *section, const char *key,
	   const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *title = value_printable(section);
	g_autofree char *name = key ? value_printable(key) : NULL;
	char *text = key ? g_strdup_printf("[%s] %s: %s", title, name, what)
			 : g_strdup_printf("[%s]: %s", title, what);
	ini_error_add(l->errors, file, line, text);
}

static gint
file_rank(const struct loader *l, const char *file)
{
	guint i = G_MAXINT;
	g_ptr_array_find_with_equal_func(l->files, file, g_str_equal, &i);
	return (gint)i;
}

static gint
by_place(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct ini_error *x = *(struct ini_error *const *)a,
			       *y = *(struct ini_error *const *)b;
	gint rank = file_rank(data, x->file) - file_rank(data, y->file);
	return rank ? rank : x->line - y->line;
}

static void
tell_errors(struct loader *l, GPtrArray *messages)
{
	g_ptr_array_sort_with_data(l->errors, by_place, l);
	for (guint i = 0; i < l->errors->len; i++)
		g_ptr_array_add(messages, ini_error_message(g_ptr_array_index(l->errors, i)));
}

void
load_find_place(struct loader *l, const char *section, const char *key, const char **file,
		int *line)
{
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		if (entry->key && !strcmp(entry->key, key) && !strcmp(entry->section, section)) {
			*file = entry->file;
			*line = entry->line;
		}
	}
}

/* --- guests --- */

void
load_apply(struct loader *l, const char *section, enum key_scope scope, void *owner,
	   gboolean *given)
{
	g_autofree const char **files = g_new0(const char *, n_keys); /* of repeated keys */
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		if (!entry->key || strcmp(entry->section, section))
			continue;
		const struct key *key = key_find(entry->key, scope);
		if (!key || !strcmp(key->name, "count") ||
		    (key->scope == KEY_GUEST_ONLY && !strcmp(section, "defaults")))
			continue;
		/* Its values in one section of one file replace all earlier ones. */
		if (key_is_repeated(key) && files[key - keys] != entry->file) {
			value_clear(key, owner);
			files[key - keys] = entry->file;
		}
		g_autofree char *what = value_set(key, entry->value, l->folder, owner);
		if (what)
			continue;
		given[key - keys] = TRUE;
		if (scope == KEY_GUEST)
			l->bytes += strlen(entry->value);
	}
}

void
load_set_standards(void *owner, enum key_scope scope)
{
	for (gsize i = 0; i < n_keys; i++) {
		if (!key_is_of(&keys[i], scope) || !keys[i].standard ||
		    !strcmp(keys[i].name, "count"))
			continue;
		g_autofree char *what = value_set(&keys[i], keys[i].standard, "/", owner);
		g_assert(!what);
	}
}

/* Only a port that follows from the id can be too high. */
static gboolean
check_highest_port(struct loader *l, const struct config_guest *guest)
{
	int port = MAX(guest->ssh_port, guest->secrets_port);
	if (port <= PORT_MAX)
		return TRUE;
	crosscheck_fault(
	    l, guest, "id",
	    "%d of %s makes a port %d, and they end at %d; give an id of at most %d, or "
	    "ssh-port and secrets-port",
	    guest->id, guest->name, port, PORT_MAX, (PORT_MAX - SECRETS_PORT) / PORT_STEP);
	return FALSE;
}

static struct config_guest *
make_guest(struct loader *l, const struct section *s, int number)
{
	struct config_guest *guest = g_new0(struct config_guest, 1);
	guest->owners = 1;
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	guest->name = s->count > 1 ? g_strdup_printf("%s%d", s->name, number) : g_strdup(s->name);
	guest->template = g_strdup(s->name);
	guest->file = g_strdup(s->file);
	guest->line = s->line;
	load_set_standards(guest, KEY_GUEST);
	load_apply(l, "defaults", KEY_GUEST, guest, given);
	load_apply(l, s->title, KEY_GUEST, guest, given);
	if (guest->image && !strchr(guest->image, '/')) {
		g_autofree char *name = guest->image;
		guest->image = image_file(l->config->state_directory, name);
	}
	for (gsize i = 0; i < n_keys; i++)
		if (!given[i])
			guest->follows |= kind_bit(&keys[i]);
	kind_apply(guest);
	if (!guest->modules)
		guest->modules = g_ptr_array_new();
	if (!guest->forwards)
		guest->forwards = g_ptr_array_new();
	gboolean has_id = given[key_find("id", KEY_GUEST) - keys];
	guest->id = has_id ? guest->id + number - 1 : (int)l->config->guests->len;
	if (!given[key_find("ssh-port", KEY_GUEST) - keys])
		guest->ssh_port = SSH_PORT + PORT_STEP * guest->id;
	if (!given[key_find("secrets-port", KEY_GUEST) - keys])
		guest->secrets_port = SECRETS_PORT + PORT_STEP * guest->id;
	return guest;
}

static void
make_guests(struct loader *l)
{
	for (guint i = 0; i < l->sections->len; i++) {
		const struct section *s = g_ptr_array_index(l->sections, i);
		if (s->kind->scope != KEY_GUEST)
			continue;
		if ((int)l->config->guests->len + s->count > GUESTS_MAX) {
			load_fault(l, s->file, s->line, s->title, "count",
				   "more than %d guests in all", GUESTS_MAX);
			return;
		}
		gboolean good = TRUE; /* or reported, once for the section */
		for (int number = 1; number <= s->count; number++) {
			struct config_guest *guest = make_guest(l, s, number);
			g_ptr_array_add(l->config->guests, guest);
			if (number == 1)
				crosscheck_guest(l, guest);
			if (l->bytes > GUESTS_BYTES_MAX) {
				load_fault(
				    l, s->file, s->line, s->title, NULL,
				    "the values of all guests up to here have more than %d MiB; "
				    "make them shorter, or have fewer guests",
				    GUESTS_BYTES_MAX >> 20);
				return;
			}
			good = good && check_highest_port(l, guest);
		}
	}
}

/* --- the daemon, and the whole --- */

static gint
by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* conf.d beside the main file, which may be missing. */
static void
find_drop_ins(struct loader *l)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	DIR *dir = opendir(l->drop_ins);
	if (!dir && errno != ENOENT)
		ini_error_add(l->errors, l->drop_ins, 0,
			      g_strdup_printf("cannot be read: %s", g_strerror(errno)));
	const struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.' && g_str_has_suffix(entry->d_name, ".ini"))
			g_ptr_array_add(found, g_build_filename(l->drop_ins, entry->d_name, NULL));
	if (dir)
		closedir(dir);
	g_ptr_array_sort(found, by_name);
	for (guint i = 0; i < found->len; i++)
		g_ptr_array_add(l->files, g_ptr_array_index(found, i));
}

/* Was the folder chosen, instead of being our user's standard one? */
static gboolean
is_named(const gboolean *given, const char *key, const char *from_service)
{
	g_autofree char *made = places_of_service(from_service);
	return made || given[key_find(key, KEY_DAEMON) - keys];
}

/* Given or found, the folder cannot be used. */
static void
refuse_folder(struct loader *l, const char *key, const char *path, const char *what)
{
	const char *file = g_ptr_array_index(l->files, 0);
	int line = 0;
	g_autofree char *quoted = value_quote(path);
	load_find_place(l, "daemon", key, &file, &line);
	load_fault(l, file, line, "daemon", key, "%s %s", quoted, what);
}

/* Paths in it are in the published ssh_config, where nothing can stand for these two
 * (ssh_config(5), ENVIRONMENT VARIABLES). */
static void
check_folder(struct loader *l, const char *key, const char *path)
{
	if (strstr(path, "${"))
		refuse_folder(l, key, path,
			      "has ${, which ssh replaces in a path; name a folder without it");
}

static void
set_daemon(struct loader *l)
{
	struct config *config = l->config;
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	load_set_standards(config, KEY_DAEMON);
	config->state_directory = places_folder("STATE_DIRECTORY", "/var/lib/childhurd",
						"XDG_STATE_HOME", ".local/state");
	config->runtime_directory = places_runtime_folder();
	config->secrets_directory = g_build_filename(l->folder, "secrets", NULL);
	config->parallel_starts = (int)g_get_num_processors();
	load_apply(l, "daemon", KEY_DAEMON, config, given);
	config->folders_named = is_named(given, "state-directory", "STATE_DIRECTORY") &&
				is_named(given, "runtime-directory", "RUNTIME_DIRECTORY");
	check_folder(l, "state-directory", config->state_directory);
	check_folder(l, "runtime-directory", config->runtime_directory);
	if (strlen(config->runtime_directory) + strlen("/control") > SOCKET_PATH_MAX) {
		g_autofree char *what =
		    g_strdup_printf("is too long for a socket in it; it has at most %d bytes",
				    SOCKET_PATH_MAX - (int)strlen("/control"));
		refuse_folder(l, "runtime-directory", config->runtime_directory, what);
	}
}

/* The default file may be missing. One that exists and cannot be read is an error. */
static gboolean
is_missing(const char *file)
{
	struct stat status;
	return lstat(file, &status) < 0 && errno == ENOENT;
}

struct config *
config_load(const char *file, GPtrArray *errors)
{
	g_autofree char *main_file =
	    file ? g_canonicalize_filename(file, NULL) : config_default_file();
	struct loader l = {.files = g_ptr_array_new_with_free_func(g_free),
			   .entries = g_ptr_array_new_with_free_func(ini_entry_free),
			   .errors = g_ptr_array_new_with_free_func(ini_error_free),
			   .sections = g_ptr_array_new_with_free_func(section_free),
			   .folder = g_path_get_dirname(main_file),
			   .config = g_new0(struct config, 1)};
	gboolean present = file || !is_missing(main_file);
	l.config->guests = g_ptr_array_new();
	l.config->coordinators = g_ptr_array_new_with_free_func(coordinator_free);
	l.config->nodes = g_ptr_array_new_with_free_func(config_node_free);
	l.drop_ins = g_build_filename(l.folder, "conf.d", NULL);
	g_ptr_array_add(l.files, g_strdup(main_file));
	if (present)
		l.config->file = g_strdup(main_file);
	l.config->looked_for = g_strdup(main_file);
	l.config->files = g_ptr_array_new_with_free_func(g_free);
	find_drop_ins(&l);
	for (guint i = present ? 0 : 1; i < l.files->len; i++) {
		ini_read(g_ptr_array_index(l.files, i), l.entries, l.errors);
		g_ptr_array_add(l.config->files, g_strdup(g_ptr_array_index(l.files, i)));
	}
	sections_check(&l);
	set_daemon(&l);
	make_guests(&l);
	coordinators_make(&l);
	config_nodes_make(&l);
	crosscheck_pairs(&l);

	gboolean good = l.errors->len == 0;
	tell_errors(&l, errors);
	g_ptr_array_unref(l.errors);
	g_ptr_array_unref(l.entries);
	g_ptr_array_unref(l.sections);
	g_ptr_array_unref(l.files);
	g_free(l.folder);
	g_free(l.drop_ins);
	if (good)
		return l.config;
	config_free(l.config);
	return NULL;
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	for (guint i = 0; i < config->guests->len; i++)
		config_guest_unref(g_ptr_array_index(config->guests, i));
	g_ptr_array_unref(config->guests);
	g_ptr_array_unref(config->coordinators);
	g_ptr_array_unref(config->nodes);
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope == KEY_DAEMON)
			value_clear(&keys[i], config);
	g_free(config->secrets_directory);
	g_ptr_array_unref(config->files);
	g_free(config->looked_for);
	g_free(config->file);
	g_free(config);
}

char *
config_missing(const struct config *config)
{
	if (config->files->len)
		return NULL;
	return g_strdup_printf(
	    "no configuration: %s does not exist; write it (see "
	    "childhurd.ini(5)), or name another file (childhurdd --config FILE, childhurdctl "
	    "check FILE)",
	    config->looked_for);
}

const struct config_guest *
config_find_guest(const struct config *config, const char *name)
{
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		if (!strcmp(guest->name, name))
			return guest;
	}
	return NULL;
}
