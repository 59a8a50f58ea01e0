/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each step that reads what somebody else has made is a stage. The tools get their files by
 * descriptor, as /proc/self/fd/N, so they need no way through the folders.
 *
 * The steps go through a raw disk even for a qcow2 image, because e2fsck knows no other. It is
 * sparse, and is gone when the image is there.
 */
#include "childhurdd/images/make.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/images/file_systems.h"
#include "childhurdd/images/room.h"
#include "childhurdd/images/stage.h"
#include "childhurdd/images/unpack.h"
#include "childhurdd/qemu/image.h"
#include "config/base/text.h"

#define E2FSCK_FIXED 3 /* the bits of its exit status that are no failure: e2fsck(8) */
#define SAID_MAX     300

/* An image on its way. */
struct making {
	const struct store *store;
	struct show *show;
	const char *name, *source;
	int file;	      /* the source */
	int raw;	      /* the raw disk; -1: not yet */
	int image;	      /* the qcow2 image; -1: not yet */
	gint64 size;	      /* bytes of the source */
	gint64 content;	      /* bytes of data in a qcow2 image */
	GArray *file_systems; /* offsets in the raw disk */
};

static gboolean fail(GError **error, const char *source, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
fail(GError **error, const char *source, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: %s", source, text);
	return FALSE;
}

char *
make_tool(const char *program, const char *package, GError **error)
{
	static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};
	char *found = g_find_program_in_path(program);
	for (gsize i = 0; !found && i < G_N_ELEMENTS(folders); i++) {
		found = g_build_filename(folders[i], program, NULL);
		if (access(found, X_OK) < 0)
			g_clear_pointer(&found, g_free);
	}
	if (!found)
		g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED,
			    "%s is not installed; install %s", program, package);
	return found;
}

static gboolean
on_at(void *data, const char *line)
{
	struct making *m = data;
	gint64 at;
	if (sscanf(line, "at %" G_GINT64_FORMAT, &at) != 1)
		return FALSE;
	show_bytes(m->show, at, m->size);
	return TRUE;
}

static const struct identity *
worker(const struct making *m)
{
	return qemu_user_identity(m->store->user);
}

/* --- unpacking --- */

static gboolean
unpack(struct making *m, GError **error)
{
	const int files[] = {m->file, m->raw};
	struct unpack unpack = {.size = m->size};
	const struct stage stage = {.title = "unpacking",
				    .kind = SANDBOX_PARSER,
				    .user = worker(m),
				    .files = files,
				    .n_files = G_N_ELEMENTS(files),
				    .work = unpack_work,
				    .data = &unpack,
				    .on_line = on_at,
				    .hearer = m};
	show_begin(m->show, "unpacking");
	if (stage_run(&stage, NULL, NULL, error))
		return TRUE;
	g_prefix_error(error, "%s: ", m->source);
	return FALSE;
}

/* What to do, for one who has the source and not our own file of this path. The caller frees. */
static char *
advice_for(const struct making *m, const char *advice, const char *path)
{
	/* There is no such key here. */
	static const char key[] = "; if it is meant, state image-format = raw";
	gsize length = strlen(advice) - (g_str_has_suffix(advice, key) ? strlen(key) : 0);
	g_autofree char *text = g_strndup(advice, length);
	g_auto(GStrv) parts = g_strsplit(text, path, -1);
	gboolean packed = unpack_is_packed(m->file);
	g_autofree char *named = g_strjoinv(packed ? "FILE" : m->source, parts);
	return packed ? g_strdup_printf("what is in it, FILE, %s", named) : g_steal_pointer(&named);
}

/* The format of the disk that was unpacked. */
static gboolean
probe(struct making *m, int fd, struct image *image, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *head = g_strconcat(path, ": ", NULL);
	if (image_probe(path, NULL, image, &why))
		return TRUE;
	const char *advice = why->message;
	if (g_str_has_prefix(advice, head))
		advice += strlen(head);
	g_autofree char *text = advice_for(m, advice, path);
	return fail(error, m->source, "%s", text);
}

/* --- qemu-img --- */

/* Its progress, "    (12.34/100%)". */
static gboolean
on_percent(void *data, const char *line)
{
	struct making *m = data;
	struct stat st;
	double percent;
	if (sscanf(line, " (%lf/100%%)", &percent) != 1)
		return FALSE;
	if (percent >= 0 && percent <= 100 && fstat(m->raw, &st) == 0)
		show_bytes(m->show, (gint64)((double)st.st_blocks * 512 * percent / 100),
			   (gint64)st.st_blocks * 512);
	return TRUE;
}

/* Convert one open file to another. */
static gboolean
convert(struct making *m, int from, const char *format, int to, const char *to_format,
	GError **error)
{
	g_autofree char *program = make_tool("qemu-img", "qemu-utils", error);
	const int files[] = {from, to};
	g_autofree char *in = g_strdup_printf("/proc/self/fd/%d", STAGE_FILE(0)),
			*out = g_strdup_printf("/proc/self/fd/%d", STAGE_FILE(1));
	const char *const argv[] = {program, "convert", "-p", "-f", format,
				    "-O",    to_format, in,   out,  NULL};
	const struct stage stage = {.title = "converting",
				    .kind = SANDBOX_TOOL,
				    .user = worker(m),
				    .files = files,
				    .n_files = G_N_ELEMENTS(files),
				    .argv = argv,
				    .on_line = on_percent,
				    .hearer = m};
	int status = 0;
	g_autofree char *said = NULL;
	if (!program || !stage_run(&stage, &status, &said, error))
		return FALSE;
	if (status == 0)
		return TRUE;
	g_autofree char *text = text_said(said, "qemu-img: ", "; ", SAID_MAX);
	return fail(error, m->source, "qemu-img cannot convert it: %s", text);
}

static gboolean
on_measured(void *data, const char *line)
{
	struct making *m = data;
	return sscanf(line, "required size: %" G_GINT64_FORMAT, &m->content) == 1 ||
	       g_str_has_prefix(line, "fully allocated size: ");
}

/* Is there room for what is in the qcow2 image, as the raw disk and as ours? */
static gboolean
check_content(struct making *m, int packed, GError **error)
{
	g_autofree char *program = make_tool("qemu-img", "qemu-utils", error);
	g_autofree char *in = g_strdup_printf("/proc/self/fd/%d", STAGE_FILE(0));
	const char *const argv[] = {program, "measure", "-f", "qcow2", "-O", "qcow2", in, NULL};
	const struct stage stage = {.title = "measuring",
				    .kind = SANDBOX_TOOL,
				    .user = worker(m),
				    .files = &packed,
				    .n_files = 1,
				    .argv = argv,
				    .on_line = on_measured,
				    .hearer = m};
	int status = 0;
	g_autofree char *said = NULL;
	if (!program || !stage_run(&stage, &status, &said, error))
		return FALSE;
	if (status || m->content < 0) {
		g_autofree char *text = text_said(said, "qemu-img: ", "; ", SAID_MAX);
		return fail(error, m->source, "qemu-img cannot measure it: %s", text);
	}
	m->content = MIN(m->content, SANDBOX_FILE_SIZE);
	if (room_check(packed, 2 * m->content, "the unpacked disk and the image made of it take",
		       error))
		return TRUE;
	g_prefix_error(error, "%s: ", m->source);
	return FALSE;
}

/* A qcow2 image becomes the raw disk, for e2fsck. */
static gboolean
to_raw(struct making *m, GError **error)
{
	int packed = m->raw;
	struct image image;
	if (!probe(m, packed, &image, error))
		return FALSE;
	gboolean qcow2 = !strcmp(image.format, "qcow2");
	gint64 size = image.size;
	image_clear(&image);
	if (!qcow2)
		return TRUE;
	if (size > SANDBOX_FILE_SIZE) {
		g_autofree char *is = show_size(size), *most = show_size(SANDBOX_FILE_SIZE);
		return fail(error, m->source, "is a disk of %s, and may be one of %s", is, most);
	}
	if (!check_content(m, packed, error))
		return FALSE;
	show_begin(m->show, "unpacking the qcow2 image");
	m->raw = store_unfinished(m->store, m->name, "disk", TRUE, TRUE, error);
	gboolean good = m->raw >= 0 && convert(m, packed, "qcow2", m->raw, "raw", error);
	close(packed);
	store_remove_unfinished(m->store, m->name, "raw");
	return good;
}

static gboolean
to_image(struct making *m, GError **error)
{
	struct stat st;
	show_begin(m->show, "converting to qcow2");
	if (fstat(m->raw, &st) == 0 &&
	    !room_check(m->raw, (gint64)st.st_blocks * 512, "the image takes", error)) {
		g_prefix_error(error, "%s: ", m->source);
		return FALSE;
	}
	m->image = store_unfinished(m->store, m->name, "qcow2", TRUE, TRUE, error);
	return m->image >= 0 && convert(m, m->raw, "raw", m->image, "qcow2", error);
}

/* --- file systems --- */

static gboolean
on_ext2(void *data, const char *line)
{
	struct making *m = data;
	gint64 offset;
	if (sscanf(line, "ext2 %" G_GINT64_FORMAT, &offset) != 1)
		return FALSE;
	if (offset >= 0 && m->file_systems->len < FILE_SYSTEMS_MAX)
		g_array_append_val(m->file_systems, offset);
	return TRUE;
}

static gboolean
find_file_systems(struct making *m, GError **error)
{
	const struct stage stage = {.title = "looking for file systems",
				    .kind = SANDBOX_PARSER,
				    .user = worker(m),
				    .files = &m->raw,
				    .n_files = 1,
				    .work = file_systems_work,
				    .on_line = on_ext2,
				    .hearer = m};
	return stage_run(&stage, NULL, NULL, error);
}

static gboolean
check_file_system(struct making *m, gint64 offset, GError **error)
{
	g_autofree char *program = make_tool("e2fsck", "e2fsprogs", error);
	g_autofree char *file =
	    g_strdup_printf("/proc/self/fd/%d?offset=%" G_GINT64_FORMAT, STAGE_FILE(0), offset);
	const char *const argv[] = {program, "-f", "-y", file, NULL};
	const struct stage stage = {.title = "checking the file system",
				    .kind = SANDBOX_TOOL,
				    .user = worker(m),
				    .files = &m->raw,
				    .n_files = 1,
				    .argv = argv};
	int status = 0;
	g_autofree char *said = NULL;
	if (!program || !stage_run(&stage, &status, &said, error))
		return FALSE;
	if (status & ~E2FSCK_FIXED) {
		g_autofree char *text = text_said(said, NULL, "; ", SAID_MAX);
		return fail(error, m->source,
			    "e2fsck cannot repair the file system at byte %" G_GINT64_FORMAT ": %s",
			    offset, text);
	}
	if (status)
		show_say(m->show, "e2fsck has repaired its file system at byte %" G_GINT64_FORMAT,
			 offset);
	return TRUE;
}

static gboolean
check_file_systems(struct making *m, GError **error)
{
	show_begin(m->show, "checking its file systems");
	if (!find_file_systems(m, error))
		return FALSE;
	if (!m->file_systems->len)
		show_say(m->show, "no ext2 file system is in it, so none was checked");
	for (guint i = 0; i < m->file_systems->len; i++)
		if (!check_file_system(m, g_array_index(m->file_systems, gint64, i), error))
			return FALSE;
	return TRUE;
}

/* --- all of it --- */

static void
drop_raw(struct making *m)
{
	if (m->raw >= 0)
		close(m->raw);
	m->raw = -1;
	store_remove_unfinished(m->store, m->name, "raw");
	store_remove_unfinished(m->store, m->name, "disk");
}

static gboolean
run(struct making *m, const struct image_record *record, GError **error)
{
	struct stat st;
	struct image image;
	if (fstat(m->file, &st) < 0)
		return fail(error, m->source, "%s", g_strerror(errno));
	m->size = S_ISREG(st.st_mode) ? st.st_size : (gint64)lseek(m->file, 0, SEEK_END);
	m->raw = store_unfinished(m->store, m->name, "raw", TRUE, TRUE, error);
	if (m->raw < 0 || !unpack(m, error) || !to_raw(m, error) || !check_file_systems(m, error) ||
	    !to_image(m, error) || !probe(m, m->image, &image, error))
		return FALSE;
	image_clear(&image);
	/* What of the raw disk is not on the disk yet need not get there any more. */
	drop_raw(m);
	show_begin(m->show, "writing it to the disk");
	return store_finish(m->store, m->name, m->image, record, error);
}

gboolean
make_image(const struct store *store, struct show *show, const char *name, int file,
	   const char *source, const struct image_record *record, GError **error)
{
	struct making m = {.store = store,
			   .show = show,
			   .name = name,
			   .source = source,
			   .file = file,
			   .raw = -1,
			   .image = -1,
			   .file_systems = g_array_new(FALSE, FALSE, sizeof(gint64))};
	gboolean good = run(&m, record, error);
	show_hide(show);
	drop_raw(&m);
	if (m.image >= 0)
		close(m.image);
	store_remove_unfinished(store, name, "qcow2"); /* there only if it has failed */
	g_array_unref(m.file_systems);
	return good;
}
