/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Did you mean ...?": for the words of a command line that do not exist. Which guests there are is
 * asked only after the daemon has said that a name stands for none, so what is right costs no call.
 */
#include "service/ctl/ctl.h"

#include <string.h>

#include "config/base/similar.h"

/* --- words of a fixed list --- */

int
ctl_choice(const char *option, const char *word, const char *const *known, GError **error)
{
	struct similar near = similar_to(word);
	for (int i = 0; known[i]; i++) {
		if (!strcmp(known[i], word))
			return i;
		similar_offer(&near, known[i]);
	}
	g_autofree char *all = g_strjoinv(", ", (char **)known);
	g_set_error(error, CTL_ERROR, CTL_USAGE, "%s %s: not one of %s%s%s%s", option,
		    *word ? word : "\"\"", all, near.best ? "; did you mean " : "",
		    near.best ? near.best : "", near.best ? "?" : "");
	return -1;
}

/* --- names of guests --- */

/* Guests whose names are one stem and a number, as those of a template are. All texts have before
 * in front of each name: "NODE/", or nothing. */
struct series {
	const char *stem;
	gsize length; /* of the stem, in bytes */
	guint n;
	const char *first, *last; /* by their numbers, borrowed */
	guint64 least, most;
	gboolean alone; /* the pattern STEM* stands for no other guest */
};

/* The length of name without the digits at its end. */
static gsize
stem_length(const char *name)
{
	gsize length = strlen(name);
	while (length && g_ascii_isdigit(name[length - 1]))
		length--;
	return length;
}

/* The guests among names (of char *) that the first bytes of stem and a number make. */
static struct series
find_series(const GPtrArray *names, const char *stem, gsize length)
{
	struct series series = {.stem = stem, .length = length, .alone = TRUE};
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		if (strncmp(name, stem, length) != 0)
			continue;
		if (stem_length(name) != length || !name[length]) {
			series.alone = FALSE;
			continue;
		}
		guint64 number = g_ascii_strtoull(name + length, NULL, 10);
		if (!series.n || number < series.least) {
			series.least = number;
			series.first = name;
		}
		if (!series.n || number > series.most) {
			series.most = number;
			series.last = name;
		}
		series.n++;
	}
	return series;
}

/* "childhurd1 and childhurd2", "childhurd1 to childhurd9", or their number if one between them is
 * missing. The caller frees. */
static char *
series_text(const struct series *series, const char *before)
{
	const char *first = series->first, *last = series->last;
	if (series->n == 2)
		return g_strdup_printf("%s%s and %s%s", before, first, before, last);
	if (series->most - series->least == series->n - 1)
		return g_strdup_printf("%s%s to %s%s", before, first, before, last);
	return g_strdup_printf("%u guests, %s%s to %s%s", series->n, before, first, before, last);
}

/* A pattern, in quotes for the shell, that stands for the series. The caller frees. */
static char *
series_pattern(const struct series *series, const char *before)
{
	return g_strdup_printf("'%s%.*s%s'", before, (int)series->length, series->stem,
			       series->alone ? "*" : "[0-9]*");
}

/* The name is the stem of several guests, or of one that does not exist. NULL: it is neither. */
static char *
meant_series(const GPtrArray *names, const char *before, const char *name)
{
	gsize length = stem_length(name);
	struct series series = find_series(names, name, length);
	if (!length || series.n < 2)
		return NULL;
	g_autofree char *members = series_text(&series, before),
			*pattern = series_pattern(&series, before);
	return name[length] ? g_strdup_printf("there are %s", members)
			    : g_strdup_printf("%s stands for %s", pattern, members);
}

/* Offer each guest, and for each series its stem and its pattern, which last as long as kept. */
static void
offer_all(struct similar *near, const GPtrArray *names, GPtrArray *kept)
{
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		gsize length = stem_length(name);
		struct series series = find_series(names, name, length);
		if (length && series.n > 1 && series.first == name) {
			g_ptr_array_add(kept, g_strndup(name, length));
			similar_offer(near, g_ptr_array_index(kept, kept->len - 1));
			g_ptr_array_add(kept, g_strdup_printf("%.*s*", (int)length, name));
			similar_offer(near, g_ptr_array_index(kept, kept->len - 1));
		}
		similar_offer(near, name);
	}
}

/* The guest, or the pattern of guests, that is nearest to name. NULL: none is near. */
static char *
meant_nearest(const GPtrArray *names, const char *before, const char *name)
{
	g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
	struct similar near = similar_to(name);
	offer_all(&near, names, kept);
	if (!near.best)
		return NULL;
	if (!g_ptr_array_find(kept, near.best, NULL))
		return g_strdup_printf("did you mean %s%s?", before, near.best);
	struct series series = find_series(names, near.best, strcspn(near.best, "*"));
	g_autofree char *members = series_text(&series, before),
			*pattern = series_pattern(&series, before);
	return g_strdup_printf("did you mean %s, which stands for %s?", pattern, members);
}

/* What to do about a name that stands for none of names. The caller frees. */
static char *
meant_guest(const GPtrArray *names, const char *before, const char *name)
{
	char *meant = meant_series(names, before, name);
	if (!meant)
		meant = meant_nearest(names, before, name);
	if (!meant)
		meant = g_strdup(names->len ? "childhurdctl list shows all" : "none is configured");
	return meant;
}

/* --- asking for guests by names that a person has typed --- */

/* The parameters of a call, for a node if one is given. Takes over parameters. */
static JsonObject *
call_of(const char *node, const char *method, JsonObject *parameters)
{
	if (!node)
		return parameters;
	JsonObject *call = json_object_new();
	json_object_set_string_member(call, "node", node);
	json_object_set_string_member(call, "method", method);
	json_object_set_object_member(call, "parameters", parameters);
	return call;
}

/* Set error: no guest, of node (NULL: of this host), has that name. */
static void
no_such_guest(struct ctl *ctl, const char *node, const char *name, GError **error)
{
	const char *list = "org.childhurd.List";
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	/* What cannot be asked makes the message no worse than it would be without it. */
	ctl_auto_message reply = ctl_call(ctl, node ? "org.childhurd.AskNode" : list,
					  call_of(node, list, ctl_names(NULL, 0)), NULL);
	JsonObject *answer = !reply ? NULL
			     : node ? ctl_object(reply->parameters, "answer")
				    : reply->parameters;
	g_autoptr(GPtrArray) guests = ctl_objects(answer, "guests");
	for (guint i = 0; i < guests->len; i++)
		if (ctl_text(g_ptr_array_index(guests, i), "name"))
			g_ptr_array_add(names,
					(gpointer)ctl_text(g_ptr_array_index(guests, i), "name"));
	g_autofree char *before = node ? g_strdup_printf("%s/", node) : g_strdup("");
	g_autofree char *meant =
	    reply ? meant_guest(names, before, name) : g_strdup("childhurdctl list shows all");
	g_set_error(error, CTL_ERROR, CTL_FAILED, "%s%s: there is no such guest; %s", before, name,
		    meant);
}

gboolean
ctl_refused_name(struct ctl *ctl, const char *node, const struct varlink_message *message,
		 GError **error)
{
	const char *missing =
	    ctl_is_error(message, "NoSuchGuest") ? ctl_text(message->parameters, "name") : NULL;
	if (!missing)
		return ctl_refused(message, error);
	no_such_guest(ctl, node, missing, error);
	return TRUE;
}

struct varlink_message *
ctl_ask_names(struct ctl *ctl, const char *node, const char *method, const char *const *names,
	      guint n, GError **error)
{
	struct varlink_message *reply = NULL;
	if (ctl_send(ctl, node ? "org.childhurd.AskNode" : method,
		     call_of(node, method, ctl_names(names, n)), FALSE, error))
		reply = ctl_receive(ctl, CTL_REPLY_LIMIT, error);
	if (reply && ctl_refused_name(ctl, node, reply, error))
		g_clear_pointer(&reply, varlink_message_free);
	return reply;
}
