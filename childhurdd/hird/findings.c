/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What only a running daemon can tell to check: files that it cannot write, and its nodes. */
#include <math.h>
#include <string.h>

#include "childhurdd/hird/hird_internal.h"
#include "config/base/text.h"

#define SKEW_NOTED 30 /* s; guix offload status warns of less */

static void add(GString *lines, const char *result, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
add(GString *lines, const char *result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *line = text_line(text, ' ');
	g_string_append_printf(lines, "%-8s %s\n", result, line);
}

static void
add_node(GString *lines, const struct node *node)
{
	const struct offers *offers = node->offers;
	if (node->state != NODE_CONNECTED || !offers) {
		add(lines, "problem", "node %s: is %s: %s; the manual says more of that message",
		    node->name, node_state_name(node), node->why ? node->why : "not tried yet");
		return;
	}
	if (offers->version && strcmp(offers->version, CHILDHURD_VERSION))
		add(lines, "note",
		    "node %s: runs childhurdd %s, and this is %s; versions may differ by one: "
		    "update the older one soon",
		    node->name, offers->version, CHILDHURD_VERSION);
	if (!offers->reports)
		add(lines, "note",
		    "node %s: builds of this host are seen there by their sessions only; %s has to "
		    "be root, the daemon's user or a member of childhurd-admin there, and the "
		    "daemon of this version",
		    node->name, node->user);
	if (fabs(node->skew) > SKEW_NOTED)
		add(lines, "note",
		    "node %s: its clock is %.0f s %s this host's; let both follow a time server",
		    node->name, fabs(node->skew), node->skew > 0 ? "ahead of" : "behind");
	add(lines, "ok", "node %s: connected, %u of its guests %s ready", node->name, offers->ready,
	    offers->ready == 1 ? "is" : "are");
}

static void
add_history(GString *lines, struct history *history)
{
	gint64 begun;
	g_autofree char *why = history_beginning(history, &begun);
	g_autoptr(GDateTime) at = g_date_time_new_from_unix_local(begun / G_USEC_PER_SEC);
	g_autofree char *date = at ? g_date_time_format(at, "%Y-%m-%d %H:%M:%S") : NULL;
	if (why)
		add(lines, "note",
		    "the history begins at %s: %s; what happened before is not in history and "
		    "report",
		    date ? date : "?", why);
}

char *
hird_findings(void *data)
{
	const struct hird *h = data;
	GString *lines = g_string_new(NULL);
	g_auto(GStrv) whys = hird_unwritten(data);
	for (char **why = whys; *why; why++)
		add(lines, "problem",
		    "%s; once that is fixed the daemon writes it without being told", *why);
	add_history(lines, chronicle_history(h->chronicle));
	const GPtrArray *nodes = nodes_all(h->nodes);
	for (guint i = 0; i < nodes->len; i++)
		add_node(lines, g_ptr_array_index(nodes, i));
	return g_string_free(lines, FALSE);
}
