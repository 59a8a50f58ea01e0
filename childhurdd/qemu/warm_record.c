/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file has one fact on each line, and ends with a line that shows that it is whole. */
#include "childhurdd/qemu/warm_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/qemu/base.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/system/process.h"
#include "config/base/atomic_file.h"
#include "config/base/io_error.h"

#define END "whole"

static const struct {
	const char *key;  /* in the file */
	const char *what; /* for people */
	gboolean shown;	  /* the fact itself says something to people */
} facts[N_WARM_FACTS] = {
    [WARM_QEMU] = {"qemu", "QEMU's version", TRUE},
    [WARM_EMULATOR] = {"emulator", "the emulator", TRUE},
    [WARM_DOMAIN] = {"domain", "the machine's configuration", FALSE},
    [WARM_IMAGE] = {"image", "the image", FALSE},
    [WARM_KERNEL] = {"kernel", "kernel or modules", FALSE},
    [WARM_SECRETS] = {"secrets", "what is put into the guest", FALSE},
    [WARM_PREPARE] = {"prepare", "prepare-command", FALSE},
    [WARM_CPU] = {"cpu", "this host's processor", FALSE},
    [WARM_BOOT] = {"boot", "this host's boot", FALSE},
};

void
warm_record_clear(struct warm_record *record)
{
	g_clear_pointer(&record->tag, g_free);
	for (int i = 0; i < N_WARM_FACTS; i++)
		g_clear_pointer(&record->facts[i], g_free);
}

void
warm_record_copy(struct warm_record *to, const struct warm_record *from)
{
	warm_record_clear(to);
	to->tag = g_strdup(from->tag);
	to->saved = from->saved;
	for (int i = 0; i < N_WARM_FACTS; i++)
		to->facts[i] = g_strdup(from->facts[i]);
}

char *
warm_record_path(const char *overlay)
{
	g_autofree char *folder = g_path_get_dirname(overlay);
	return g_build_filename(folder, "disk.warm", NULL);
}

/* --- what the facts are found out of --- */

static char *
digest(const char *text)
{
	return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

struct warm_subject *
warm_subject_new(const struct warm_spec *spec)
{
	const struct config_guest *guest = spec->domain->guest;
	struct warm_subject *subject = g_rc_box_new0(struct warm_subject);
	g_autoptr(GPtrArray) kernel = g_ptr_array_new();
	g_autofree char *xml = domain_lasting(spec->domain);
	if (guest->kernel)
		g_ptr_array_add(kernel, g_strdup(guest->kernel));
	for (guint i = 0; i < guest->modules->len; i++) {
		const struct config_module *module = g_ptr_array_index(guest->modules, i);
		g_ptr_array_add(kernel, g_strdup(module->file));
	}
	g_ptr_array_add(kernel, NULL);
	subject->kernel = (char **)g_ptr_array_steal(kernel, NULL);
	subject->overlay = g_strdup(spec->domain->disk);
	subject->image = g_strdup(guest->image);
	subject->emulator = g_strdup(spec->domain->emulator);
	subject->domain = digest(xml);
	subject->secrets = g_strdup(spec->secrets);
	subject->prepare = spec->prepare ? digest(spec->prepare) : g_strdup("");
	subject->memory = guest->memory_size;
	subject->kvm = spec->domain->kvm;
	subject->synced = guest->disk == CONFIG_DISK_PERSISTENT;
	return subject;
}

void
warm_subject_clear(void *data)
{
	struct warm_subject *subject = data;
	g_free(subject->overlay);
	g_free(subject->image);
	g_free(subject->emulator);
	g_strfreev(subject->kernel);
	g_free(subject->domain);
	g_free(subject->secrets);
	g_free(subject->prepare);
}

/* --- the file --- */

gboolean
warm_record_read(const char *path, struct warm_record *record)
{
	g_autofree char *text = NULL;
	gboolean whole = FALSE;
	*record = (struct warm_record){0};
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		char *value = strchr(*line, ' ');
		whole |= !strcmp(*line, END);
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(*line, "saved"))
			record->saved = g_ascii_strtoll(value, NULL, 10);
		else if (!strcmp(*line, "tag") && !record->tag)
			record->tag = g_strdup(value);
		for (int i = 0; i < N_WARM_FACTS; i++)
			if (!strcmp(*line, facts[i].key) && !record->facts[i])
				record->facts[i] = g_strdup(value);
	}
	for (int i = 0; i < N_WARM_FACTS; i++)
		whole &= record->facts[i] != NULL;
	return whole && record->tag;
}

gboolean
warm_record_write(const char *path, const struct warm_record *record, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append_printf(text, "tag %s\nsaved %" G_GINT64_FORMAT "\n", record->tag,
			       record->saved);
	for (int i = 0; i < N_WARM_FACTS; i++) {
		g_autofree char *line = g_strdelimit(g_strdup(record->facts[i]), "\r\n", ' ');
		g_string_append_printf(text, "%s %s\n", facts[i].key, line);
	}
	g_string_append(text, END "\n");
	return atomic_file_write(path, text->str, -1, 0600, error);
}

gboolean
warm_record_remove(const char *path, GError **error)
{
	if (unlink(path) < 0)
		return errno == ENOENT || io_error(error, path, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean good = (fd >= 0 && fsync(fd) == 0) || io_error(error, folder, NULL);
	if (fd >= 0)
		close(fd);
	return good;
}

/* --- the facts of now --- */

/* A file as a line: its real path, size and time. */
static char *
file_line(const char *what, const char *file, gint64 *changed, GError **error)
{
	struct stat st;
	lane_touch(what, file);
	char *real = realpath(file, NULL);
	if (!real || stat(real, &st) < 0) {
		io_error(error, file, NULL);
		free(real);
		return NULL;
	}
	*changed =
	    MAX(*changed, st.st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_ctim.tv_nsec);
	char *line =
	    g_strdup_printf("%s, %" G_GINT64_FORMAT " bytes of %" G_GINT64_FORMAT ".%09ld", real,
			    (gint64)st.st_size, (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	free(real);
	return line;
}

static char *
kernel_fact(char **kernel, gint64 *changed, GError **error)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	for (char **file = kernel; *file; file++) {
		g_autofree char *line = file_line("kernel", *file, changed, error);
		if (!line)
			return NULL;
		g_string_append_printf(lines, "%s\n", line);
	}
	return lines->len ? digest(lines->str) : g_strdup("");
}

/* The overlay names the image by its path, so another place is another image, too. A digest is of
 * samples (base.h), so another time of change is another image. */
static char *
image_fact(const struct warm_subject *subject, gint64 *changed, GError **error)
{
	struct base now;
	g_autofree char *record = base_record(subject->overlay);
	lane_touch("image", subject->image);
	enum base_verdict verdict = base_compare(record, subject->image, &now, error);
	/* What an overlay was made from stays on record, and a persistent one has that already. */
	gboolean keep = verdict == BASE_SAME || (verdict == BASE_UNKNOWN && !subject->synced);
	if (verdict == BASE_FAILED || (keep && !base_keep(record, &now, error)))
		return NULL;
	*changed = MAX(*changed, now.changed);
	g_autofree char *line = file_line("image", subject->image, changed, error);
	return line ? g_strdup_printf("%s %s", now.digest, line) : NULL;
}

/* A state saved with KVM has seen what its processor can do. */
static char *
cpu_fact(void)
{
	static const char *const keys[] = {"vendor_id", "cpu family", "model", "model name",
					   "stepping",	"microcode",  "flags", NULL};
	g_autofree char *text = NULL;
	g_autoptr(GString) known = g_string_new(NULL);
	if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
		return g_strdup("unknown");
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line && **line; line++) { /* the first processor */
		char *colon = strchr(*line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (g_strv_contains(keys, g_strchomp(*line)))
			g_string_append_printf(known, "%s=%s\n", *line, colon + 1);
	}
	return digest(known->str);
}

gboolean
warm_record_look(const struct warm_subject *subject, struct warm_record *now, gint64 *changed,
		 GError **error)
{
	*now = (struct warm_record){0};
	*changed = 0;
	now->facts[WARM_EMULATOR] = file_line("emulator", subject->emulator, changed, error);
	if (!now->facts[WARM_EMULATOR] ||
	    !(now->facts[WARM_KERNEL] = kernel_fact(subject->kernel, changed, error)) ||
	    !(now->facts[WARM_IMAGE] = image_fact(subject, changed, error)))
		return FALSE;
	now->facts[WARM_DOMAIN] = g_strdup(subject->domain);
	now->facts[WARM_SECRETS] = g_strdup(subject->secrets);
	now->facts[WARM_PREPARE] = g_strdup(subject->prepare);
	now->facts[WARM_CPU] = subject->kvm ? cpu_fact() : g_strdup("");
	now->facts[WARM_BOOT] = subject->synced ? g_strdup("") : process_boot();
	return TRUE;
}

gboolean
warm_fits(const struct warm_record *record, const struct warm_record *now, char **why)
{
	*why = NULL;
	for (int i = 0; i < N_WARM_FACTS; i++) {
		const char *then = record->facts[i], *is = now->facts[i];
		if (!is || !strcmp(then, is))
			continue;
		*why = facts[i].shown
			   ? g_strdup_printf("%s is another: it was %s, and is %s", facts[i].what,
					     then, is)
			   : g_strdup_printf("%s is another than when it was saved", facts[i].what);
		return FALSE;
	}
	return TRUE;
}
