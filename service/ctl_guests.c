/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl list, and which guests the names on a command line stand for. */
#include "service/ctl.h"

#include <string.h>

/* --- names --- */

/* Add what argument (NULL: all) stands for to names; known has those that are there. */
static gboolean
expand_one(struct ctl *ctl, const char *argument, GPtrArray *names, GHashTable *known,
	   GError **error)
{
	ctl_auto_message reply =
	    ctl_call(ctl, "org.childhurd.List", ctl_names(&argument, argument ? 1 : 0), error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *name = ctl_text(guest, "name");
		if (ctl->autostart && !ctl_flag(guest, "autostart"))
			continue;
		if (name && g_hash_table_add(known, g_strdup(name)))
			g_ptr_array_add(names, g_strdup(name));
	}
	return TRUE;
}

GPtrArray *
ctl_expand(struct ctl *ctl, int *status, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!ctl->n_arguments && !expand_one(ctl, NULL, names, known, error))
		return NULL;
	for (guint i = 0; i < ctl->n_arguments; i++) {
		GError *why = NULL;
		if (expand_one(ctl, ctl->arguments[i], names, known, &why))
			continue;
		if (why->code == CTL_NO_DAEMON) {
			g_propagate_error(error, why);
			return NULL;
		}
		*status = ctl_complain(why);
	}
	return g_steal_pointer(&names);
}

gboolean
ctl_only_one(struct ctl *ctl, GPtrArray *guests, GError **error)
{
	if (guests->len == 1)
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_USAGE, "%s fits %u guests; %s takes one",
		    ctl->arguments[0], guests->len, ctl->verb->name);
	return FALSE;
}

char *
ctl_only_name(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.List",
					  ctl_names((const char *const *)ctl->arguments, 1), error);
	if (!reply)
		return NULL;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	if (!ctl_only_one(ctl, guests, error))
		return NULL;
	const char *name = ctl_text(g_ptr_array_index(guests, 0), "name");
	return g_strdup(name ? name : ctl->arguments[0]);
}

/* --- list --- */

enum column { NAME, STATE, SINCE, PORT, PUBLISHED, BUILD, MEMORY, RESTARTS, WHY, N_COLUMNS };
static const char *const titles[N_COLUMNS] = {"NAME",  "STATE",	 "SINCE",    "PORT", "PUBLISHED",
					      "BUILD", "MEMORY", "RESTARTS", "WHY"};

struct row {
	char *cells[N_COLUMNS];
};

static void
row_clear(gpointer data)
{
	struct row *row = data;
	for (int i = 0; i < N_COLUMNS; i++)
		g_free(row->cells[i]);
}

static char *
number_cell(double number)
{
	return number < 0 ? g_strdup("?") : g_strdup_printf("%.0f", number);
}

static char *
build_cell(double builds)
{
	if (builds == 0)
		return g_strdup("-");
	return builds == 1 ? g_strdup("yes") : number_cell(builds);
}

static struct row
guest_row(JsonObject *guest, double now)
{
	const char *state = ctl_text(guest, "state"), *phase = ctl_text(guest, "phase");
	g_autofree char *why = ctl_clean(ctl_text(guest, "why"), TRUE);
	g_autofree char *what = ctl_clean(phase, TRUE);
	return (struct row){{
	    [NAME] = ctl_clean(ctl_text(guest, "name"), TRUE),
	    [STATE] = ctl_clean(state ? state : "?", TRUE),
	    [SINCE] = ctl_duration(now - ctl_number(guest, "since", now)),
	    [PORT] = number_cell(ctl_number(guest, "port", -1)),
	    [PUBLISHED] = g_strdup(ctl_flag(guest, "published") ? "yes" : "-"),
	    [BUILD] = build_cell(ctl_number(guest, "builds", -1)),
	    [MEMORY] = ctl_size(ctl_number(guest, "memory", 0)),
	    [RESTARTS] = number_cell(ctl_number(guest, "restarts", -1)),
	    [WHY] = *what && *why && strcmp(why, what) != 0 ? g_strdup_printf("%s; %s", why, what)
							    : g_strdup(*what ? what : why),
	}};
}

/* Put cells side by side; the last one gets what is left of the terminal's width. */
static void
print_row(const char *const *cells, const int *widths, int terminal, gboolean heading)
{
	g_autoptr(GString) line = g_string_new(NULL);
	int used = 0;
	for (int i = 0; i < WHY; i++) {
		int pad = widths[i] - (int)g_utf8_strlen(cells[i], -1);
		gboolean right = i == PORT || i == MEMORY || i == RESTARTS;
		g_autofree char *cell =
		    i == STATE && !heading ? ctl_coloured(cells[i], cells[i]) : g_strdup(cells[i]);
		g_string_append_printf(line, "%*s%s%*s  ", right ? pad : 0, "", cell,
				       right ? 0 : pad, "");
		used += widths[i] + 2;
	}
	/* A terminal too narrow for the columns gets at least the reason's beginning. */
	g_autofree char *why = ctl_cut(cells[WHY], terminal ? MAX(terminal - used, 8) : 0);
	g_string_append(line, why);
	g_strchomp(line->str);
	puts(line->str);
}

static void
print_table(GPtrArray *guests)
{
	int widths[N_COLUMNS], terminal = ctl_width();
	double now = ctl_now();
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct row));
	g_array_set_clear_func(rows, row_clear);
	for (int i = 0; i < N_COLUMNS; i++)
		widths[i] = (int)strlen(titles[i]);
	for (guint g = 0; g < guests->len; g++) {
		struct row row = guest_row(g_ptr_array_index(guests, g), now);
		for (int i = 0; i < N_COLUMNS; i++)
			widths[i] = MAX(widths[i], (int)g_utf8_strlen(row.cells[i], -1));
		g_array_append_val(rows, row);
	}
	print_row(titles, widths, terminal, TRUE);
	for (guint g = 0; g < rows->len; g++)
		print_row((const char *const *)g_array_index(rows, struct row, g).cells, widths,
			  terminal, FALSE);
}

int
ctl_list(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply =
	    ctl_call(ctl, "org.childhurd.List",
		     ctl_names((const char *const *)ctl->arguments, ctl->n_arguments), error);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		return ctl_print_json(reply);
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	if (guests->len)
		print_table(guests);
	else
		puts("no guest is configured; add a [guest NAME] to childhurd.ini (see "
		     "childhurd.ini(5)) and reload");
	return CTL_DONE;
}
