/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guix' images read their keys where the secret root has them. Debian's sshd reads only a home's
 * authorized_keys, and each Debian image comes with host keys that all who have the image know: a
 * drop-in names ours, and no others. Its GRUB starts Mach without a serial console, which the
 * daemon reads (console=com0: device/cons.c in GNU Mach's source); Debian's inittab has a getty
 * there.
 */
#include "childhurdd/inject/edits.h"

#include <string.h>

#include "ssh/secrets/file.h"

#define PACKED	     "a(usuay)"
#define DROP_IN	     "/etc/ssh/sshd_config.d/childhurd.conf"
#define GRUB_MENU    "/boot/grub/grub.cfg"
#define CONSOLE	     "console="
#define COM_CONSOLE  CONSOLE "com0"
#define MODE_MASK    07777
#define PRIVATE	     0600
#define PUBLIC	     0644
#define HOST_KEY     "/etc/ssh/ssh_host_"
#define HOST_KEY_END "_key"

static void
edit_free(void *data)
{
	struct edit *edit = data;
	g_free(edit->path);
	g_bytes_unref(edit->content);
	g_free(edit);
}

static GPtrArray *
edits_new(void)
{
	return g_ptr_array_new_with_free_func(edit_free);
}

static void
add(GPtrArray *edits, enum edit_kind kind, const char *path, mode_t mode, GBytes *content)
{
	struct edit *edit = g_new(struct edit, 1);
	*edit = (struct edit){kind, g_strdup(path), mode & MODE_MASK, g_bytes_ref(content)};
	g_ptr_array_add(edits, edit);
}

static void
add_text(GPtrArray *edits, enum edit_kind kind, const char *path, mode_t mode, const char *text)
{
	g_autoptr(GBytes) content = g_bytes_new(text, strlen(text));
	add(edits, kind, path, mode, content);
}

static void
add_drop_in(GPtrArray *edits, const GPtrArray *files)
{
	g_autoptr(GString) text = g_string_new(
	    "# Written by childhurdd: its key, and the host keys that it made for this machine.\n"
	    "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n"
	    "PermitRootLogin prohibit-password\n");
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		if (g_str_has_prefix(file->name, HOST_KEY) &&
		    g_str_has_suffix(file->name, HOST_KEY_END))
			g_string_append_printf(text, "HostKey %s\n", file->name);
	}
	add_text(edits, EDIT_PUT, DROP_IN, PUBLIC, text->str);
}

GPtrArray *
edits_for(enum config_distribution distribution, const GPtrArray *files, const char *admin,
	  const char *key)
{
	GPtrArray *edits = edits_new();
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		add(edits, EDIT_PUT, file->name, file->mode, file->content);
	}
	if (distribution != CONFIG_DISTRIBUTION_DEBIAN)
		return edits;
	add_drop_in(edits, files);
	/* for an sshd that does not read drop-ins; others find it in authorized_keys.d */
	if (!strcmp(admin, "root"))
		add_text(edits, EDIT_LINES, "/root/.ssh/authorized_keys", PRIVATE, key);
	add_text(edits, EDIT_CONSOLE, GRUB_MENU, PRIVATE, "");
	return edits;
}

/* --- as bytes --- */

GBytes *
edits_pack(const GPtrArray *edits)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE(PACKED));
	for (guint i = 0; i < edits->len; i++) {
		const struct edit *edit = edits->pdata[i];
		g_variant_builder_add(
		    &builder, "(usu@ay)", (guint32)edit->kind, edit->path, (guint32)edit->mode,
		    g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, edit->content, TRUE));
	}
	g_autoptr(GVariant) packed = g_variant_ref_sink(g_variant_builder_end(&builder));
	return g_variant_get_data_as_bytes(packed);
}

static gboolean
is_path(const char *path)
{
	return path[0] == '/' && path[1] && path[strlen(path) - 1] != '/' &&
	       !strstr(path, "/../") && !strstr(path, "/./") && !strstr(path, "//") &&
	       !g_str_has_suffix(path, "/..") && !g_str_has_suffix(path, "/.");
}

GPtrArray *
edits_unpack(GBytes *bytes)
{
	g_autoptr(GVariant) packed =
	    g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(PACKED), bytes, FALSE));
	g_autoptr(GPtrArray) edits = edits_new();
	GVariantIter iter;
	guint32 kind, mode;
	const char *path;
	GVariant *content;
	if (!g_variant_is_normal_form(packed))
		return NULL;
	g_variant_iter_init(&iter, packed);
	while (g_variant_iter_next(&iter, "(u&su@ay)", &kind, &path, &mode, &content)) {
		g_autoptr(GVariant) owned = content;
		g_autoptr(GBytes) copy = g_variant_get_data_as_bytes(owned);
		if (kind > EDIT_CONSOLE || !is_path(path))
			return NULL;
		add(edits, kind, path, mode, copy);
	}
	return g_steal_pointer(&edits);
}

/* --- files that are there already --- */

/* The text as lines, each with its end. */
static GBytes *
lines_added(GBytes *old, GBytes *wanted)
{
	g_autofree char *text = g_strndup(g_bytes_get_data(old, NULL), g_bytes_get_size(old));
	g_autofree char *more = g_strndup(g_bytes_get_data(wanted, NULL), g_bytes_get_size(wanted));
	g_auto(GStrv) present = g_strsplit(text, "\n", -1), lines = g_strsplit(more, "\n", -1);
	g_autoptr(GString) out = g_string_new(text);
	gsize before = out->len;
	if (strlen(text) != g_bytes_get_size(old))
		return NULL; /* no text */
	for (char **line = lines; *line; line++) {
		if (!**line || g_strv_contains((const char *const *)present, *line))
			continue;
		if (out->len && out->str[out->len - 1] != '\n')
			g_string_append_c(out, '\n');
		g_string_append_printf(out, "%s\n", *line);
	}
	if (out->len == before)
		return NULL;
	return g_string_free_to_bytes(g_steal_pointer(&out));
}

/* "multiboot /boot/gnumach-1.8-486.gz root=part:5:device:wd0": GRUB's command for a kernel. */
static gboolean
starts_mach(const char *line)
{
	while (*line == ' ' || *line == '\t')
		line++;
	return g_str_has_prefix(line, "multiboot") && strstr(line, "gnumach");
}

static GBytes *
with_console(GBytes *old)
{
	g_autofree char *text = g_strndup(g_bytes_get_data(old, NULL), g_bytes_get_size(old));
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	gboolean changed = FALSE;
	if (strlen(text) != g_bytes_get_size(old))
		return NULL; /* no text */
	for (char **line = lines; *line; line++) {
		if (!starts_mach(*line) || strstr(*line, " " CONSOLE))
			continue;
		char *longer = g_strconcat(g_strchomp(*line), " " COM_CONSOLE, NULL);
		g_free(*line);
		*line = longer;
		changed = TRUE;
	}
	if (!changed)
		return NULL;
	char *joined = g_strjoinv("\n", lines);
	return g_bytes_new_take(joined, strlen(joined));
}

GBytes *
edit_content(const struct edit *edit, GBytes *old)
{
	switch (edit->kind) {
	case EDIT_PUT:
		return g_bytes_ref(edit->content);
	case EDIT_LINES:
		return old ? lines_added(old, edit->content) : g_bytes_ref(edit->content);
	case EDIT_CONSOLE:
		return old ? with_console(old) : NULL;
	}
	g_assert_not_reached();
}
