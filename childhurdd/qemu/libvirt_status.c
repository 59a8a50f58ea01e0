/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libvirt's driver keeps of a running domain, ROOT/run/qemu/NAME.xml: which process its QEMU
 * is, and where its monitor. */
#include "childhurdd/qemu/libvirt_status.h"

#include <libxml/parser.h>
#include <string.h>

#include "config/base/atomic_file.h"

char *
libvirt_file_text(const char *file, GError **error)
{
	char *text = NULL;
	g_autoptr(GError) why = NULL;
	if (!g_file_get_contents(file, &text, NULL, &why) &&
	    !g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		g_propagate_error(error, g_steal_pointer(&why));
	return text;
}

static xmlNode *
child_of(xmlNode *parent, const char *name)
{
	for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
		if (!g_strcmp0((const char *)node->name, name))
			return node;
	return NULL;
}

static char *
attribute_of(xmlNode *node, const char *name)
{
	xmlChar *value = node ? xmlGetProp(node, BAD_CAST name) : NULL;
	char *copy = g_strdup((const char *)value);
	xmlFree(value);
	return copy;
}

/*
 * libvirt, src/conf/domain_conf.c, virDomainObjFormat: <domstatus reason= pid=><monitor path=/>
 * <domain><uuid/>. src/qemu, qemuProcessInit: the reason is "starting up" until all is done.
 */
struct libvirt_status
libvirt_status_read(const char *folder, const char *entry, GError **error)
{
	struct libvirt_status status = {.file = g_build_filename(folder, entry, NULL),
					.name = g_strndup(entry, strlen(entry) - strlen(".xml"))};
	g_autofree char *text = libvirt_file_text(status.file, error);
	xmlDoc *doc =
	    text ? xmlReadDoc(BAD_CAST text, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR)
		 : NULL;
	xmlNode *top = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autofree char *reason = attribute_of(top, "reason");
	g_autofree char *pid = attribute_of(top, "pid");
	if (pid && g_strcmp0(reason, "starting up"))
		status.pid = (pid_t)g_ascii_strtoll(pid, NULL, 10);
	xmlChar *uuid = xmlNodeGetContent(child_of(child_of(top, "domain"), "uuid"));
	status.uuid = g_strdup((const char *)uuid);
	xmlFree(uuid);
	status.path = attribute_of(child_of(top, "monitor"), "path");
	char *end = status.path ? strstr(status.path, "/lib/qemu/") : NULL;
	status.monitor = g_strdup(end);
	if (end)
		*end = '\0';
	else
		g_clear_pointer(&status.path, g_free);
	xmlFreeDoc(doc);
	return status;
}

void
libvirt_status_clear(struct libvirt_status *status)
{
	g_free(status->file);
	g_free(status->name);
	g_free(status->uuid);
	g_free(status->path);
	g_free(status->monitor);
}

/* As libvirt writes it: src/util/virbuffer.c, virBufferEscapeString. */
static char *
escaped(const char *path)
{
	GString *text = g_string_new(path);
	g_string_append_c(text, '/');
	g_string_replace(text, "&", "&amp;", 0);
	g_string_replace(text, "<", "&lt;", 0);
	g_string_replace(text, ">", "&gt;", 0);
	g_string_replace(text, "\"", "&quot;", 0);
	g_string_replace(text, "'", "&apos;", 0);
	return g_string_free(text, FALSE);
}

void
libvirt_status_move(const struct libvirt_status *status, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL, *from = NULL, *to = escaped(path);
	if (!status->path || !strcmp(status->path, path))
		return;
	from = escaped(status->path);
	if (g_file_get_contents(status->file, &text, NULL, &error)) {
		g_autoptr(GString) moved = g_string_new(text);
		g_string_replace(moved, from, to, 0);
		atomic_file_write(status->file, moved->str, -1, 0600, &error);
	}
	if (error)
		g_warning("%s: %s", status->name, error->message);
}
