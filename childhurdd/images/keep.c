/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/images/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "childhurdd/images/make.h"
#include "childhurdd/images/obtain.h"
#include "childhurdd/images/show.h"
#include "childhurdd/images/stage.h"
#include "childhurdd/qemu/image.h"
#include "config/base/io_error.h"
#include "config/base/text.h"

#define LEAKS	   3 /* exit status of qemu-img check: some clusters are lost, none is wrong */
#define SAID_MAX   300
#define COLUMNS	   7
#define DATE_BYTES 32

/* --- the list --- */

/* One image: kept, begun or only known; foreign: nothing of ours. */
struct entry {
	const char *name, *state;
	gint64 size, disk; /* bytes of the file, of the guest's disk; -1: unknown */
	struct image_record record;
	const char *url; /* borrowed */
};

static void
look_at_image(const struct store *store, struct entry *entry, GPtrArray *faults)
{
	g_autofree char *path = store_image(store, entry->name);
	g_autoptr(GError) error = NULL;
	struct image image;
	struct stat st;
	entry->state = "kept";
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		entry->state = "foreign";
		return;
	}
	if (!image_record_read(path, &entry->record, &error))
		g_ptr_array_add(faults, g_strdup(error->message));
	if (stat(path, &st) == 0)
		entry->size = st.st_size;
	if (image_probe(path, NULL, &image, NULL)) {
		entry->disk = image.size;
		image_clear(&image);
	}
}

static void
look(const struct store *store, const GPtrArray *table, const char *name, struct entry *entry,
     GPtrArray *faults)
{
	const struct known *known = known_find(table, name);
	gboolean kept = store_has(store, name);
	char *from = NULL;
	gint64 begun = kept ? -1 : obtain_begun(store, name, &from);
	*entry = (struct entry){.name = name, .size = begun, .disk = -1, .record.url = from};
	entry->state = begun >= 0 ? "begun" : "known";
	if (kept)
		look_at_image(store, entry, faults);
	if (!kept && known) {
		entry->record.architecture = g_strdup(known->architecture);
		entry->record.distribution = g_strdup(known->distribution);
	}
	entry->url = entry->record.url ? entry->record.url : known ? known->url : NULL;
}

/* All names, sorted, each once. The caller frees. */
static char **
all_names(const struct store *store, const GPtrArray *table)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	g_auto(GStrv) kept = store_names(store), begun = store_begun(store);
	g_strv_builder_addv(names, (const char **)kept);
	for (char **name = begun; *name; name++)
		if (!g_strv_contains((const char *const *)kept, *name))
			g_strv_builder_add(names, *name);
	for (guint i = 0; i < table->len; i++) {
		const struct known *known = g_ptr_array_index(table, i);
		if (!g_strv_contains((const char *const *)kept, known->name) &&
		    !g_strv_contains((const char *const *)begun, known->name))
			g_strv_builder_add(names, known->name);
	}
	return g_strv_builder_end(names);
}

void
keep_names(const struct store *store, const GPtrArray *table)
{
	g_auto(GStrv) names = all_names(store, table);
	for (char **name = names; *name; name++)
		puts(*name);
}

static char *
date_text(gint64 when)
{
	time_t seconds = (time_t)when;
	struct tm tm;
	char text[DATE_BYTES] = "-";
	if (when > 0 && localtime_r(&seconds, &tm))
		text[strftime(text, sizeof text, "%Y-%m-%d", &tm)] = '\0';
	return g_strdup(text);
}

/* The cells of a line; the caller frees. */
static char **
cells_of(const struct entry *entry)
{
	char **cells = g_new0(char *, COLUMNS + 1);
	const struct image_record *record = &entry->record;
	cells[0] = g_strdup(entry->name);
	cells[1] = g_strdup(entry->state);
	cells[2] = entry->size < 0 ? g_strdup("-") : show_size(entry->size);
	cells[3] = g_strdup(record->architecture ? record->architecture : "-");
	cells[4] = g_strdup(record->distribution ? record->distribution : "-");
	cells[5] = date_text(record->when);
	cells[6] = text_output(entry->url ? entry->url : "-", TRUE, TRUE);
	return cells;
}

/* Columns of a terminal for the last cell, where an image is from, which is the longest; 0: it is
 * shown as it is. */
static int
terminal_room(const gsize widths[COLUMNS])
{
	struct winsize size = {0};
	int room;
	if (!isatty(STDOUT_FILENO))
		return 0;
	room = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col ? 80 : size.ws_col;
	for (int c = 0; c + 1 < COLUMNS; c++)
		room -= (int)widths[c] + 2;
	return MAX(room, 1);
}

static void
print_table(const GPtrArray *lines)
{
	gsize widths[COLUMNS] = {0};
	for (guint i = 0; i < lines->len; i++)
		for (int c = 0; c < COLUMNS; c++) {
			char **cells = g_ptr_array_index(lines, i);
			widths[c] = MAX(widths[c], strlen(cells[c]));
		}
	int room = terminal_room(widths);
	for (guint i = 0; i < lines->len; i++) {
		char **cells = g_ptr_array_index(lines, i);
		for (int c = 0; c + 1 < COLUMNS; c++)
			printf("%-*s  ", (int)widths[c], cells[c]);
		if (room > 0 && g_utf8_strlen(cells[COLUMNS - 1], -1) > room) {
			g_autofree char *begin =
			    g_utf8_substring(cells[COLUMNS - 1], 0, MAX(room - 3, 0));
			printf("%s%.*s\n", begin, MIN(room, 3), "...");
		} else {
			puts(cells[COLUMNS - 1]);
		}
	}
}

static void
add_text(JsonBuilder *builder, const char *key, const char *text)
{
	if (!text)
		return;
	json_builder_set_member_name(builder, key);
	json_builder_add_string_value(builder, text);
}

static void
add_number(JsonBuilder *builder, const char *key, gint64 number)
{
	if (number < 0)
		return;
	json_builder_set_member_name(builder, key);
	json_builder_add_int_value(builder, number);
}

static void
add_json(JsonBuilder *builder, const struct store *store, const struct entry *entry)
{
	g_autofree char *file = store_image(store, entry->name);
	json_builder_begin_object(builder);
	add_text(builder, "name", entry->name);
	add_text(builder, "state", entry->state);
	add_text(builder, "file", strcmp(entry->state, "kept") ? NULL : file);
	add_number(builder, "size", entry->size);
	add_number(builder, "disk", entry->disk);
	add_text(builder, "architecture", entry->record.architecture);
	add_text(builder, "distribution", entry->record.distribution);
	add_text(builder, "url", entry->url);
	add_text(builder, "sha512", entry->record.sha512);
	add_number(builder, "when", entry->record.when > 0 ? entry->record.when : -1);
	json_builder_end_object(builder);
}

static void
print_json(JsonBuilder *builder)
{
	g_autoptr(JsonNode) root = json_builder_get_root(builder);
	g_autofree char *text = json_to_string(root, FALSE);
	puts(text);
}

void
keep_list(const struct store *store, const GPtrArray *table, gboolean json, GPtrArray *faults)
{
	g_auto(GStrv) names = all_names(store, table);
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_ptr_array_add(
	    lines, g_strsplit("NAME STATE SIZE ARCHITECTURE DISTRIBUTION SINCE FROM", " ", -1));
	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "images");
	json_builder_begin_array(builder);
	for (char **name = names; *name; name++) {
		struct entry entry;
		look(store, table, *name, &entry, faults);
		g_ptr_array_add(lines, cells_of(&entry));
		add_json(builder, store, &entry);
		image_record_clear(&entry.record);
	}
	json_builder_end_array(builder);
	json_builder_end_object(builder);
	if (json)
		print_json(builder);
	else
		print_table(lines);
}

/* --- is it whole? --- */

static gboolean
fail_absent(const struct store *store, const char *name, GError **error)
{
	g_autofree char *path = store_image(store, name);
	g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED,
		    "%s: there is no image of that name (%s); childhurdctl image list shows all",
		    name, path);
	return FALSE;
}

static void problem(const char *name, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
problem(const char *name, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *clean = text_output(text, TRUE, TRUE);
	printf("%-8s %s: %s\n", "problem", name, clean);
}

/* By qemu-img, which counts each cluster. FALSE: a problem is printed, or an error. */
static gboolean
check_clusters(const struct store *store, const char *name, int fd, GError **error)
{
	g_autofree char *program = make_tool("qemu-img", "qemu-utils", error);
	g_autofree char *file = g_strdup_printf("/proc/self/fd/%d", STAGE_FILE(0));
	const char *const argv[] = {program, "check", "-f", "qcow2", file, NULL};
	const struct stage stage = {.title = "checking",
				    .kind = SANDBOX_TOOL,
				    .user = qemu_user_identity(store->user),
				    .files = &fd,
				    .n_files = 1,
				    .argv = argv};
	int status = 0;
	g_autofree char *said = NULL;
	/* Root would run it as root. */
	if (geteuid() == 0 && !store->user) {
		qemu_user_free(qemu_user_find(store->config->qemu_user, error));
		return FALSE;
	}
	if (!program || !stage_run(&stage, &status, &said, error))
		return FALSE;
	if (status == 0 || status == LEAKS)
		return TRUE;
	g_autofree char *text = text_said(said, "qemu-img: ", "; ", SAID_MAX);
	problem(name, "qemu-img check: %s", text);
	return FALSE;
}

static gboolean
check_record(const char *name, const char *path, const struct stat *st)
{
	struct image_record record;
	g_autoptr(GError) why = NULL;
	if (!image_record_read(path, &record, &why)) {
		problem(name, "%s", why->message);
		return FALSE;
	}
	gboolean same = !record.size || record.size == st->st_size;
	if (!same)
		problem(name,
			"has %" G_GINT64_FORMAT " bytes, and had %" G_GINT64_FORMAT
			" when it was made; fetch or add it anew",
			(gint64)st->st_size, record.size);
	image_record_clear(&record);
	return same;
}

gboolean
keep_check(const struct store *store, const char *name, GError **error)
{
	struct stat st;
	struct image image;
	g_autoptr(GError) why = NULL;
	g_autofree char *path = store_image(store, name);
	if (!store_has(store, name))
		return fail_absent(store, name, error);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		io_error(error, path, NULL);
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	gboolean good = image_probe(path, NULL, &image, &why);
	if (good)
		image_clear(&image);
	else
		problem(name, "%s", why->message);
	good = good && check_record(name, path, &st) && check_clusters(store, name, fd, error);
	close(fd);
	if (good)
		printf("%-8s %s: %s is whole\n", "ok", name, path);
	return good;
}

/* --- who stands on it? --- */

static gboolean
is_file(const char *path, const struct stat *file)
{
	struct stat st;
	return path && stat(path, &st) == 0 && st.st_dev == file->st_dev &&
	       st.st_ino == file->st_ino;
}

static gboolean
refuse(const char *name, const char *user, GError **error)
{
	g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: %s stands on it; %s", name, user,
		    strchr(user, '/')
			? "childhurdctl reset NAME discards a guest's disk, and the disk "
			  "of a guest that is no longer configured can be removed"
			: "give the guest another image, and reload");
	return FALSE;
}

/* Does a disk in the folder of a guest have the image below it? Its path; the caller frees. */
static char *
disk_on(const struct store *store, const char *folder, const struct stat *file)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const struct identity *user = qemu_user_identity(store->user);
	const char *entry;
	char *found = NULL;
	while (dir && !found && (entry = g_dir_read_name(dir))) {
		struct image image;
		g_autofree char *path = g_build_filename(folder, entry, NULL);
		if (!g_str_has_suffix(entry, ".qcow2") || g_file_test(path, G_FILE_TEST_IS_SYMLINK))
			continue;
		/* The disk is QEMU's, and may be anything. */
		identity_enter(user);
		gboolean good = image_probe_overlay(path, &image, NULL);
		identity_leave(user);
		if (good && is_file(image.backing, file))
			found = g_steal_pointer(&path);
		if (good)
			image_clear(&image);
	}
	return found;
}

static gboolean
check_users(const struct store *store, const char *name, const char *path, GError **error)
{
	struct stat file;
	const char *entry;
	/* Nobody stands on a link to nothing. */
	if (stat(path, &file) < 0)
		return errno == ENOENT || errno == ELOOP || io_error(error, path, NULL);
	for (guint i = 0; i < store->config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(store->config->guests, i);
		g_autofree char *user = g_strdup_printf("guest %s", guest->name);
		if (is_file(guest->image, &file))
			return refuse(name, user, error);
	}
	g_autoptr(GDir) dir = g_dir_open(store->config->state_directory, 0, NULL);
	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *folder =
		    g_build_filename(store->config->state_directory, entry, NULL);
		g_autofree char *disk =
		    strcmp(entry, IMAGE_FOLDER) ? disk_on(store, folder, &file) : NULL;
		if (disk)
			return refuse(name, disk, error);
	}
	return TRUE;
}

static gboolean
remove_file(const struct store *store, const char *name, const char *suffix, GError **error)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL);
	g_autofree char *path = g_build_filename(store->path, file, NULL);
	return unlinkat(store->folder, file, 0) == 0 || errno == ENOENT ||
	       io_error(error, path, "cannot be removed");
}

gboolean
keep_remove(const struct store *store, const char *name, GError **error)
{
	g_autofree char *path = store_image(store, name);
	gboolean kept = store_has(store, name);
	if (!kept && obtain_begun(store, name, NULL) < 0)
		return fail_absent(store, name, error);
	if (kept && !check_users(store, name, path, error))
		return FALSE;
	int lock = store_lock(store, name, error);
	if (lock < 0)
		return FALSE;
	gboolean good = remove_file(store, name, IMAGE_SUFFIX, error) &&
			remove_file(store, name, IMAGE_RECORD_SUFFIX, error);
	store_clear_unfinished(store, name);
	close(lock);
	if (good)
		printf("%s is removed\n", name);
	return good;
}
