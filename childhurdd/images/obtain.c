/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is fetched is believed by its SHA512 alone: the one that was given, the table's, the one
 * that was found the last time, or the one that SHA512SUMS beside the file has. The last is
 * believed because it came by https, and is kept, so that the file at that address is the same for
 * good. Nothing is unpacked before the digest is right.
 *
 * The file so far, NAME.part, is the lock of that name as well. NAME.ini beside it says which file
 * it is, and the server's own name for that version.
 */
#include "childhurdd/images/obtain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/digest.h"
#include "childhurdd/images/fetch.h"
#include "childhurdd/images/make.h"
#include "childhurdd/images/show.h"
#include "childhurdd/images/stage.h"
#include "config/base/io_error.h"
#include "config/ini.h"

#define SUMS	     "SHA512SUMS"
#define PART_SECTION "part"

/* A fetch while it runs. */
struct obtaining {
	const struct obtain *obtain;
	const struct store *store;
	struct show show;
	char *name, *url;
	char *sha512;
	const char *pinned_by; /* what the digest is from, for messages */
	int part;
	char *validator;
	gint64 at, total;
	gboolean anew;		   /* the server did not continue the file */
	gboolean whole;		   /* the file is there, and has its digest */
	const struct known *known; /* NULL: an address */
	gboolean plain;		   /* the digest was given, or is in the table: http will do */
};

/* --- what to fetch --- */

/* The name of an image that comes from url: its last part without endings. NULL: none can be made
 * of it. The caller frees. */
static char *
name_of(const char *url)
{
	static const char *const endings[] = {".xz",  ".gz",  ".zst",  ".tar",
					      ".img", ".raw", ".qcow2"};
	gsize length = strcspn(url, "?#");
	g_autofree char *path = g_strndup(url, length), *name = g_path_get_basename(path);
	for (gsize i = 0; i < G_N_ELEMENTS(endings); i++)
		if (g_str_has_suffix(name, endings[i]))
			name[strlen(name) - strlen(endings[i])] = '\0';
	return image_name_is_good(name) ? g_steal_pointer(&name) : NULL;
}

static gboolean
fail_unknown(const struct obtain *obtain, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);
	for (guint i = 0; i < obtain->table->len; i++) {
		const struct known *known = g_ptr_array_index(obtain->table, i);
		g_string_append_printf(names, "%s%s", i ? ", " : "", known->name);
	}
	return stage_fail(
	    error, STAGE_ERROR_USAGE,
	    "%s: no image of that name is known; there are %s; or give an address, https://...",
	    obtain->what, names->len ? names->str : "none");
}

/* Name, address and what is known of them. */
static gboolean
choose(struct obtaining *o, GError **error)
{
	const struct obtain *obtain = o->obtain;
	gboolean address = strstr(obtain->what, "://") != NULL;
	o->known = address ? NULL : known_find(obtain->table, obtain->what);
	if (!address && !o->known)
		return fail_unknown(obtain, error);
	o->url = g_strdup(address ? obtain->what : o->known->url);
	o->name = obtain->name ? g_strdup(obtain->name)
		  : address    ? name_of(o->url)
			       : g_strdup(o->known->name);
	if (!o->name)
		return stage_fail(
		    error, STAGE_ERROR_USAGE,
		    "%s: no name can be made of it; give one: childhurdctl image fetch URL NAME",
		    o->url);
	const char *sha512 = obtain->sha512 ? obtain->sha512 : o->known ? o->known->sha512 : NULL;
	o->sha512 = sha512 ? g_ascii_strdown(sha512, -1) : NULL;
	o->pinned_by = obtain->sha512 ? "--sha512" : "the table of images";
	o->plain = o->sha512 != NULL;
	if (!fetch_may(o->url, NULL, o->plain, error))
		return FALSE;
	if (!store_has(o->store, o->name))
		return TRUE;
	return stage_fail(
	    error, STAGE_ERROR_FAILED,
	    "%s: the image is there already; childhurdctl image remove %s removes it, and "
	    "another name keeps both: childhurdctl image fetch %s NAME",
	    o->name, o->name, o->url);
}

/* --- the file so far --- */

/* What NAME.ini says of NAME.part, as far as it can be read. The caller frees both. */
static void
read_part(const struct store *store, const char *name, char **url, char **validator)
{
	g_autofree char *file = store_unfinished_path(store, name, "ini");
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(ini_entry_free);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(ini_error_free);
	*url = *validator = NULL;
	if (access(file, R_OK) == 0)
		ini_read(file, entries, errors);
	for (guint i = 0; i < entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(entries, i);
		char **value = !g_strcmp0(entry->key, "url")	     ? url
			       : !g_strcmp0(entry->key, "validator") ? validator
								     : NULL;
		if (!value || !*entry->value)
			continue;
		g_free(*value);
		*value = g_strdup(entry->value);
	}
}

/* Continue NAME.part if it is of this address. */
static void
look_at_part(struct obtaining *o)
{
	struct stat st;
	g_autofree char *url = NULL;
	if (fstat(o->part, &st) < 0 || st.st_size == 0)
		return;
	read_part(o->store, o->name, &url, &o->validator);
	if (!g_strcmp0(url, o->url)) {
		o->at = st.st_size;
		return;
	}
	g_clear_pointer(&o->validator, g_free);
	if (ftruncate(o->part, 0) == 0)
		o->at = 0;
}

static void
note_part(struct obtaining *o)
{
	g_autoptr(GString) text = g_string_new("[" PART_SECTION "]\n");
	ini_add_line(text, "url", o->url);
	if (o->validator)
		ini_add_line(text, "validator", o->validator);
	g_autofree char *file = g_strconcat(o->name, ".ini", NULL);
	/* Without it the file is fetched anew. */
	store_write(o->store, TRUE, file, text->str, NULL);
}

/* --- transfers --- */

static gboolean
on_fetch_line(void *data, const char *line)
{
	struct obtaining *o = data;
	gint64 number;
	if (sscanf(line, "at %" G_GINT64_FORMAT, &number) == 1) {
		o->at = number;
		show_bytes(&o->show, o->at, o->total);
	} else if (sscanf(line, "total %" G_GINT64_FORMAT, &number) == 1) {
		o->total = number;
	} else if (sscanf(line, "from %" G_GINT64_FORMAT, &number) == 1) {
		if (o->at > 0 && number == 0)
			show_say(&o->show, "the server has another file by now, or cannot continue "
					   "one; it is fetched from its beginning");
		if (o->at > 0)
			o->anew = number == 0;
		o->at = number;
		note_part(o);
		show_bytes(&o->show, o->at, o->total);
	} else if (!strcmp(line, "anew")) {
		o->anew = TRUE;
	} else if (g_str_has_prefix(line, "validator ")) {
		g_free(o->validator);
		o->validator = line[10] ? g_strdup(line + 10) : NULL;
	}
	return TRUE;
}

static gboolean
transfer(struct obtaining *o, int file, struct fetch *fetch,
	 gboolean (*on_line)(void *hearer, const char *line), GError **error)
{
	const struct stage stage = {.title = "fetching",
				    .kind = SANDBOX_NETWORK,
				    .user = qemu_user_identity(o->store->user),
				    .files = &file,
				    .n_files = 1,
				    .work = fetch_work,
				    .data = fetch,
				    .on_line = on_line,
				    .hearer = o};
	return stage_run(&stage, NULL, NULL, error);
}

static gboolean
on_no_line(void *data, const char *line)
{
	return TRUE;
}

/* The list of digests beside the file. NULL and an error: it cannot be fetched. The caller frees.
 */
static char *
fetch_sums(struct obtaining *o, const char *url, GError **error)
{
	struct fetch fetch = {
	    .url = (char *)url, .most = FETCH_LIST_MAX, .stall = o->obtain->stall};
	struct stat st;
	char *list = NULL;
	int file = memfd_create("sums", MFD_CLOEXEC);
	if (file < 0) {
		io_error(error, "memfd", NULL);
		return NULL;
	}
	if (transfer(o, file, &fetch, on_no_line, error) && fstat(file, &st) == 0) {
		list = g_malloc0((gsize)st.st_size + 1);
		if (pread(file, list, (gsize)st.st_size, 0) < 0)
			*list = '\0';
	}
	close(file);
	return list;
}

/* --- digests --- */

/* The digest that was found for this address before; NULL: none. The caller frees. */
static char *
pinned(const struct obtaining *o)
{
	g_autofree char *file = g_build_filename(o->store->path, STORE_PINS, NULL), *text = NULL;
	return g_file_get_contents(file, &text, NULL, NULL) ? digest_in_list(text, o->url) : NULL;
}

static gboolean
pin(const struct obtaining *o, GError **error)
{
	g_autofree char *file = g_build_filename(o->store->path, STORE_PINS, NULL), *before = NULL;
	if (!g_file_get_contents(file, &before, NULL, NULL))
		before = g_strdup("");
	g_autofree char *text = g_strdup_printf("%s%s  %s\n", before, o->sha512, o->url);
	return store_write(o->store, FALSE, STORE_PINS, text, error);
}

/* From SHA512SUMS in the file's folder. */
static gboolean
find_sums(struct obtaining *o, GError **error)
{
	gsize path = strcspn(o->url, "?#");
	g_autofree char *plain = g_strndup(o->url, path);
	g_autofree char *file = g_path_get_basename(plain), *folder = g_path_get_dirname(plain);
	g_autofree char *url = g_strconcat(folder, "/" SUMS, NULL);
	show_begin(&o->show, "fetching " SUMS);
	g_autofree char *list = fetch_sums(o, url, error);
	show_hide(&o->show);
	if (!list) {
		g_prefix_error(error, "%s: its digest is not known: ", o->name);
		return FALSE;
	}
	o->sha512 = digest_in_list(list, file);
	if (!o->sha512)
		return stage_fail(error, STAGE_ERROR_FAILED,
				  "%s: %s has no line for %s; give the digest with --sha512",
				  o->name, url, file);
	show_say(&o->show, "SHA512 %s, from %s", o->sha512, url);
	o->pinned_by = SUMS;
	return pin(o, error);
}

static gboolean
find_digest(struct obtaining *o, GError **error)
{
	if (o->sha512)
		return TRUE;
	o->sha512 = pinned(o);
	o->pinned_by = "an earlier fetch";
	return o->sha512 || find_sums(o, error);
}

static gboolean
on_hashed(void *data, gint64 bytes)
{
	struct obtaining *o = data;
	show_bytes(&o->show, bytes, o->at);
	return !stage_signal();
}

static gboolean
check_digest(struct obtaining *o, GError **error)
{
	show_begin(&o->show, "checking its SHA512");
	g_autofree char *is = digest_of(o->part, on_hashed, o);
	show_hide(&o->show);
	if (!is && stage_signal())
		return stage_fail(error, STAGE_ERROR_STOPPED, "stopped");
	if (!is) {
		g_autofree char *path = store_unfinished_path(o->store, o->name, "part");
		return io_error(error, path, "cannot be read");
	}
	if (!strcmp(is, o->sha512))
		return TRUE;
	store_clear_unfinished(o->store, o->name);
	g_autofree char *pins = g_build_filename(o->store->path, STORE_PINS, NULL);
	g_autofree char *cure =
	    strcmp(o->pinned_by, "an earlier fetch")
		? g_strdup("the file was changed, or damaged on its way; it is removed")
		: g_strdup_printf(
		      "the file at that address is another one by now; if that is meant, "
		      "remove its line from %s",
		      pins);
	return stage_fail(error, STAGE_ERROR_FAILED,
			  "%s: its SHA512 is %s, and should be %s (by %s); %s", o->url, is,
			  o->sha512, o->pinned_by, cure);
}

/* --- a fetch --- */

/* The transfer, as often as it goes on. */
static gboolean
fetch_all(struct obtaining *o, GError **error)
{
	int wait = OBTAIN_WAIT, left = OBTAIN_TRIES;
	gint64 most = o->at; /* what came once and was dropped is nothing new */
	for (;;) {
		GError *why = NULL;
		struct fetch fetch = {.url = o->url,
				      .plain = o->plain,
				      .have = o->at,
				      .validator = o->validator,
				      .most = FETCH_SIZE_MAX,
				      .share = OBTAIN_SHARE,
				      .stall = o->obtain->stall};
		if (transfer(o, o->part, &fetch, on_fetch_line, &why))
			return TRUE;
		struct stat st;
		if (fstat(o->part, &st) == 0)
			o->at = st.st_size;
		if (o->at - most > OBTAIN_LITTLE) {
			left = OBTAIN_TRIES;
			wait = OBTAIN_WAIT;
		}
		most = MAX(most, o->at);
		if (why->code != STAGE_ERROR_BROKEN || --left <= 0) {
			g_propagate_error(error, why);
			return FALSE;
		}
		show_say(&o->show, "%s; trying again in %d s", why->message, wait / 1000);
		g_error_free(why);
		if (!stage_wait(wait))
			return stage_fail(error, STAGE_ERROR_STOPPED, "stopped");
		wait *= 2;
	}
}

static gboolean
fetch_file(struct obtaining *o, GError **error)
{
	show_say(&o->show, "%s", o->url);
	look_at_part(o);
	if (o->at > 0) {
		g_autofree char *there = show_size(o->at);
		show_say(&o->show, "going on after %s that are there", there);
	}
	show_begin(&o->show, "fetching");
	gboolean good = fetch_all(o, error);
	show_hide(&o->show);
	o->anew = o->anew && !good;
	o->whole = good && check_digest(o, error);
	return o->whole;
}

static gint64
size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? (gint64)st.st_size : 0;
}

static void
say_done(struct show *show, const struct store *store, const char *name, gint64 began)
{
	g_autofree char *path = store_image(store, name);
	g_autofree char *size = show_size(size_of(path));
	show_say(show, "done in %.1f s: %s (%s); use it with image = %s",
		 (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC, path, size, name);
}

/* How to go on with what there is of the file. The caller frees. */
static char *
cure(const struct obtaining *o, const GError *error, gint64 size)
{
	g_autofree char *there = show_size(size);
	if (g_error_matches(error, STAGE_ERROR, STAGE_ERROR_ROOM))
		return g_strdup_printf(
		    "%s of it are there, and childhurdctl image remove %s frees them", there,
		    o->name);
	if (o->whole && !g_error_matches(error, STAGE_ERROR, STAGE_ERROR_STOPPED))
		return g_strdup_printf("the file is there (%s): the same command tries again, and "
				       "childhurdctl image remove %s removes it",
				       there, o->name);
	return g_strdup_printf("%s of it are there, and the same command goes on", there);
}

/* What a failure leaves, and how to go on. */
static void
add_cure(struct obtaining *o, GError **error)
{
	struct stat st;
	gboolean begun = fstat(o->part, &st) == 0 && st.st_nlink && st.st_size > 0;
	if (!begun || o->anew)
		store_clear_unfinished(o->store, o->name);
	if (!begun)
		return;
	g_autofree char *text =
	    o->anew ? g_strdup("the server did not continue the file, so nothing of it is kept")
		    : cure(o, *error, st.st_size);
	g_prefix_error(error, "%s: ", o->name);
	char *message = g_strdup_printf("%s; %s", (*error)->message, text);
	g_free((*error)->message);
	(*error)->message = message;
}

static gboolean
run(struct obtaining *o, GError **error)
{
	gint64 began = g_get_monotonic_time();
	struct image_record record = {0};
	o->part = store_lock(o->store, o->name, error);
	if (o->part < 0)
		return FALSE;
	if (!find_digest(o, error) || !fetch_file(o, error)) {
		add_cure(o, error);
		return FALSE;
	}
	record.url = o->url;
	record.sha512 = o->sha512;
	record.architecture = o->known ? o->known->architecture : NULL;
	record.distribution = o->known ? o->known->distribution : NULL;
	if (!make_image(o->store, &o->show, o->name, o->part, o->url, &record, error)) {
		add_cure(o, error);
		return FALSE;
	}
	store_clear_unfinished(o->store, o->name);
	say_done(&o->show, o->store, o->name, began);
	return TRUE;
}

gboolean
obtain_fetch(const struct obtain *obtain, GError **error)
{
	struct obtaining o = {.obtain = obtain, .store = obtain->store, .part = -1, .total = -1};
	gboolean good = choose(&o, error);
	show_init(&o.show, o.name);
	good = good && run(&o, error);
	show_clear(&o.show);
	if (o.part >= 0)
		close(o.part);
	g_free(o.name);
	g_free(o.url);
	g_free(o.sha512);
	g_free(o.validator);
	return good;
}

gint64
obtain_begun(const struct store *store, const char *name, char **url)
{
	struct stat st;
	g_autofree char *file = g_strconcat(name, ".part", NULL);
	int unfinished = store->folder < 0 ? -1
					   : openat(store->folder, STORE_UNFINISHED,
						    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	gboolean there =
	    unfinished >= 0 && fstatat(unfinished, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (unfinished >= 0)
		close(unfinished);
	g_autofree char *validator = NULL;
	if (there && url)
		read_part(store, name, url, &validator);
	return there ? (gint64)st.st_size : -1;
}

/* --- a file --- */

static gboolean
on_hashed_file(void *data, gint64 bytes)
{
	const struct stat *st = ((void **)data)[1];
	show_bytes(((void **)data)[0], bytes, st->st_size);
	return !stage_signal();
}

/* Is it something that has an end, and no more than a disk may have? */
static gboolean
is_a_file(const char *file, int fd, GError **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return io_error(error, file, NULL);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return stage_fail(error, STAGE_ERROR_FAILED,
				  "%s: is neither a regular file nor a block device", file);
	gint64 size = lseek(fd, 0, SEEK_END);
	if (size <= SANDBOX_FILE_SIZE)
		return TRUE;
	g_autofree char *is = show_size(size), *most = show_size(SANDBOX_FILE_SIZE);
	return stage_fail(error, STAGE_ERROR_FAILED, "%s: has %s, and may have %s", file, is, most);
}

/* FALSE and an error: its digest is another one than that which was given (NULL: none). */
static gboolean
is_given(struct show *show, const char *file, int fd, const char *sha512, GError **error)
{
	struct stat st = {0};
	if (!sha512)
		return TRUE;
	void *both[] = {show, &st};
	fstat(fd, &st);
	show_begin(show, "reading it");
	g_autofree char *is = digest_of(fd, on_hashed_file, both);
	show_hide(show);
	if (!is && stage_signal())
		return stage_fail(error, STAGE_ERROR_STOPPED, "stopped");
	if (!is)
		return io_error(error, file, "cannot be read");
	return !g_ascii_strcasecmp(is, sha512) ||
	       stage_fail(error, STAGE_ERROR_FAILED,
			  "%s: its SHA512 is %s, and should be %s (by --sha512)", file, is, sha512);
}

gboolean
obtain_add(const struct store *store, const char *name, const char *file, int fd,
	   const char *sha512, GError **error)
{
	gint64 began = g_get_monotonic_time();
	struct image_record record = {0};
	struct show show;
	if (store_has(store, name))
		return stage_fail(
		    error, STAGE_ERROR_FAILED,
		    "%s: the image is there already; childhurdctl image remove %s removes it", name,
		    name);
	int lock = is_a_file(file, fd, error) ? store_lock(store, name, error) : -1;
	if (lock < 0)
		return FALSE;
	show_init(&show, name);
	record.url = g_filename_to_uri(file, NULL, NULL);
	record.sha512 = sha512 ? g_ascii_strdown(sha512, -1) : NULL;
	gboolean good = is_given(&show, file, fd, sha512, error) &&
			make_image(store, &show, name, fd, file, &record, error);
	if (good)
		say_done(&show, store, name, began);
	show_clear(&show);
	store_clear_unfinished(store, name);
	close(lock);
	image_record_clear(&record);
	return good;
}
